"""What only the async client does, and what only the sync one refuses."""

from __future__ import annotations

import asyncio

import pytest

from offpoll.client import AsyncClient, Client
from offpoll.errors import ConfigurationError
from offpoll.testing.virtual import run_virtual


class Transport:
    def __init__(self, world):
        self.world = world

    async def send(self, fetch):
        await asyncio.sleep(1.0)
        return self.world.answer(fetch)

    async def close(self):
        pass


def test_time_since_the_submit_counts(world):
    """The time between submit and wait counts towards the first wait, and so does the time that requests take."""

    async def main():
        world.on("POST /order", world.accepted())
        world.on("GET /status/1", world.shows(world.document("succeeded")))
        world.on(f"GET /order/{world.document().id}", world.json({}))
        async with AsyncClient(world.api, transport=Transport(world), random=lambda: 0.0) as client:
            ticket = await client.submit("order", {})
            await asyncio.sleep(4.0)
            await client.wait(ticket)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(1.0 + 10.0 + 1.0 + 1.0)


def test_async_callables(world):
    """`auth` and `on_update` may be async."""
    shown = []

    async def auth():
        await asyncio.sleep(0.1)
        return {"Authorization": "Bearer t"}

    async def on_update(document):
        await asyncio.sleep(0.1)
        shown.append(document.status)

    async def main():
        world.on("GET /status/1", world.shows(world.document("succeeded")))
        world.on(f"GET /order/{world.document().id}", world.json({"total": 5}))
        client = AsyncClient(world.api, auth=auth, transport=Transport(world))
        return await client.wait(world.ticket(), on_update=on_update)

    assert run_virtual(main()) == {"total": 5}
    assert shown == ["succeeded"]
    assert world.seen[-1].headers["Authorization"] == "Bearer t"


def test_async_auth_needs_the_async_client(world):
    """The sync client refuses an async `auth` and names the AsyncClient."""

    async def auth():
        return {}

    class Sync:
        def send(self, fetch):
            raise AssertionError

        def close(self):
            pass

    with pytest.raises(ConfigurationError, match="AsyncClient"):
        Client(world.api, auth=auth, transport=Sync()).submit("order", {})


def test_many_waits_at_once(world):
    """Waits of one async client run side by side."""

    async def main():
        world.on("GET /status/1", world.shows(world.document("succeeded")))
        world.on(f"GET /order/{world.document().id}", world.json({}))
        client = AsyncClient(world.api, transport=Transport(world), random=lambda: 0.0)
        await asyncio.gather(*(client.wait(world.ticket()) for _ in range(50)))
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(12.0)
