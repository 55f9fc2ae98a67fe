"""Queues that end: what `broker.py` keeps. A message is delivered, hidden, delivered again or deleted, as SQS does it.

    send ──► visible ──receive──► in flight ──delete──► gone
                ▲                     │
                └── its time is over ─┘

Each call says what time it is, seconds on any clock. Delays, redrives and FIFO are left out: no bench needs them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Queue"]


@dataclass(kw_only=True, slots=True)
class _Message:
    """What was sent, and what became of it."""

    identifier: str
    fields: dict[str, Any]
    receives: int = 0
    hidden_until: float = 0.0


@dataclass(kw_only=True)
class Queue:
    """One queue.

    Attributes:
        visibility: seconds for which a received message is hidden, unless its receiver says otherwise.
        held: whether nothing is delivered for now: a bench fills the queue first, and then lets the worker at it.
    """

    visibility: float = 30.0
    held: bool = False
    _visible: deque[_Message] = field(default_factory=deque)
    _in_flight: dict[str, _Message] = field(default_factory=dict)
    _returns: list[tuple[float, str]] = field(default_factory=list)  # a heap; what no longer fits its message is passed over
    _sent: int = 0
    _received: int = 0

    def send(self, fields: dict[str, Any]) -> str:
        """Take a message, `MessageBody` and `MessageAttributes`; return its id."""
        self._sent += 1
        message = _Message(identifier=f"{self._sent:032x}", fields=fields)
        self._visible.append(message)
        return message.identifier

    def receive(self, *, limit: int, visibility: float | None, now: float) -> Sequence[dict[str, Any]]:
        """Deliver up to `limit` messages, the oldest first, each with a receipt of its own."""
        self._return_what_is_due(now)
        count = 0 if self.held else min(limit, len(self._visible))
        return [self._deliver(self._visible.popleft(), now + (self.visibility if visibility is None else visibility)) for _ in range(count)]

    def delete(self, receipt: str) -> None:
        """Delete a message that is in flight; nothing where it was deleted, or delivered again."""
        self._in_flight.pop(receipt, None)

    def hide(self, receipt: str, *, seconds: float, now: float) -> None:
        """Hide a message that is in flight for so long from now on; 0 makes it visible at once."""
        message = self._in_flight.get(receipt)
        if message is not None:
            self._hide(receipt, message, until=now + seconds)
            self._return_what_is_due(now)

    def depth(self, *, now: float) -> tuple[int, int]:
        """Count the messages that are visible, and those in flight."""
        self._return_what_is_due(now)
        return len(self._visible), len(self._in_flight)

    @property
    def next_return(self) -> float | None:
        """When a message may next become visible again by itself."""
        return self._returns[0][0] if self._returns else None

    def _deliver(self, message: _Message, until: float) -> dict[str, Any]:
        message.receives += 1
        self._received += 1
        receipt = f"{self._received:x}" + "R" * 180  # as long as SQS's
        self._in_flight[receipt] = message
        self._hide(receipt, message, until=until)
        return {
            "MessageId": message.identifier,
            "ReceiptHandle": receipt,
            "Body": message.fields["MessageBody"],
            "MessageAttributes": message.fields.get("MessageAttributes", {}),
            "Attributes": {"ApproximateReceiveCount": str(message.receives)},
        }

    def _hide(self, receipt: str, message: _Message, *, until: float) -> None:
        message.hidden_until = until
        heapq.heappush(self._returns, (until, receipt))

    def _return_what_is_due(self, now: float) -> None:
        while self._returns and self._returns[0][0] <= now:
            due, receipt = heapq.heappop(self._returns)
            message = self._in_flight.get(receipt)
            if message is not None and message.hidden_until <= due:
                del self._in_flight[receipt]
                self._visible.append(message)
