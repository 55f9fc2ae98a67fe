"""A client whose machine is suspended in the middle of a wait: a laptop that is closed in the evening and opened in the morning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.client_store import Store

from offpoll import freezes
from offpoll.client import AsyncClient, Client, asynchronous, blocking
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.freezes import NAP, FreezeCounter
from offpoll.testing import run_virtual

#: The suspension: when it begins, and how long it lasts, seconds.
AT, FOR = 7.0, 8 * 3600.0

#: When the first poll is due, and no poll may be as late after waking, seconds.
FIRST = 3000.0


class Machine:
    """A machine that is suspended once. Only its wall clock notices."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran = 0.0
        self.clock: Callable[[], float] = lambda: self.ran
        start = datetime(2030, 1, 1, tzinfo=UTC)
        counter = FreezeCounter(monotonic=self.monotonic, clock=lambda: start + timedelta(seconds=self.wall()))
        for module in (freezes, blocking, asynchronous):
            monkeypatch.setattr(module, "THIS_PROCESS", counter)
        monkeypatch.setattr("time.sleep", self.nap)

    def monotonic(self) -> float:
        return self.clock()

    def wall(self) -> float:
        return self.monotonic() + (FOR if self.monotonic() >= AT else 0.0)

    def nap(self, seconds: float) -> None:
        self.ran += seconds


class Transport:
    def __init__(self, store: Store) -> None:
        self._store = store

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        return self._store.answer(fetch)

    def close(self) -> None:
        """Close nothing."""


class AsyncTransport(Transport):
    async def send(self, fetch: Fetch) -> Response | NoAnswer:  # type: ignore[override]
        return self._store.answer(fetch)

    async def close(self) -> None:  # type: ignore[override]
        """Close nothing."""


def woken(result: Any, ran: float) -> None:
    """Assert that a wait ended with the operation's result, at most a nap after the machine woke."""
    assert result == {"number": 1}
    assert AT <= ran <= AT + NAP


@pytest.mark.parametrize("timeout", [None, 300.0, 3 * 3600.0])
@pytest.mark.parametrize("many", [False, True])
def test_a_blocking_wait(world: Any, monkeypatch: pytest.MonkeyPatch, timeout: float | None, *, many: bool) -> None:
    """Soon after waking, the client polls; if its time is up meanwhile, it polls once more and finds the end."""
    machine, store = Machine(monkeypatch), Store(world)
    ticket = store.ticket(1, "succeeded", first=FIRST)
    client = Client(world.api, transport=Transport(store), random=lambda: 0.0)
    if many:
        (waited,) = client.wait_all([ticket], timeout=timeout)
        woken(waited.result(), machine.ran)
    else:
        woken(client.wait(ticket, timeout=timeout), machine.ran)


@pytest.mark.parametrize("timeout", [None, 300.0, 3 * 3600.0])
@pytest.mark.parametrize("many", [False, True])
def test_an_awaited_wait(world: Any, monkeypatch: pytest.MonkeyPatch, timeout: float | None, *, many: bool) -> None:
    """The same, for the async client."""
    machine, store = Machine(monkeypatch), Store(world)
    ticket = store.ticket(1, "succeeded", first=FIRST)

    async def main() -> tuple[Any, float]:
        machine.clock = asyncio.get_running_loop().time
        client = AsyncClient(world.api, transport=AsyncTransport(store), random=lambda: 0.0)
        if many:
            (waited,) = await client.wait_all([ticket], timeout=timeout)
            return waited.result(), machine.monotonic()
        return await client.wait(ticket, timeout=timeout), machine.monotonic()

    woken(*run_virtual(main()))
