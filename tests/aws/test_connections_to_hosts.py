"""Hosts with several addresses, of which some are dead, and names that are looked up in vain: on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest
from tests.support.addresses import NO_ROUTE, REFUSES, SWALLOWS, WORKS, AsyncioLoop, UvloopLoop
from tests.support.http_peer import OK, Peer, ask

from offpoll.aws import connections as connections_module
from offpoll.aws.connections import Connections, Unreachable
from offpoll.network import dial

Named = Callable[[list[Sequence[str] | None], Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[AsyncioLoop, UvloopLoop])
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    """Run a coroutine on a loop with a resolver that follows a script."""
    monkeypatch.setattr(dial, "STAGGER", 0.001)
    with asyncio.Runner(loop_factory=request.param) as runner:

        def use(answers: list[Sequence[str] | None], work: Coroutine[Any, Any, Any]) -> Any:
            runner.get_loop().answers = answers  # type: ignore[attr-defined]
            return runner.run(work)

        yield use


async def to_host(peer: Peer, times: int = 1) -> list[int | str]:
    """Send requests to `two.example` at the peer's port; return each status, or why there is none."""
    connections = Connections(f"http://two.example:{peer.port}", host="h", tls=lambda: pytest.fail("no https"))
    found: list[int | str] = []
    try:
        for _ in range(times):
            try:
                found.append((await ask(connections)).status)
            except Unreachable as error:
                found.append(str(error))
    finally:
        await connections.close()
    return found


DEAD = [SWALLOWS, REFUSES, NO_ROUTE]


@pytest.mark.parametrize("addresses", [list(each) for many in range(4) for each in permutations(DEAD, many)], ids=" ".join)
def test_dead_addresses_before_a_living_one(named: Named, addresses: list[str]) -> None:
    """However many addresses are dead, and in whatever way, the living one is reached."""

    async def use() -> list[int | str]:
        async with (peer := Peer([OK])):
            return await to_host(peer)

    assert named([[*addresses, WORKS]], use()) == [200]


@pytest.mark.parametrize(("addresses", "why"), [([REFUSES], "refused"), ([NO_ROUTE, REFUSES], "refused"), ([], "no address")])
def test_only_dead_addresses(named: Named, addresses: list[str], why: str) -> None:
    """If all addresses are dead, the error says why."""

    async def use() -> list[int | str]:
        async with (peer := Peer([OK])):
            return await to_host(peer)

    [said] = named([addresses], use())
    assert why in str(said)


def test_only_silent_addresses(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no address responds, the time to connect is over for all of them together."""
    monkeypatch.setattr(connections_module, "CONNECT_TIMEOUT", 0.02)

    async def use() -> list[int | str]:
        async with (peer := Peer([OK])):
            return await to_host(peer)

    assert named([[SWALLOWS] * 3], use()) == ["no connection in time"]


def test_a_name_that_is_found_again(named: Named) -> None:
    """A look-up that fails, or gives a dead address, is not remembered: the next request looks the name up again."""

    async def use() -> list[int | str]:
        async with (peer := Peer([OK])):
            return await to_host(peer, times=3)

    first, second, third = named([None, [REFUSES], [WORKS]], use())
    assert "name resolution" in str(first)
    assert "refused" in str(second)
    assert third == 200


def test_the_slower_connection_is_closed(named: Named) -> None:
    """Of two addresses that both respond, one connection is used, and no other one stays open."""

    async def use() -> tuple[list[int | str], int]:
        async with (peer := Peer([OK])):
            found = await to_host(peer)
            return found, len(peer.asked)

    assert named([[WORKS, WORKS]], use()) == ([200], 1)
