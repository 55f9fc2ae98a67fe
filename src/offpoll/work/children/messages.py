"""The messages between a worker and its child processes (`--processes`). On the wire each is a length, then a pickle.

    parent ── Run, Halt ──────────────────────► child
    parent ◄── Ready | Unable, Report, Done ─── child

Both ends are the same program on one machine, so pickles are safe between them.
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

__all__ = ["HEADER", "Application", "ChildSetup", "Done", "Halt", "Ready", "Report", "Run", "Unable", "pack", "unpack"]

#: The header of each pickle: its length in bytes.
HEADER = struct.Struct("!I")


class Application(Protocol):
    """What a child needs of the app; `Offpoll` satisfies it."""

    def kinds(self, settings: Settings) -> dict[str, Kind]:
        """Return the kinds by name."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Enter the lifespan, and yield its state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSetup:
    """Tells a child how to load the app.

    Attributes:
        reference: names the app, such as `orders:app`.
        load: loads it. A module-level function, because the child imports it by name.
        result_limit: bytes.
        log_level: of the root logger.
        log_format: `json` or `text`.
    """

    reference: str
    load: Callable[[str], Application]
    result_limit: int
    log_level: int
    log_format: str = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Run a handler. `number` counts a child's runs, so that late messages are recognised."""

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
    """The child has loaded the app and entered its lifespan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unable:
    """The child cannot load the app or enter its lifespan."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The handler's newest progress."""

    number: int
    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The handler has ended, and the child is free. `ended` is None if the handler was stopped."""

    number: int
    ended: Ended | Errored | None


def pack(message: object) -> bytes:
    """Return a message as bytes, with its header."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(data)) + data


def unpack(data: bytes) -> object:
    """Return the message in `data`, which has no header."""
    return pickle.loads(data)  # noqa: S301 - this program wrote it itself, over a private socket pair
