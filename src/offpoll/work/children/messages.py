"""What a worker and its children (`--processes`) say to each other, and its form on the wire: a length, then a pickle.

    parent ── Run, Halt ──────────────────────► child
    parent ◄── Ready | Unable, Report, Done ─── child

Both ends are the same program on one machine, so a pickle is safe between them. Must not know who acts on a message, or how.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from offpoll.kind import Kind
from offpoll.operation import Progress, Record
from offpoll.queue import Delivery, Message
from offpoll.settings import Settings
from offpoll.work.handle import Ended, Errored
from offpoll.work.job import Stop

__all__ = ["HEADER", "Application", "Done", "Errand", "Halt", "Ready", "Report", "Run", "Unable", "pack", "unpack"]

#: Before each pickle: how many bytes it has.
HEADER = struct.Struct("!I")


class Application(Protocol):
    """What a child needs of a service: an `Offpoll` is one."""

    def kinds(self, settings: Settings) -> dict[str, Kind]:
        """Return the kinds by name."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Enter the lifespan, and yield its state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What a child is started with.

    Attributes:
        reference: names the service, as `orders:app`.
        load: makes it from that. A function at the top of a module: the child imports it by its name.
        result_limit: bytes.
        log_level: of the root logger.
    """

    reference: str
    load: Callable[[str], Application]
    result_limit: int
    log_level: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Run a handler. `number` is the child's count of them: what comes late names another one."""

    number: int
    delivery: Delivery
    message: Message
    token: str
    record: Record | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """Stop the handler."""

    number: int
    reason: Stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The service is imported, its lifespan entered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unable:
    """The service cannot be imported, or its lifespan not entered."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The handler's newest progress."""

    number: int
    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The handler has ended, and the child is free. `ended` is None where it was stopped."""

    number: int
    ended: Ended | Errored | None


def pack(message: object) -> bytes:
    """Write a message with its header."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(data)) + data


def unpack(data: bytes) -> object:
    """Read a message, the header taken off."""
    return pickle.loads(data)  # noqa: S301 - written by this program itself, over a socket pair that nobody else has
