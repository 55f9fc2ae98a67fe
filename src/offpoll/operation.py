"""One operation: its statuses and which may follow which, its record, and what its handler sees. All rules of state live here."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from offpoll.frozen import quick
from offpoll.limits import MAX_MESSAGE, cut
from offpoll.progress_values import read_fraction, read_message

__all__ = [
    "PUBLIC",
    "TERMINAL",
    "TRANSITIONS",
    "Operation",
    "Outcome",
    "Progress",
    "Record",
    "Status",
    "Submission",
    "is_kind",
    "is_operation_id",
    "is_owner",
]

log = logging.getLogger(__name__)

#: The owner of every operation if the app does not tell callers apart.
PUBLIC = "public"


class Status(StrEnum):
    """The five statuses of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


#: What may follow what. Everything that changes a status asks this table; docs/protocol.md draws it.
#: An operation goes from `queued` straight to its end by a cancel, by an expiry, or if it ends before the first planned poll.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED}),
    Status.RUNNING: frozenset({Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}

#: Statuses that nothing follows: `done` is true.
TERMINAL: frozenset[Status] = frozenset(status for status, after in TRANSITIONS.items() if not after)

_OPERATION_ID = re.compile(r"[0-9a-f]{32}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
#: An owner travels as an SQS attribute, whose characters are XML's: printable ones, no control characters.
_OWNER = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,256}")


def is_operation_id(text: object) -> bool:
    """Tell whether this can be an operation id: 32 lowercase hex digits."""
    return isinstance(text, str) and _OPERATION_ID.fullmatch(text) is not None


def is_kind(text: object) -> bool:
    """Tell whether this can name a kind: a lowercase letter, then lowercase letters, digits, `_` or `-`, at most 64 in all."""
    return isinstance(text, str) and _KIND.fullmatch(text) is not None


def is_owner(text: object) -> bool:
    """Tell whether this can be an owner: 1 to 256 printable characters."""
    return isinstance(text, str) and _OWNER.fullmatch(text) is not None


@quick
@dataclass(frozen=True, kw_only=True)
class Submission:
    """What was accepted: the facts of an operation that never change.

    Attributes:
        operation_id: 32 lowercase hex digits.
        kind: the operation's type.
        owner: whose it is.
        status_key: the key of its status document.
        digest: keyed digest of the input; None if the producer gave none.
        base_url: the API's address as the submitter saw it, for links; empty if there is no API.
        created_at: when it was accepted, to the millisecond.
    """

    operation_id: str
    kind: str
    owner: str
    status_key: str
    digest: str | None
    base_url: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an operation ended. Decided once.

    Attributes:
        status: one of the terminal statuses.
        result: the handler's result as JSON text, if it succeeded.
        error: `code`, `message` and further members, if it did not.
    """

    status: Status
    result: str | None = None
    error: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.status not in TERMINAL:
            raise ValueError(f"{self.status} is not terminal")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is true about one operation, as the record store answered it.

    Attributes:
        submission: the facts it was accepted with.
        attempt: claims so far.
        token: of the claim that holds it, or None.
        lease_until: in the store's time: until then nobody else may claim. None if nobody held it, or it has ended.
        started_at: of the first claim.
        finished_at: of the outcome.
        outcome: how it ended, or None.
        expires_at: from then on the record counts as absent.
        input: the input's bytes, kept only if the operation failed.
    """

    submission: Submission
    attempt: int = 0
    token: str | None = None
    lease_until: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    expires_at: datetime
    input: bytes | None = None

    @property
    def status(self) -> Status:
        """The status that a document of this record shows."""
        if self.outcome is not None:
            return self.outcome.status
        return Status.RUNNING if self.attempt else Status.QUEUED

    @property
    def done(self) -> bool:
        """Whether the outcome is decided."""
        return self.outcome is not None

    @property
    def holder(self) -> str:
        """Which worker holds it, as its token says (`claim_token`), such as `web-7:4711`; empty if none does, or its token says nothing."""
        return "" if self.token is None else self.token.partition("@")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the handler says it is: `fraction` from 0 to 1, or None if it gives only a message."""

    fraction: float | None = None
    message: str | None = None

    def fitted(self) -> Progress:
        """Return the progress as a document shows it: the fraction with four digits, and as much of the message as fits.

        Like `Operation.progress`, it leaves out what cannot be shown.
        """
        known, wrong = (None, "") if self.fraction is None else read_fraction(self.fraction)
        text, unreadable = (None, "") if self.message is None else read_message(self.message)
        if wrong or unreadable:
            log.warning("progress is left out: %s", wrong or unreadable)
        return Progress(fraction=None if known is None else round(known, 4), message=None if text is None else cut(text, MAX_MESSAGE))


def _ignore(progress: Progress) -> None:
    """Report to nobody: the default without a worker."""


@dataclass(kw_only=True, slots=True)
class Operation:
    """The operation that a handler works on. A handler asks for it with a parameter of this type.

    Attributes:
        id: 32 hex digits, the same in every attempt. Use it as the key of what you write, and a second attempt does no harm.
        kind: the operation's type.
        owner: whose it is.
        attempt: which attempt this is, from 1.
        created_at: when it was accepted.
        state: what the app's `lifespan` yielded in this process, or None.
        traceparent, tracestate: the submitter's trace (W3C Trace Context), empty if there is none.
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
    _warned: bool = field(default=False, repr=False)

    @classmethod
    def of(
        cls,
        submission: Submission,
        *,
        attempt: int,
        state: Any,
        traceparent: str = "",
        tracestate: str = "",
        report: Callable[[Progress], None] = _ignore,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> Operation:
        """Make the operation of a submission. `report` takes each progress, `checkpoint` raises if the handler must stop."""
        return cls(
            id=submission.operation_id,
            kind=submission.kind,
            owner=submission.owner,
            attempt=attempt,
            created_at=submission.created_at,
            state=state,
            traceparent=traceparent,
            tracestate=tracestate,
            _report=report,
            _checkpoint=checkpoint,
        )

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Say how far the work is. Call it as often as you like: it is cheap, and is published only when readers are about to look.

        A value that cannot be shown never fails the work: offpoll leaves it out, and logs what is wrong, once an attempt.

        Args:
            fraction: from 0 to 1. None if it is not known.
            message: a few words for people, cut at 200 bytes. It is published: put nothing sensitive in it.

        Raises:
            HandlerStopped: (sync handlers) this attempt's work is no longer wanted. Do not catch it.
        """
        self._checkpoint()
        known, wrong = (None, "") if fraction is None else read_fraction(fraction)
        text, unreadable = (None, "") if message is None else read_message(message)
        if (wrong or unreadable) and not self._warned:
            self._warned = True
            log.warning("operation %s: a handler of %r reports progress that is left out: %s", self.id, self.kind, wrong or unreadable)
        if not (wrong or unreadable) or known is not None or text is not None:
            self._report(Progress(fraction=known, message=text))
