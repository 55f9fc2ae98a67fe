"""Both clients against a whole system in memory: many waits, and a store out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from offpoll import Offpoll, Operation
from offpoll.client import AsyncClient, Client
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.poll_plan import MAX_INTERVAL
from offpoll.testing import System, system

API = "https://api."


def shop() -> Offpoll:
    app = Offpoll()

    @app.operation("order")
    async def order(seconds: float, operation: Operation) -> float:
        for step in range(10):
            operation.progress(step / 10)
            await asyncio.sleep(seconds / 10)
        return seconds

    return app


class Firewall:
    """Lets a client's requests through to the API, and to the store only while it is `open`."""

    def __init__(self, made: System) -> None:
        self._through = made.async_client._transport
        self.open = False
        self.tried = 0

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        if fetch.to == "store" and not self.open:
            self.tried += 1
            await asyncio.sleep(min(fetch.timeout, 10.0))
            return NoAnswer(reason="timed out")
        return await self._through.send(fetch)

    async def close(self) -> None:
        """Close nothing."""


class BlockingFirewall:
    """The same for the sync client."""

    def __init__(self, made: System, firewall: Firewall) -> None:
        self._loop, self._firewall = made.loop, firewall

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        return self._loop.run_until_complete(self._firewall.send(fetch))

    def close(self) -> None:
        """Close nothing."""


def run_sync(made: System, firewall: Firewall, seconds: float, seen: Callable[[Any], None]) -> Any:
    client = Client(
        "https://api.invalid",
        transport=BlockingFirewall(made, firewall),
        sleep=made.advance,
        monotonic=made.loop.time,
        random=lambda: 0.5,
    )
    return client.wait(client.submit("order", seconds), timeout=3600, on_update=seen)


def run_async(made: System, firewall: Firewall, seconds: float, seen: Callable[[Any], None]) -> Any:
    async def main() -> Any:
        client = AsyncClient("https://api.invalid", transport=firewall, random=lambda: 0.5)
        return await client.wait(await client.submit("order", seconds), timeout=3600, on_update=seen)

    return made.run(main())


@pytest.fixture(params=[run_sync, run_async], ids=["sync", "async"])
def order(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Submit an order and wait for it, with the sync and with the async client."""
    return request.param


def test_the_store_is_out_of_reach(order: Callable[..., Any]) -> None:
    """The result comes at most one slow poll late. Progress is visible, the client asks the API rarely, and keeps trying the store."""
    with system(shop()) as made:
        firewall, shown = Firewall(made), []
        assert order(made, firewall, 300.0, shown.append) == 300.0
        assert 300.0 <= made.loop.time() <= 300.0 + 4 * 1.1 * MAX_INTERVAL + 10.0
        asked = [url for method, url, _ in made.requests if method == "GET"]
        assert all(url.startswith(API) for url in asked)
        assert 3 <= len(asked) <= 12
        assert firewall.tried >= len(asked)
    assert [each.status for each in shown][-1] == "succeeded"
    assert [each.progress for each in shown if each.progress]


def test_the_store_returns(order: Callable[..., Any]) -> None:
    """When the firewall opens, the polls go back to the store, and the client asks the API only for the result."""
    with system(shop()) as made:
        firewall = Firewall(made)
        made.loop.call_later(200.0, lambda: setattr(firewall, "open", True))
        assert order(made, firewall, 850.0, lambda _: None) == 850.0
        first = next(number for number, (_, url, _) in enumerate(made.requests) if not url.startswith(API))
        after = [url.startswith(API) for method, url, _ in made.requests[first:] if method == "GET"]  # an expired link is renewed by POST
        assert after == [False] * (len(after) - 1) + [True]
        assert len(after) > 2


@pytest.mark.parametrize("face", ["sync", "async"])
def test_many_orders(face: str) -> None:
    """Fifty orders awaited together come in the order of their tickets, and the client fetches each once."""

    async def main(made: System) -> list[Any]:
        tickets = [await made.async_client.submit("order", float(number)) for number in range(1, 51)]
        return [waited.result() for waited in await made.async_client.wait_all(tickets, timeout=3600)]

    with system(shop(), workers=3) as made:
        if face == "async":
            results = made.run(main(made))
        else:
            tickets = [made.client.submit("order", float(number)) for number in range(1, 51)]
            results = [waited.result() for waited in made.client.wait_all(tickets, timeout=3600)]
        assert results == [float(number) for number in range(1, 51)]
        assert sum(method == "GET" and url.startswith(API) for method, url, _ in made.requests) == 50
