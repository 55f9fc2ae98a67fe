"""`python -m offpoll` does the same as `offpoll`."""

from __future__ import annotations

from offpoll.cli.main import run

if __name__ == "__main__":
    run()
