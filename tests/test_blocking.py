"""The service and the board for code that does not await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.memory import memory_dependencies

from offpoll.blocking import BlockingBoard
from offpoll.board import StatusBoard
from offpoll.errors import OperationNotFound
from offpoll.memory_store import MemoryDocumentStore
from offpoll.queue import Depth
from offpoll.service import Offpoll, Service
from offpoll.settings import Settings

ID = "0" * 32


def service(lifespan: Callable[[Offpoll], Any] | None = None, *, closed: list[str] | None = None) -> Service:
    app = Offpoll(lifespan=lifespan)

    @app.operation("order")
    async def create_order(number: int) -> int:
        return number

    async def close() -> None:
        if closed is not None:
            closed.append("closed")

    dependencies = memory_dependencies(close=close)
    return Service(app, settings=Settings(secret="0" * 32), dependencies=dependencies)


def threads() -> int:
    return sum(thread.name == "offpoll-blocking" for thread in threading.enumerate())


def test_the_calls() -> None:
    """Every call of the service is there, and returns and raises what the awaited one does."""
    with service().blocking as blocking:
        ticket = blocking.submit("order", 5, idempotency_key="k")
        assert blocking.submit("order", 5, idempotency_key="k").operation_id == ticket.operation_id
        assert blocking.order("order", ticket.operation_id).document.status == "queued"
        assert blocking.status_link("order", ticket.operation_id).href.startswith("https://")
        assert blocking.cancel("order", ticket.operation_id).status == "canceled"
        with pytest.raises(OperationNotFound):
            blocking.order("order", ID)
        with pytest.raises(OperationNotFound):
            blocking.resubmit(ID)
    assert threads() == 0


def test_nothing_goes_on_after_it() -> None:
    """A look at the counters that is under way when it is closed ends with it, after the lifespan."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        events.append("down")

    async def slow() -> Depth:
        try:
            await asyncio.sleep(3600)
        finally:
            events.append("ended")
        return Depth()

    slowly = service(lifespan)
    slowly.dependencies.queue.depth = slow  # type: ignore[method-assign]
    with slowly.blocking as blocking:
        blocking.submit("order", 5)
    assert events == ["down", "ended"]


def test_the_lifespan_is_entered_and_left() -> None:
    """The app's lifespan surrounds the calls, and connections are closed after it; closing twice does no harm."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[str]:
        events.append("up")
        yield "state"
        events.append("down")

    blocking = service(lifespan, closed=events).blocking
    assert events == ["up"]
    blocking.close()
    blocking.close()
    assert events == ["up", "down", "closed"]


def test_a_lifespan_that_fails() -> None:
    """Where the lifespan raises, so does `blocking`, and no thread is left; the next use tries again."""
    attempts: list[int] = []
    closed: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        attempts.append(1)
        if len(attempts) == 1:
            raise ZeroDivisionError
        yield

    made = service(lifespan, closed=closed)
    with pytest.raises(ZeroDivisionError):
        _ = made.blocking
    assert (threads(), closed) == (0, ["closed"])
    with made.blocking:
        assert threads() == 1


def test_a_lifespan_that_fails_at_the_end() -> None:
    """What the lifespan raises when it is left is raised by `close`, and no thread is left."""

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    blocking = service(lifespan).blocking
    with pytest.raises(ZeroDivisionError):
        blocking.close()
    assert threads() == 0


def test_threads_share_one() -> None:
    """Threads that ask for the blocking face at the same time get the same one: its lifespan is entered once."""
    entered: list[int] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        entered.append(1)
        for _ in range(2000):  # long enough for every thread to come by, without a pause
            await asyncio.sleep(0)
        yield

    made, together = service(lifespan), threading.Barrier(8)

    def use(_: int) -> object:
        together.wait()
        return made.blocking

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(use, range(8)))
    assert (len(found), len(entered)) == (1, 1)
    made.blocking.close()


def test_a_board() -> None:
    """A board alone opens and publishes, and closes its connections."""
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    with BlockingBoard(StatusBoard(store=MemoryDocumentStore()), close) as board:
        assert board.open(ID, kind="order").href.startswith("https://")
        assert board.publish(ID, status="succeeded", result="1").done
    assert (closed, threads()) == (["closed"], 0)


def test_what_is_refused() -> None:
    """A refusal is raised in the caller's thread, with its type."""
    with service().blocking as blocking:
        ticket = blocking.submit("order", 5)
        blocking.cancel("order", ticket.operation_id)
        with pytest.raises(OperationNotFound):
            blocking.cancel("order", ticket.operation_id, owner="another")
