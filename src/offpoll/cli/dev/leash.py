"""Runs a module as a program that ends when its parent process does, even if that is killed.

    python -m offpoll.cli.dev.leash MODULE ARGUMENT…

Its stdin is a pipe whose other end only the parent holds. On every platform the kernel closes that end when the parent dies, so no message
has to arrive.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

#: How long the program may take to end by itself, seconds.
GRACE = 5.0


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    """Run the module named by the arguments."""
    threading.Thread(target=_watch, name="leash", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
