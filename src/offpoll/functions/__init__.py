"""Lambda entry points: `offpoll.functions.api`, `offpoll.functions.worker` and `offpoll.functions.dead_letters`.

Lambda's runtime asks for one of them while the function's environment starts, and only that one is made: it reads the settings, imports
the app that OFFPOLL_APP names, and enters its lifespan. An error ends the start and says why.

    api             events of HTTP APIs (payload 2.0 and 1.0), REST APIs (proxy), function URLs and ALBs ↔ http/endpoint
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
    """Make an entry point and keep it as long as the environment lives."""
    if name not in __all__:
        raise AttributeError(f"module 'offpoll.functions' has no attribute {name!r}: a handler is one of {', '.join(__all__)}")
    # A start frees nothing that it makes: garbage collections would find nothing, and take a twentieth of its time.
    gc.disable()
    try:
        from offpoll.functions.start import start  # noqa: PLC0415 - only Lambda's runtime starts functions; tests of their parts do not

        made = globals()[name] = start(name, environ=os.environ)
    finally:
        gc.enable()
    return made
