"""Lambda entry points: `offpoll.functions.api`, `offpoll.functions.worker` and `offpoll.functions.dead_letters`.

Each is made when Lambda's runtime asks for it, while the function's environment starts: the service that OFFPOLL_APP names is imported,
settings are read, the lifespan is entered. What is wrong ends the start, with its reason. Nothing is made for the other two.

    api             events of HTTP API (payload 2.0 and 1.0), REST API (proxy) and function URLs ↔ http/endpoint
    worker          batches of the queue ↔ work, with ReportBatchItemFailures
    dead_letters    batches of the dead-letter queue ↔ work, with ReportBatchItemFailures
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offpoll.functions.environment import Function

    api: Function
    worker: Function
    dead_letters: Function

__all__ = ["api", "dead_letters", "worker"]


def __getattr__(name: str) -> Any:
    """Make an entry point, and keep it for as long as the environment lives."""
    if name not in __all__:
        raise AttributeError(f"module 'offpoll.functions' has no attribute {name!r}: a handler is one of {', '.join(__all__)}")
    # What a start makes is kept: collections in between find nothing, and take a twentieth of its time.
    gc.disable()
    try:
        from offpoll.functions.start import start  # noqa: PLC0415 - only Lambda's runtime starts functions; a test of their parts does not

        made = globals()[name] = start(name, environ=os.environ)
    finally:
        gc.enable()
    return made
