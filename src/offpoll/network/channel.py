"""A channel of bytes: the connection itself, or TLS over another channel (`tls`)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeAlias, TypeVar

__all__ = ["CHUNK", "Channel", "Plain", "Steps"]

T = TypeVar("T")

#: What a driver does for a conversation: send bytes, or for None receive some and give them back; no bytes mean the end.
Steps: TypeAlias = Generator[bytes | None, bytes, T]

#: Bytes to take at once: the longest TLS record and more.
CHUNK = 65_536


class Channel(Protocol):
    """Carries bytes both ways."""

    def send(self, data: bytes) -> Steps[None]:
        """Send bytes."""

    def receive(self) -> Steps[bytes]:
        """Return the bytes that came next; none at the end."""

    @property
    def holds(self) -> bool:
        """Whether it took bytes off the connection that nobody has received yet."""


class Plain:
    """The connection itself."""

    def send(self, data: bytes) -> Steps[None]:
        """Send bytes."""
        yield data

    def receive(self) -> Steps[bytes]:
        """Return the bytes that came next."""
        return (yield None)

    @property
    def holds(self) -> bool:
        """Whether it holds bytes: it never does."""
        return False
