"""What a handler knows of the operation it works on. Must not know workers, queues or stores: it is given two functions."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offpoll.document import Progress
from offpoll.operation import Submission

__all__ = ["CallNext", "Middleware", "Operation"]


def _ignore(progress: Progress) -> None:
    """Report to nobody: the default where no worker listens."""


@dataclass(kw_only=True, slots=True)
class Operation:
    """The operation that a handler works on; a handler asks for it by a parameter of this type.

    Attributes:
        id: 32 hex digits. The same in every attempt: write with it as the key, and a second attempt does no harm.
        kind: the operation's type.
        owner: whose it is.
        attempt: which attempt this is, from 1.
        created_at: when it was accepted.
        state: what the service's `lifespan` yielded in this process, or None.
        traceparent, tracestate: the submitter's trace (W3C Trace Context), empty where there is none.
    """

    id: str
    kind: str
    owner: str
    attempt: int = 1
    created_at: datetime
    state: Any = None
    traceparent: str = ""
    tracestate: str = ""
    _report: Callable[[Progress], None] = field(default=_ignore, repr=False)
    _checkpoint: Callable[[], None] = field(default=lambda: None, repr=False)

    @classmethod
    def of(cls, submission: Submission, *, attempt: int, **rest: Any) -> Operation:
        """Make the operation of a submission. `_report` is given each progress, `_checkpoint` raises where the handler must stop."""
        return cls(
            id=submission.operation_id,
            kind=submission.kind,
            owner=submission.owner,
            attempt=attempt,
            created_at=submission.created_at,
            **rest,
        )

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Say how far the work is. Cheap: call it as often as you like; it is published only when readers are about to look.

        Args:
            fraction: from 0 to 1; what is outside is cut. None where it is not known.
            message: a few words for people. It is published: nothing sensitive. Cut at 200 bytes.

        Raises:
            HandlerStopped: (sync handlers) nobody wants this attempt's work any more. Let it pass.
            ValueError: the fraction is not a number.
        """
        if fraction is not None and math.isnan(fraction):
            raise ValueError("fraction is not a number")
        self._checkpoint()
        fraction = None if fraction is None else min(1.0, max(0.0, float(fraction)))
        self._report(Progress(fraction=fraction, message=None if message is None else str(message)))


#: The rest of the chain around a handler.
CallNext = Callable[[Operation], Awaitable[Any]]

#: Wraps every handler call: `async def middleware(operation, call_next): return await call_next(operation)`.
Middleware = Callable[[Operation, CallNext], Awaitable[Any]]
