"""Runs the coroutines of contract suites, in one event loop for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import pytest

__all__ = ["WRITERS", "Running"]

#: Contenders of a race.
WRITERS = 64

T = TypeVar("T")


class Running:
    """A suite whose tests run coroutines in one event loop each."""

    _runner: asyncio.Runner

    @pytest.fixture(autouse=True)
    def loop(self) -> Iterator[asyncio.AbstractEventLoop]:
        """The loop of one test."""
        with asyncio.Runner() as runner:
            self._runner = runner
            yield runner.get_loop()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end."""
        return self._runner.run(coroutine)

    def race(self, contenders: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Start all contenders at once and return their results in order. What one raises, this raises."""

        async def start() -> list[T]:
            return await asyncio.gather(*contenders)

        return self.run(start())

    def contest(self, contenders: Iterable[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        """Do the same, but return a loser's exception in place of its result."""

        async def start() -> list[T | BaseException]:
            return await asyncio.gather(*contenders, return_exceptions=True)

        return self.run(start())
