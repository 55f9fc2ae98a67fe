"""Runs a module as a program that ends when the process that started it does, however that ended.

    python -m offpoll.cli.dev.leash MODULE ARGUMENT…

Its stdin is a pipe whose other end only the parent holds. The kernel closes that end even when the parent is killed, on every platform; no
message has to arrive.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

#: Seconds for the program's own way to end.
GRACE = 5.0


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    """Run the module that the arguments name."""
    threading.Thread(target=_watch, name="leash", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
