"""`offpoll.testing.system`: a whole service in memory, as users test theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from offpoll.app import Caller, Offpoll
from offpoll.document import Document
from offpoll.errors import ApiError, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.operation import Operation
from offpoll.settings import Settings
from offpoll.testing import System, system


def shop(**options: Any) -> Offpoll:
    app = Offpoll(**options)

    @app.operation("order")
    async def order(seconds: float, operation: Operation) -> dict[str, Any]:
        for step in range(10):
            operation.progress(step / 10)
            await asyncio.sleep(seconds / 10)
        if seconds == 13:
            raise ZeroDivisionError
        return {"took": seconds, "owner": operation.owner}

    return app


def test_the_sync_client() -> None:
    """A blocking client submits and waits with two requests to the API; the polls go to the store."""
    updates: list[Document] = []
    with system(shop()) as made:
        ticket = made.client.submit("order", 60)
        assert made.client.wait(ticket, timeout=300, on_update=updates.append) == {"took": 60, "owner": "public"}
        to_api = [(method, status) for method, url, status in made.requests if url.startswith("https://api.")]
        assert to_api == [("POST", 202), ("GET", 200)]
        assert 2 <= len(made.requests) - 2 <= 30
        assert 60 <= made.loop.time() <= 75
    assert [update.status for update in updates][-1] == "succeeded"
    ranks = [update.rank for update in updates]
    assert ranks == sorted(ranks)
    assert any(update.progress for update in updates)


def test_the_async_client() -> None:
    """An async client does the same, with many operations at once."""

    async def main(made: System) -> list[Any]:
        async def one(seconds: float) -> Any:
            ticket = await made.async_client.submit("order", seconds)
            return (await made.async_client.wait(ticket, timeout=600))["took"]

        return await asyncio.gather(*(one(seconds) for seconds in range(1, 13)))

    with system(shop(), workers=2) as made:
        assert made.run(main(made)) == list(range(1, 13))


def test_errors_of_the_client() -> None:
    """A failure, a cancellation, a timeout and a refusal reach the client as its errors."""
    with system(shop()) as made:
        with pytest.raises(OperationFailed, match="attempts_exhausted"):
            made.client.wait(made.client.submit("order", 13))
        ticket = made.client.submit("order", 500)
        with pytest.raises(WaitTimeout):
            made.client.wait(ticket, timeout=20)
        assert made.client.cancel(ticket).status == "canceled"
        with pytest.raises(OperationCanceled):
            made.client.wait(ticket)
        with pytest.raises(ApiError, match="not valid"):
            made.client.submit("order", "long")


def test_the_same_program_takes_the_same_steps() -> None:
    """Two runs of one program are equal to the last request and the last id."""

    def once() -> tuple[Any, ...]:
        with system(shop(), workers=3) as made:
            tickets = [made.client.submit("order", 5 + number, idempotency_key=str(number)) for number in range(5)]
            for ticket in tickets:
                made.client.wait(ticket)
            return made.loop.time(), tuple(made.requests)

    assert once() == once()


def test_a_worker_can_come_later() -> None:
    """Without a worker operations wait; one that starts later finishes them."""
    with system(shop(), workers=0) as made:
        ticket = made.client.submit("order", 1)
        made.advance(100)
        assert made.records._records == {}
        made.start_worker()
        assert made.client.wait(ticket)["took"] == 1


def test_no_thread_and_no_port() -> None:
    """Only this thread works, even with plain handlers and plain fetch hooks."""
    app, threads = Offpoll(), set()

    @app.operation("order")
    def order(number: int) -> int:
        threads.add(threading.get_ident())
        return number

    @app.fetch("order")
    def fetch(operation: Operation) -> int:
        threads.add(threading.get_ident())
        return 9

    before = threading.active_count()
    with system(app) as made:
        assert made.client.wait(made.client.submit("order", 1)) == 9
        assert threading.active_count() == before
    assert threads == {threading.get_ident()}


def test_lifespan() -> None:
    """The lifespan is entered once, before anything runs, and left at the end, even if the test fails."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[str]:
        events.append("up")
        yield "state"
        events.append("down")

    def fails() -> None:
        with system(shop(lifespan=lifespan), workers=2) as made:
            made.client.wait(made.client.submit("order", 1))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert events == ["up", "down"]


def test_a_lifespan_that_fails() -> None:
    """An error in the lifespan is raised here."""

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError), system(shop(lifespan=lifespan)):
        pass


def test_authorize_and_settings() -> None:
    """A test may choose the caller and the settings."""

    async def authorize(caller: Caller) -> str:
        return "Zoë"

    with system(shop(), authorize=authorize, settings=Settings(secret="t" * 32, public_url="https://shop.invalid")) as made:
        ticket = made.client.submit("order", 1)
        assert ticket.document.links["self"].startswith("https://shop.invalid/order/")
        made.advance(30)
        assert next(iter(made.records._records.values())).submission.owner == "Zoë"


def test_work_in_progress_at_the_end() -> None:
    """A test that ends while a handler runs ends at once and leaves nothing running."""
    with system(shop()) as made:
        made.client.submit("order", 10_000)
        made.advance(5)
    assert made.loop.is_closed()


def test_the_fixture(offpoll_system: Callable[..., System]) -> None:
    """The pytest fixture starts systems that end with the test."""
    first, second = offpoll_system(shop()), offpoll_system(shop(), workers=0)
    assert first.client.wait(first.client.submit("order", 1))["took"] == 1
    second.client.submit("order", 1)
