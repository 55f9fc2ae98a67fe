"""The queue: what a message carries, the protocol, and the in-memory twin.

Decides a message's form on the wire: the body is the input, up to ten attributes say the rest.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from offpoll.errors import MalformedMessage, UnsupportedMessage
from offpoll.frozen import quick
from offpoll.instant import from_wire, to_milliseconds, to_wire
from offpoll.operation import Submission, is_kind, is_operation_id, is_owner

__all__ = ["MAX_DELAY", "MAX_VISIBILITY", "VERSION", "Delivery", "Depth", "Envelope", "MemoryQueue", "Message", "Queue", "carried"]

#: The version of the message's form. A worker gives newer messages back.
VERSION = 1
_VERSION_TEXT = str(VERSION)

#: Most characters of some attributes. Ours are shorter, and no reader would take a document with longer ones.
MAX_LENGTHS = {"status_key": 1024, "digest": 128, "base_url": 2048}

#: An operation of a later year cannot have a date on which it is forgotten: instants end with the year 9999.
LAST_YEAR = 9000

#: Receives beyond an operation's attempts before its message is a dead letter: for live leases, and workers killed before their claim.
SPARE_RECEIVES = 5

#: SQS's longest delay (SendMessage, DelaySeconds) and longest visibility timeout (ChangeMessageVisibility; from the receive), seconds.
MAX_DELAY = 900.0
MAX_VISIBILITY = 43_200.0


@quick
@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A message as the queue sees it: a text and at most ten attributes."""

    body: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One delivery of a message.

    Attributes:
        envelope: what was sent.
        receipt: names this delivery to the queue.
        receives: how often the queue has delivered the message, this time included.
    """

    envelope: Envelope
    receipt: str
    receives: int = 1

    @property
    def names(self) -> dict[str, str]:
        """The operation's id and kind, for log lines; `-` if the message gives none that could be one: anybody may have written it."""
        given, valid = self.envelope.attributes, {"operation_id": is_operation_id, "kind": is_kind}
        return {name: text if fits(text := given.get(name, "")) else "-" for name, fits in valid.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """How many messages a queue says it holds. Approximate: the counts may lag by a minute."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


@quick
@dataclass(frozen=True, kw_only=True)
class Message:
    """An operation's message.

    Attributes:
        submission: what was accepted; `submission.status_key` travels as the attribute `status_key`.
        body: the input as JSON text, keys sorted, no spaces: the digest is over these bytes.
        traceparent, tracestate: the submitter's trace (W3C Trace Context), empty if there is none.
    """

    submission: Submission
    body: str
    traceparent: str = ""
    tracestate: str = ""

    def to_envelope(self) -> Envelope:
        """Write the message. It leaves out empty attributes, which SQS refuses."""
        submission = self.submission
        attributes = {
            "status_key": submission.status_key,
            "operation_id": submission.operation_id,
            "kind": submission.kind,
            "owner": submission.owner,
            "created_at": to_wire(submission.created_at),
            "version": _VERSION_TEXT,
        }
        if submission.digest:
            attributes["digest"] = submission.digest
        if submission.base_url:
            attributes["base_url"] = submission.base_url
        if self.traceparent:
            attributes["traceparent"] = self.traceparent
        if self.tracestate:
            attributes["tracestate"] = self.tracestate
        return Envelope(body=self.body, attributes=attributes)

    @classmethod
    def from_envelope(cls, envelope: Envelope) -> Message:
        """Read a message.

        Raises:
            UnsupportedMessage: its version is newer.
            MalformedMessage: an attribute is missing or cannot be read.
        """
        attributes = envelope.attributes
        version = attributes.get("version", "")
        if not re.fullmatch("[0-9]{1,9}", version):
            raise _malformed(attributes, f"the attribute version is {version!r}, not a number")
        if int(version) > VERSION:
            raise UnsupportedMessage(f"the message is of version {version}, this worker reads up to {VERSION}")
        try:
            submission = _submission(attributes)
        except (KeyError, ValueError) as error:
            raise _malformed(attributes, f"an attribute is missing or wrong: {error!r}") from error
        return cls(
            submission=submission,
            body=envelope.body,
            traceparent=attributes.get("traceparent", ""),
            tracestate=attributes.get("tracestate", ""),
        )


def _submission(attributes: Mapping[str, str]) -> Submission:
    for name, valid in (("operation_id", is_operation_id), ("kind", is_kind), ("owner", is_owner)):
        if not valid(attributes[name]):
            raise ValueError(f"{name}={attributes[name]!r}")
    created_at = to_milliseconds(from_wire(attributes["created_at"]))
    for name, most in MAX_LENGTHS.items():
        if len(attributes.get(name, "")) > most or not attributes.get(name, "").isprintable():
            raise ValueError(f"{name} has over {most} characters, or one that cannot be printed")
    if created_at.year > LAST_YEAR:
        raise ValueError(f"created_at={attributes['created_at']!r}")
    return Submission(
        operation_id=attributes["operation_id"],
        kind=attributes["kind"],
        owner=attributes["owner"],
        status_key=attributes["status_key"],
        digest=attributes.get("digest") or None,
        base_url=attributes.get("base_url", ""),
        created_at=created_at,
    )


def _malformed(attributes: Mapping[str, str], message: str) -> MalformedMessage:
    operation_id, owner = attributes.get("operation_id", ""), attributes.get("owner", "")
    known = is_operation_id(operation_id) and is_owner(owner)
    return MalformedMessage(message, operation_id=operation_id if known else None, owner=owner if known else None)


class Queue(Protocol):
    """A queue that delivers at least once, in no order.

    Every method raises DependencyUnavailable if the effect is unknown, DependencyRefused if the queue says no.
    """

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        """Put a message in. It can be received after `delay` seconds, at most MAX_DELAY."""

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        """Take up to `limit` messages (at most 10), waiting up to `wait` seconds (at most 20) for the first."""

    async def delete(self, delivery: Delivery) -> None:
        """Remove a delivered message for good. No error if it is gone, or was delivered again: an older receipt removes nothing."""

    async def hide(self, delivery: Delivery, *, seconds: float) -> None:
        """Hide the message from other receivers for this long from now; 0 gives it back. No error if it is gone."""

    async def depth(self) -> Depth:
        """Tell how many messages there are, approximately."""


@dataclass(kw_only=True, slots=True)
class _Held:
    envelope: Envelope
    visible_at: float
    receives: int = 0
    receipt: str = ""


@dataclass(kw_only=True)
class MemoryQueue:
    """The in-memory twin. Time is the running loop's, so it works under virtual time.

    Args:
        visibility: seconds for which a received message is hidden.
        dead_letters, max_receives: where a message goes after this many deliveries.
        receipts: numbers for receipts; queues that share them never repeat one.
    """

    visibility: float = 60.0
    dead_letters: Queue | None = None
    max_receives: int = 10
    receipts: itertools.count[int] = field(default_factory=itertools.count)
    _held: dict[int, _Held] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        number = next(self.receipts)
        self._held[number] = _Held(envelope=envelope, visible_at=_now() + min(delay, MAX_DELAY))
        self._arrived.set()

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        deadline = _now() + wait
        while True:
            self._arrived.clear()
            deliveries = await self._take(min(limit, 10))
            if deliveries or _now() >= deadline:
                return deliveries
            await self._next_change(deadline)

    async def delete(self, delivery: Delivery) -> None:
        number = self._find(delivery)
        if number is not None:
            del self._held[number]

    async def hide(self, delivery: Delivery, *, seconds: float) -> None:
        number = self._find(delivery)
        if number is not None and self._held[number].visible_at > _now():  # SQS: a message that is not in flight stays visible
            self._held[number].visible_at = _now() + min(seconds, MAX_VISIBILITY)
            self._arrived.set()

    async def depth(self) -> Depth:
        now = _now()
        hidden = [held for held in self._held.values() if held.visible_at > now]
        in_flight = sum(1 for held in hidden if held.receives)
        return Depth(visible=len(self._held) - len(hidden), in_flight=in_flight, delayed=len(hidden) - in_flight)

    def peek(self) -> list[Envelope]:
        """Return every message in the queue, delivered or not; for tests."""
        return [held.envelope for held in self._held.values()]

    async def _take(self, limit: int) -> list[Delivery]:
        now = _now()
        deliveries: list[Delivery] = []
        spent: list[int] = []
        for number, held in self._held.items():
            if held.visible_at > now:
                continue
            if self.dead_letters is not None and held.receives >= self.max_receives:
                spent.append(number)
                continue
            held.receives += 1
            held.receipt = f"{number}.{next(self.receipts)}"
            held.visible_at = now + self.visibility
            deliveries.append(Delivery(envelope=held.envelope, receipt=held.receipt, receives=held.receives))
            if len(deliveries) == limit:
                break
        for envelope in [self._held.pop(number).envelope for number in spent]:
            if self.dead_letters is not None:
                await self.dead_letters.send(envelope)
        return deliveries

    async def _next_change(self, deadline: float) -> None:
        """Wait for a send or a change, for the first hidden message to show, or for the deadline."""
        until = min([deadline, *(held.visible_at for held in self._held.values())])
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - _now())):
                await self._arrived.wait()

    def _find(self, delivery: Delivery) -> int | None:
        """Find the message that a delivery names; only the newest delivery names one."""
        number = int(delivery.receipt.partition(".")[0])
        held = self._held.get(number)
        return number if held is not None and held.receipt == delivery.receipt else None


def _now() -> float:
    return asyncio.get_running_loop().time()


#: W3C Trace Context: a `traceparent` (3.2), and a `tracestate` of at most the 512 characters that everybody has to carry (3.3.1.5).
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[ -~]{1,512}")


def carried(traceparent: str, tracestate: str) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` as they travel with an operation; empty if the standard does not allow them."""
    if not isinstance(traceparent, str) or not isinstance(tracestate, str) or not _TRACEPARENT.fullmatch(traceparent):
        return "", ""
    return traceparent, tracestate if _TRACESTATE.fullmatch(tracestate) else ""
