"""Submit: create the document, enqueue the message, answer with a ticket. There is no database in this path.

Decides the operation's id, and what a repeated submit means.

    submit ──1 create (If-None-Match: *)──► document ──2 enqueue──► queue ──► ticket
              │ exists, another digest                                  KeyReused
              │ exists, not queued any more                             the stored document, a fresh link
              └ exists, queued: the answer, or the enqueue, was lost    2 enqueue again: a second message does no harm

The document exists before any message does, so a worker never meets a message without one, unless it is lost later. If a step fails,
the caller learns DependencyUnavailable, which means *unknown*; the same idempotency key finishes the job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from offpoll.board import AsyncStatusBoard, Stored
from offpoll.deadlines import Deadlines, TimeLimit
from offpoll.document import Document, Estimate, PollHint
from offpoll.errors import DependencyUnavailable, InvalidIdempotencyKey, KeyReused
from offpoll.forecast import Forecast
from offpoll.instant import to_milliseconds
from offpoll.keyed_hash import KeyedHash
from offpoll.lateness import Weight
from offpoll.operation import Status, Submission
from offpoll.queue import Message, Queue

__all__ = ["MAX_KEY", "Submitter", "digest_of", "operation_id_of", "resubmitted_id_of"]

#: Longest Idempotency-Key, characters. Keys are hashed, so this only bounds what a header may cost.
MAX_KEY = 255

#: Seconds for store and queue together. Our client gives a request up after 10 s: the answer that says what is known has to come before.
DEADLINE = 9.0


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """Accepts operations.

    Args:
        board, queue, forecast: where document and message go, and what makes the document's estimate.
        secret: keys ids and digests.
        lifetime: seconds after which the operation is forgotten.
        clock: the wall clock.
        random_bytes: gives n random bytes, for ids without an idempotency key.
    """

    board: AsyncStatusBoard
    queue: Queue
    forecast: Forecast
    secret: KeyedHash = field(repr=False)
    lifetime: float
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    _deadlines: Deadlines = field(default_factory=Deadlines, init=False, repr=False)
    _kept: timedelta = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", timedelta(seconds=self.lifetime))

    async def submit(
        self,
        kind: str,
        body: str,
        *,
        owner: str,
        idempotency_key: str | None,
        base_url: str,
        lateness_weight: Weight,
        resubmit_of: str | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> tuple[Document, str]:
        """Accept an operation; see `AsyncService.submit` for arguments and errors.

        Args:
            kind: a kind that exists; `body`: valid input for it, as canonical JSON.
            resubmit_of: the failed operation whose input this is, or None. It takes the place of a key.

        Returns:
            The document as it is stored: `queued`, or later, if a repeated submit finds it there; and its key on the board.
        """
        operation_id = self._operation_id(owner, kind, idempotency_key=idempotency_key, resubmit_of=resubmit_of)
        now, loop = to_milliseconds(self.clock()), asyncio.get_running_loop()
        submission = Submission(
            operation_id=operation_id,
            kind=kind,
            owner=owner,
            status_key=self.board.key(operation_id, owner=owner),
            digest=digest_of(self.secret, operation_id, body),
            base_url=base_url,
            created_at=now,
        )
        estimate, poll = self.forecast.accepted(kind, now=now, lateness_weight=lateness_weight, loop=loop)
        message = Message(submission=submission, body=body, traceparent=traceparent, tracestate=tracestate)
        try:
            with TimeLimit(self._deadlines, DEADLINE, loop):
                stored = await self._accept(message, estimate=estimate, poll=poll, expires_at=now + self._kept, resubmit_of=resubmit_of)
        except TimeoutError as error:
            raise DependencyUnavailable("submit", f"store and queue did not finish in {DEADLINE:g} s") from error
        return stored.document, submission.status_key

    async def _accept(
        self, message: Message, *, estimate: Estimate, poll: PollHint, expires_at: datetime, resubmit_of: str | None
    ) -> Stored:
        submission = message.submission
        stored, created = await self.board.ensure(submission, estimate=estimate, poll=poll, expires_at=expires_at, resubmit_of=resubmit_of)
        if stored.document.digest != submission.digest:
            raise KeyReused(
                "This Idempotency-Key was used before with another body. Send the same body again, or use a new key.",
                operation_id=submission.operation_id,
            )
        if not created:
            if stored.document.status != Status.QUEUED:
                return stored
            message = replace(message, submission=replace(submission, created_at=stored.document.created_at))
        await self.queue.send(message.to_envelope())
        return stored

    def _operation_id(self, owner: str, kind: str, *, idempotency_key: str | None, resubmit_of: str | None) -> str:
        if resubmit_of is not None:
            return resubmitted_id_of(self.secret, owner, kind, resubmit_of)
        return self.random_bytes(16).hex() if idempotency_key is None else operation_id_of(self.secret, owner, kind, idempotency_key)


def operation_id_of(secret: KeyedHash, owner: str, kind: str, key: str) -> str:
    """Return the id that an idempotency key stands for: HMAC-SHA-256 cut to 128 bits, never shared between owners or kinds.

    Raises:
        InvalidIdempotencyKey: the key is empty, too long, or not printable ASCII.
    """
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidIdempotencyKey(f"An Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters.")
    return _mac(secret, owner, kind, key)[:32]


def resubmitted_id_of(secret: KeyedHash, owner: str, kind: str, operation_id: str) -> str:
    """Return the id under which a failed operation is submitted again: always the same one, and one that no key of a caller's stands for.

    Four parts here, three in `operation_id_of`, each length-prefixed.
    """
    return _mac(secret, owner, kind, "resubmit", operation_id)[:32]


def digest_of(secret: KeyedHash, operation_id: str, body: str) -> str:
    """Return the keyed digest of an input, bound to the id: it tells a reader nothing, not even that two inputs are equal.

    Two parts here, three in `operation_id_of`, each length-prefixed: no digest can be an id.
    """
    return _mac(secret, operation_id, body)


def _mac(secret: KeyedHash, *parts: str) -> str:
    message = b""
    for part in parts:
        encoded = part.encode()
        message += len(encoded).to_bytes(8, "big") + encoded
    return secret.digest(message).hex()
