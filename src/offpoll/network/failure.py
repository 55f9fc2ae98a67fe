"""The ways in which a request gets no response."""

from __future__ import annotations

__all__ = ["NetworkFailure", "Stale", "Unsendable"]


class NetworkFailure(Exception):  # noqa: N818 - users never see it: the caller translates it
    """No response came.

    Attributes:
        sent: whether the server may have received the request.
        hopeless: whether a retry cannot help: the other side speaks another protocol, or is not trusted.
        timed_out: whether none came in time.
    """

    def __init__(self, reason: str, *, sent: bool = True, hopeless: bool = False, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.sent, self.hopeless, self.timed_out = reason, sent, hopeless, timed_out


class Stale(Exception):  # noqa: N818 - expected of old connections, not an error
    """The peer closed a kept connection before it sent any byte of a response."""


class Unsendable(Exception):  # noqa: N818 - users never see it: the caller translates it
    """HTTP cannot express the request."""
