"""Which event loop and process an object's connections belong to, and what happens when others use it.

the same loop                              goes on
another loop, after the first has ended    takes the object over; the first one's connections are dropped
a forked process                           takes its copy over; the parent's connections are left alone
another loop, while the first still runs   ConfigurationError: connections cannot serve two loops at once
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["HomeLoop", "leave_to_the_parent"]

T = TypeVar("T")

#: What a forked child inherited and must never end. An event loop of the parent would take its sockets off the kernel's list, which both
#: processes share, and the parent would wait forever.
_LEFT: list[object] = []


class HomeLoop:
    """The event loop that something belongs to.

    Attributes:
        loop: the one that used it last; None before the first use. Compare it with the running loop, and call `move` if it differs.
    """

    __slots__ = ("_closing", "_process", "loop")

    def __init__(self) -> None:
        self.loop: AbstractEventLoop | None = None
        self._process = 0
        self._closing: AsyncGenerator[None, None] | None = None

    @property
    def inherited(self) -> bool:
        """Whether that loop is the parent process's."""
        return self.loop is not None and self._process != os.getpid()

    @property
    def lives(self) -> bool:
        """Whether that loop still runs, in this process."""
        return self.loop is not None and not self.inherited and self.loop.is_running()

    def own(self, things: list[T]) -> list[T]:
        """Return which of the loop's things this process may end: all, or none."""
        if self.inherited:
            leave_to_the_parent(things)
            return []
        return things

    def move(self, loop: AbstractEventLoop, *, left: object = None) -> bool:
        """Belong to another loop.

        Args:
            loop: the running one.
            left: what the last one leaves behind.

        Returns:
            Whether the caller may end that: False if it is the parent process's, or there is nothing.

        Raises:
            ConfigurationError: the last one still runs.
        """
        if self.lives:
            raise ConfigurationError(
                "this belongs to an event loop that still runs, but another one uses it now: make one for each event loop, or call it "
                "from that loop"
            )
        ours = self.loop is not None and not self.inherited
        if self.inherited:
            leave_to_the_parent((self.loop, self._closing, left))
        self.loop, self._process = loop, os.getpid()
        return ours

    async def close_with_it(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` before the running loop is closed: its runner ends its async generators first."""
        self._closing = self._at_the_end(close, self.loop)
        await anext(self._closing)

    async def _at_the_end(self, close: Callable[[], Awaitable[None]], loop: AbstractEventLoop | None) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self.loop is loop:
                await close()


def leave_to_the_parent(inherited: object) -> None:
    """Keep something that a forked child inherited, unused, until the child exits."""
    _LEFT.append(inherited)
