"""Decides how rarely Python's garbage collector looks at a process that serves or works."""

from __future__ import annotations

import gc

__all__ = ["settle"]

#: Objects by which a process may grow before the collector looks at them (Python's own figure is 700 to 2,000). A request holds some 60
#: while it waits for store and queue, and neither it nor a message leaves cycles, so that up to 150 at a time start no collection. What
#: does make cycles (an error in an `authorize`, say) holds a few megabytes until the next one.
YOUNG = 10_000


def settle() -> None:
    """Take what a started process keeps for good out of the collector's sight, and let it look more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
