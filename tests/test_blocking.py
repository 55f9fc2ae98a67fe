"""The service and the status board for code that does not await."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.memory_dependencies import memory_dependencies

from offpoll.app import Offpoll
from offpoll.blocking import Service, StatusBoard
from offpoll.board import AsyncStatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import ConfigurationError, DependencyUnavailable, OperationNotFound
from offpoll.queue import Depth
from offpoll.service import AsyncService
from offpoll.settings import Settings

ID = "0" * 32


def service(lifespan: Callable[[Offpoll], Any] | None = None, *, closed: list[str] | None = None) -> AsyncService:
    app = Offpoll(lifespan=lifespan)

    @app.operation("order")
    async def create_order(number: int) -> int:
        return number

    async def close() -> None:
        if closed is not None:
            closed.append("closed")

    dependencies = memory_dependencies(close=close)
    return AsyncService(app, settings=Settings(secret="0" * 32), dependencies=dependencies)


def threads() -> int:
    return sum(thread.name == "offpoll-blocking" for thread in threading.enumerate())


def test_calls_return_and_raise_what_the_awaited_ones_do() -> None:
    """The blocking service has every call of the async one, with the same results and errors."""
    with Service(service()) as blocking:
        ticket = blocking.submit("order", 5, idempotency_key="k")
        assert blocking.submit("order", 5, idempotency_key="k").operation_id == ticket.operation_id
        assert blocking.get("order", ticket.operation_id).document.status == "queued"
        assert blocking.status_link("order", ticket.operation_id).href.startswith("https://")
        assert blocking.cancel("order", ticket.operation_id).status == "canceled"
        with pytest.raises(OperationNotFound):
            blocking.get("order", ID)
        with pytest.raises(OperationNotFound):
            blocking.resubmit(ID)
    assert threads() == 0


def test_closing_ends_work_in_the_background() -> None:
    """Closing the service first leaves the lifespan, then cancels a reading of the queue's counters that is under way."""
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
    with Service(slowly) as blocking:
        blocking.submit("order", 5)
    assert events == ["down", "ended"]


def test_the_lifespan_is_entered_and_left() -> None:
    """The app's lifespan surrounds the calls, and the connections close after it. Closing twice does no harm."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[str]:
        events.append("up")
        yield "state"
        events.append("down")

    blocking = Service(service(lifespan, closed=events))
    assert events == ["up"]
    blocking.close()
    blocking.close()
    assert events == ["up", "down", "closed"]


def test_a_lifespan_that_fails_at_the_start() -> None:
    """If the lifespan raises, `Service` raises the same error and leaves no thread. The next attempt starts afresh."""
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
        _ = Service(made)
    assert (threads(), closed) == (0, ["closed"])
    with Service(made):
        assert threads() == 1


def test_a_lifespan_that_fails_at_the_end() -> None:
    """If the lifespan raises on exit, `close` raises the same error and leaves no thread."""

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    blocking = Service(service(lifespan))
    with pytest.raises(ZeroDivisionError):
        blocking.close()
    assert threads() == 0


def test_a_board() -> None:
    """A status board works without a service: it opens, publishes, and closes its connections."""
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    with StatusBoard(AsyncStatusBoard(store=MemoryDocumentStore()), close) as board:
        opened = board.open(ID, kind="order")
        assert opened.href.startswith("https://")
        key = board.key(ID)
        assert board.link(key).href.partition("?")[0] == opened.href.partition("?")[0]
        stored = board.read(key)
        assert stored is not None
        assert stored.document.status == "queued"
        assert board.read(board.key("1" * 32)) is None
        assert board.publish(ID, status="succeeded", result=1).done
    assert (closed, threads()) == (["closed"], 0)


def test_a_refusal_keeps_its_type() -> None:
    """A refusal is raised in the caller's thread, with its own type."""
    with Service(service()) as blocking:
        ticket = blocking.submit("order", 5)
        blocking.cancel("order", ticket.operation_id)
        with pytest.raises(OperationNotFound):
            blocking.cancel("order", ticket.operation_id, owner="another")


@pytest.mark.parametrize("at", ["start", "end"])
def test_a_lifespan_that_exits(at: str) -> None:
    """`sys.exit` in a lifespan is raised in the caller's thread; on the loop it would end that, and leave every caller waiting."""

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        if at == "start":
            sys.exit("no database")
        yield
        sys.exit("no database")

    with pytest.raises(SystemExit, match="no database"):
        Service(service(lifespan)).close()
    assert threads() == 0


def test_threads_close_together() -> None:
    """Two threads that close one service both return, and the lifespan is left once."""
    left: list[int] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(0)
        left.append(1)

    for _ in range(20):
        blocking = Service(service(lifespan))
        with ThreadPoolExecutor(2) as pool:
            for each in [pool.submit(blocking.close) for _ in range(2)]:
                each.result(timeout=60)
    assert (len(left), threads()) == (20, 0)


def test_a_call_while_another_thread_closes() -> None:
    """A thread that submits while another one closes gets an error, and is not left waiting."""
    for _ in range(50):
        blocking = Service(service())
        together = threading.Barrier(5)

        def submit(blocking: Service = blocking, together: threading.Barrier = together) -> None:
            together.wait()
            while True:
                blocking.submit("order", 5)

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(submit) for _ in range(4)]
            together.wait()
            blocking.close()
            for each in calls:
                with pytest.raises((ConfigurationError, DependencyUnavailable)):
                    each.result(timeout=60)


def test_use_after_close() -> None:
    """A closed service says so at once."""
    blocking = Service(service())
    blocking.close()
    with pytest.raises(ConfigurationError, match="closed"):
        blocking.submit("order", 5)
