"""How contract suites run coroutines: one event loop for each test. Knows no protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

__all__ = ["Running"]

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
