"""Closed, foreign and shared objects: every public method of every public object works, or says at once what is wrong."""

from __future__ import annotations

import asyncio
import gc
import inspect
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.fake_aws import FakeAws, fake_aws

from offpoll import AsyncClient, Client, Offpoll, async_connect, async_status_board, connect, status_board
from offpoll.errors import ConfigurationError
from offpoll.testing.virtual import VirtualLoop
from offpoll.ticket import Ticket

ID = "0" * 32

#: Seconds after which an answer is not at once.
AT_ONCE = 1.0

app = Offpoll()


@app.operation("order")
def order(number: int) -> int:
    return number


def ticket() -> Ticket:
    with fake_aws() as fake:
        fake.api.base = "http://127.0.0.1:9"
        status, headers, body = fake.api.answer("POST", "/order")
    return Ticket.from_answer(status=status, headers=headers, body=body)


TICKET = ticket()

#: How each method is called.
SERVICE: dict[str, Callable[[Any], Any]] = {
    "submit": lambda it: it.submit("order", 1),
    "get": lambda it: it.get("order", ID),
    "status_link": lambda it: it.status_link("order", ID),
    "cancel": lambda it: it.cancel("order", ID),
    "resubmit": lambda it: it.resubmit(ID),
}
BLOCKING_SERVICE = {**SERVICE, "run": lambda it: it.run(lambda own: own.get("order", ID)), "__enter__": lambda it: it.__enter__()}
AWAITED_SERVICE = {**SERVICE, "find": lambda it: it.find("order", ID), "ready": lambda it: it.ready()}
BOARD: dict[str, Callable[[Any], Any]] = {
    "open": lambda it: it.open(secrets.token_hex(16), kind="order"),
    "key": lambda it: it.key(ID),
    "link": lambda it: it.link(f"status/public/{ID}"),
    "read": lambda it: it.read(f"status/public/{ID}"),
    "publish": lambda it: it.publish(ID, status="running"),
    "__enter__": lambda it: it.__enter__(),
}
CLIENT: dict[str, Callable[[Any], Any]] = {
    "submit": lambda it: it.submit("order", {}),
    "resume": lambda it: it.resume(f"{it._guard.base_url}/order/{ID}"),
    "wait": lambda it: it.wait(TICKET),
    "wait_all": lambda it: it.wait_all([TICKET]),
    "as_completed": lambda it: it.as_completed([TICKET]),
    "poll": lambda it: it.poll(TICKET),
    "result": lambda it: it.result(TICKET),
    "cancel": lambda it: it.cancel(TICKET),
}
BLOCKING_CLIENT = {**CLIENT, "__enter__": lambda it: it.__enter__()}
AWAITED_CLIENT = {**CLIENT, "__aenter__": lambda it: it.__aenter__()}

#: Methods that need no call of the above: they end an object, or are asked about one.
OTHER = {"close", "settings", "app", "state", "kinds", "dependencies", "kind", "retry_after", "running"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with fake_aws() as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


def made(kind: str, aws: FakeAws) -> Any:
    make: dict[str, Callable[[], Any]] = {
        "Service": lambda: connect(app),
        "AsyncService": lambda: async_connect(app),
        "StatusBoard": status_board,
        "AsyncStatusBoard": async_status_board,
        "Client": lambda: Client(aws.api.base),
        "AsyncClient": lambda: AsyncClient(aws.api.base),
    }
    return make[kind]()


async def finished(result: Any) -> Any:
    """Await a result, or take the first item of an iterator."""
    if inspect.isasyncgen(result):
        try:
            return await anext(result)
        finally:
            await result.aclose()
    return await result if inspect.isawaitable(result) else result


def done(result: Any) -> Any:
    return next(result) if inspect.isgenerator(result) else result


async def closed(it: Any) -> None:
    """Close an awaited object."""
    if hasattr(it, "running"):
        async with it.running():
            pass
    else:
        await it.close()
        await it.close()


@pytest.mark.parametrize(
    ("kind", "method", "call"),
    [
        (kind, method, call)
        for kind, calls in {"Service": BLOCKING_SERVICE, "StatusBoard": BOARD, "Client": BLOCKING_CLIENT}.items()
        for method, call in calls.items()
    ],
)
def test_a_closed_object(aws: FakeAws, kind: str, method: str, call: Callable[[Any], Any]) -> None:
    """A closed object refuses every call at once, and takes a second close."""
    it = made(kind, aws)
    it.close()
    it.close()
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match="was closed"):
        done(call(it))
    assert time.monotonic() - began < AT_ONCE
    it.close()


@pytest.mark.parametrize(
    ("kind", "method", "call"),
    [
        (kind, method, call)
        for kind, calls in {"AsyncService": AWAITED_SERVICE, "AsyncClient": AWAITED_CLIENT}.items()
        for method, call in calls.items()
    ],
)
def test_a_closed_awaited_object(aws: FakeAws, kind: str, method: str, call: Callable[[Any], Any]) -> None:
    """The same, awaited."""

    async def main() -> None:
        it = made(kind, aws)
        await closed(it)
        began = time.monotonic()
        with pytest.raises(ConfigurationError, match="was closed"):
            await finished(call(it))
        assert time.monotonic() - began < AT_ONCE

    asyncio.run(main())


def test_the_tables_are_whole() -> None:
    """Every public method of every public object is in one of the tables."""
    from offpoll import AsyncService, AsyncStatusBoard, Service, StatusBoard

    for kind, calls in [(Service, BLOCKING_SERVICE), (AsyncService, AWAITED_SERVICE), (StatusBoard, BOARD), (Client, BLOCKING_CLIENT),
                        (AsyncClient, AWAITED_CLIENT)]:  # fmt: skip
        public = {name for name, member in inspect.getmembers(kind) if callable(member) and not name.startswith("_")}
        assert public - OTHER <= calls.keys(), kind
    assert {"open", "key", "link", "read", "publish"} <= set(dir(AsyncStatusBoard))


AWAITED: dict[str, Callable[[Any], Any]] = {
    "AsyncService": lambda it: it.submit("order", 1),
    "AsyncStatusBoard": lambda it: it.open(secrets.token_hex(16), kind="order"),
    "AsyncClient": lambda it: it.submit("order", {}),
}


@pytest.mark.parametrize("kind", AWAITED)
def test_one_loop_after_the_other(aws: FakeAws, kind: str) -> None:
    """An awaited object serves each of several `asyncio.run`, and leaves nothing open."""

    async def use(it: Any) -> None:
        await AWAITED[kind](it)

    def use_often(it: Any) -> None:
        for _ in range(3):
            began = time.monotonic()
            asyncio.run(use(it))
            assert time.monotonic() - began < AT_ONCE
        if kind == "AsyncClient":  # its sockets belong to no loop: only `close` ends them
            asyncio.run(it.close())

    use_often(made(kind, aws))
    gc.collect()  # an open connection would warn


@pytest.mark.parametrize("kind", AWAITED)
def test_another_loop_beside_the_first(aws: FakeAws, kind: str) -> None:
    """While its loop runs, an awaited object works on another one too, or refuses at once, and still works on its own."""

    async def main() -> None:
        it = made(kind, aws)
        await AWAITED[kind](it)
        found: list[Any] = []

        async def use() -> None:
            await AWAITED[kind](it)

        def elsewhere() -> None:
            began = time.monotonic()
            try:
                asyncio.run(use())
                found.append("worked")
            except ConfigurationError as error:
                found.append(str(error))
            found.append(time.monotonic() - began)

        await asyncio.to_thread(elsewhere)
        assert found[0] == "worked" or "another one uses it now" in found[0]
        assert found[1] < AT_ONCE
        await AWAITED[kind](it)
        if kind == "AsyncClient":
            await it.close()

    asyncio.run(main())


def test_a_lifespan_that_calls_its_own_service(aws: FakeAws) -> None:
    """A blocking service that is called on its own loop would wait for itself: it says so at once."""
    said: list[str] = []
    services: list[Any] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        with pytest.raises(ConfigurationError, match="would wait for itself: use AsyncService") as caught:
            services[0].submit("order", 1)
        with pytest.raises(ConfigurationError, match="would wait for itself"):
            services[0].close()
        said.append(str(caught.value))

    own = Offpoll(lifespan=lifespan)
    own.operation("order")(order)
    services.append(connect(own))
    services[0].close()
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["Service", "StatusBoard", "Client"])
def test_a_blocking_object_in_a_running_loop(aws: FakeAws, kind: str) -> None:
    """A blocking call inside a coroutine blocks its loop, and ends."""

    async def main() -> None:
        it = made(kind, aws)
        (BOARD["open"] if kind == "StatusBoard" else SERVICE["submit"] if kind == "Service" else CLIENT["submit"])(it)
        it.close()

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 2 * AT_ONCE


@pytest.mark.parametrize("kind", ["Service", "StatusBoard", "Client"])
def test_threads_share_it(aws: FakeAws, kind: str) -> None:
    """Several threads may use one blocking object at once, from its first call on."""
    it, failed = made(kind, aws), []
    call = BOARD["open"] if kind == "StatusBoard" else SERVICE["submit"] if kind == "Service" else CLIENT["submit"]

    def use() -> None:
        try:
            call(it)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    it.close()
    assert failed == []


@pytest.mark.parametrize("kind", ["Service", "StatusBoard"])
def test_forgotten_without_a_close(aws: FakeAws, kind: str) -> None:
    """An object that is forgotten warns, leaves its lifespan and ends its thread."""
    left: list[int] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[None]:
        yield
        left.append(1)

    own = Offpoll(lifespan=lifespan)
    own.operation("order")(order)

    def forget() -> threading.Thread:
        it = connect(own) if kind == "Service" else status_board()
        if kind == "StatusBoard":
            BOARD["open"](it)
        assert it._thread is not None
        return it._thread

    with pytest.warns(ResourceWarning, match=f"a {kind} was not closed"):
        thread = forget()
    thread.join(10)
    assert not thread.is_alive()
    assert left == ([1] if kind == "Service" else [])


def test_a_client_closed_during_a_wait(aws: FakeAws) -> None:
    """A wait under way ends at its next step when another thread closes the client."""
    client = Client(aws.api.base, sleep=lambda _: client.close())
    with pytest.raises(ConfigurationError, match="wait again with the ticket"):
        client.wait(TICKET)


def test_an_entered_service_can_be_entered_again(aws: FakeAws) -> None:
    """`running()` may be entered again after its end, as test clients of web frameworks do."""
    service = async_connect(app)

    async def main() -> None:
        for _ in range(2):
            async with service.running():
                await service.submit("order", 1)

    asyncio.run(main())
    asyncio.run(main())


def test_an_object_on_a_loop_that_was_only_stopped(aws: FakeAws) -> None:
    """Two loops that run in turn share a board: each takes it over."""
    board, first, second = async_status_board(), asyncio.new_event_loop(), asyncio.new_event_loop()
    assert not isinstance(first, VirtualLoop)
    for loop in (first, second, first, second):
        loop.run_until_complete(BOARD["open"](board))
    for loop in (first, second):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
