"""The public API as users write it; checked by mypy and pyright, never run. A change that breaks a user's types breaks this file.

What is refused is in `refused.py`. `tests/test_public_api.py` sees that no public method is missing here.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_type

from offpoll import (
    ApiError,
    ApiUnavailable,
    AsyncClient,
    AsyncService,
    AsyncStatusBoard,
    Caller,
    Client,
    ConfigurationError,
    Document,
    Fail,
    Forbidden,
    InvalidInput,
    Offpoll,
    OffpollError,
    Operation,
    OperationCanceled,
    OperationFailed,
    Progress,
    Service,
    Settings,
    Snapshot,
    StatusBoard,
    Ticket,
    Unauthorized,
    WaitResult,
    WaitTimeout,
    application,
    async_connect,
    async_status_board,
    connect,
    router,
    status_board,
    wsgi_application,
)
from offpoll.board import Stored
from offpoll.document import Estimate, PollHint
from offpoll.errors import ClientError
from offpoll.exchange import Response
from offpoll.link import StatusLink
from offpoll.operation import Record, Status
from offpoll.testing import START, Run, System, VirtualLoop, run, run_virtual, system
from offpoll.work.worker import Worker

ID = "0" * 32
URL = "https://api.example.com"


@dataclass
class Order:
    sku: str


@dataclass
class Confirmation:
    number: int


# An app


@asynccontextmanager
async def lifespan(app: Offpoll) -> AsyncGenerator[dict[str, int], None]:
    yield {"pool": 1}


async def authorize(caller: Caller) -> str:
    assert_type(caller.method + caller.path, str)
    assert_type(caller.claims, Mapping[str, Any])
    if "authorization" not in caller.headers:
        raise Unauthorized("Who are you?", realm="orders")
    raise Forbidden("Not you.")


app = Offpoll(lifespan=lifespan, authorize=authorize)


@app.operation("order", timeout=60, attempts=5, lateness_weight="30/duration", show_result=True)
async def create_order(order: Order, operation: Operation) -> Confirmation:
    operation.progress(0.4, "reserving stock")
    operation.progress(message="packing")
    assert_type(operation.id + operation.kind + operation.owner + operation.traceparent, str)
    assert_type(operation.attempt, int)
    assert_type(operation.created_at, datetime)
    if order.sku == "none":
        raise Fail("out_of_stock", "There is none left.", sku=order.sku)
    return Confirmation(1)


@app.operation("report", lateness_weight=4)
def report(order: Order) -> None: ...


@app.fetch("order")
async def get_order(operation: Operation) -> Confirmation | None:
    return None


def handlers_stay_the_functions_they_are(operation: Operation) -> None:
    assert_type(report(Order("a")), None)
    kept: Callable[[Order, Operation], Coroutine[Any, Any, Confirmation]] = create_order
    assert_type(asyncio.run(kept(Order("a"), operation)), Confirmation)
    assert_type(asyncio.run(create_order(order=Order("a"), operation=operation)), Confirmation)
    assert_type(asyncio.run(get_order(operation)), Confirmation | None)


# Its API


async def api(environ: Mapping[str, str]) -> None:
    service = async_connect(app, environ=environ, bucket="b", attempts=3, lateness_weight=0.5, operation_location=True)
    assert_type(service, AsyncService)
    application(service, authorize=authorize, title="orders")
    router(service, authorize=authorize)
    async with service.running() as same:
        assert_type(same, AsyncService)
    assert_type(await service.submit("order", Order("a"), owner="me", idempotency_key="k", base_url=URL), Ticket)
    snapshot = await service.get("order", ID, owner="me")
    assert_type(snapshot, Snapshot)
    assert_type(snapshot.document, Document)
    assert_type(snapshot.result, str | None)
    assert_type(found := await service.find("order", ID, owner="me"), Snapshot)
    await found.repair()
    assert_type(await service.status_link("order", ID, owner="me"), StatusLink)
    assert_type(await service.cancel("order", ID, owner="me"), Document)
    assert_type(await service.submit("refresh"), Ticket)
    assert_type(await service.resubmit(ID, owner="me"), Document)
    assert_type(service.retry_after(snapshot.document), int)
    assert_type(service.kind("order").attempts, int)
    await service.ready()


def blocking_api(environ: Mapping[str, str]) -> None:
    with connect(app, environ=environ, bucket="b") as service:
        assert_type(service, Service)
        assert_type(service.submit("order", {"sku": "a"}, owner="me", traceparent="", tracestate=""), Ticket)
        assert_type(service.get("order", ID, owner="me"), Snapshot)
        assert_type(service.status_link("order", ID), StatusLink)
        assert_type(service.cancel("order", ID), Document)
        assert_type(service.submit("refresh"), Ticket)
        assert_type(service.resubmit(ID), Document)
        assert_type(service.run(lambda own: own.get("order", ID)), Snapshot)
        assert_type(service.settings, Settings)
        wsgi = wsgi_application(service, authorize=authorize, prefix="/v1")
        assert_type(wsgi.answer({}).status, int)
    service.close()


# The status board as a library


async def board_use() -> None:
    board = async_status_board(bucket="b")
    assert_type(board, AsyncStatusBoard)
    link = await board.open(ID, kind="order", owner="me", base_url=URL, mean=30, interval=2)
    assert_type(link.href, str)
    assert_type(link.expires_at, datetime)
    progress = Progress(fraction=0.4, message="packing").fitted()
    assert_type(await board.publish(ID, status="running", attempt=2, progress=progress), Document)
    assert_type(await board.publish(ID, status="succeeded", result=Confirmation(1)), Document)
    assert_type(board.link(board.key(ID, owner="me")), StatusLink)
    found = await board.read(board.key(ID))
    if found is not None:
        assert_type(found.document, Document)
        submission = board.submission_of(found.document, owner="me")
        poll = PollHint(not_before=START, interval=2.0)
        assert_type(await board.ensure(submission, estimate=Estimate(), poll=poll), tuple[Stored, bool])
        assert_type(await board.show(Record(submission=submission, expires_at=START), held=found), Stored | None)


def blocking_board_use() -> None:
    with status_board(bucket="b", prefix="p") as board:
        assert_type(board, StatusBoard)
        assert_type(board.open(ID, kind="order"), StatusLink)
        assert_type(board.publish(ID, status="failed", error={"code": "x"}), Document)
    board.close()


def documents(document: Document) -> None:
    assert_type(document.done, bool)
    assert_type(document.rank, tuple[bool, int, int])
    assert_type(document.resubmit_of, str | None)
    assert_type(document.progress, Progress | None)
    assert_type(Document.from_bytes(document.to_bytes()), Document)
    assert_type(Document.from_dict(document.to_dict()), Document)


def settings(environ: Mapping[str, str]) -> None:
    known = Settings.load(environ=environ, lease=30, metrics="emf")
    known.need("bucket", "secret")
    assert_type(app.kinds(known)["order"].timeout, float)
    assert_type([each.variable for each in known.describe(environ=environ)], list[str])


# A client


def client_use() -> None:
    with Client(URL, auth={"authorization": "Bearer x"}, on_wait=print) as client:
        assert_type(client.submit("refresh"), Ticket)
        ticket = client.submit("order", {"sku": "A1"})
        assert_type(ticket, Ticket)
        assert_type(client.wait(ticket, timeout=300, on_update=print, result_type=Confirmation), Confirmation)
        assert_type(client.wait(ticket, timeout=None, result_type=list[Confirmation]), list[Confirmation])
        assert_type(client.wait(ticket), Any)
        assert_type(client.result(ticket, result_type=Confirmation), Confirmation)
        assert_type(client.result(ticket), Any)
        assert_type(client.resume(f"{URL}/order/0"), Ticket)
        assert_type(client.cancel(ticket), Document)
        for document in client.poll(ticket, timeout=10):
            assert_type(document, Document)
        assert_type(client.wait_all([ticket], max_in_flight=8, result_type=Confirmation), list[WaitResult[Confirmation]])
        for waited in client.as_completed([ticket], on_update=print, result_type=Confirmation):
            assert_type(waited.ticket, Ticket)
            assert_type(waited.result(), Confirmation)
            assert_type(waited.exception(), ClientError | None)
        assert_type(client.wait(f"{URL}/order/0", result_type=Confirmation), Confirmation)
        assert_type(client.wait(ticket.body), Any)
        assert_type(client.cancel(ticket.to_json().encode()), Document)
    Client(URL, proxy="http://proxy.example.com:3128", ca="ca.pem").close()
    Client(URL, auth="token", headers={"x-tenant": "7"}, on_trouble=print).close()
    Client(URL, auth=lambda: ("user", "password")).close()


async def async_client_use() -> None:
    async with AsyncClient(URL) as client:
        ticket = await client.submit("order", {"sku": "A1"}, idempotency_key="k")
        assert_type(await client.wait(ticket, result_type=Confirmation), Confirmation)
        assert_type(await client.result(ticket, result_type=Confirmation), Confirmation)
        assert_type(await client.cancel(ticket), Document)
        async for document in client.poll(ticket):
            assert_type(document.done, bool)
        assert_type(await client.resume(f"{URL}/order/0"), Ticket)
        assert_type(await client.wait_all([ticket], result_type=Confirmation), list[WaitResult[Confirmation]])
        for plain in await client.wait_all(iter([ticket])):
            assert_type(plain.result(), Any)
        async for waited in client.as_completed([ticket], result_type=Confirmation):
            assert_type(waited.result(), Confirmation)
    await client.close()


def tickets(ticket: Ticket) -> None:
    assert_type(ticket.operation_id + ticket.kind + ticket.location, str)
    assert_type(ticket.headers, dict[str, str])
    assert_type(ticket.body, dict[str, Any])
    assert_type(ticket.to_bytes(), bytes)
    assert_type(ticket.to_response(), Response)
    assert_type(Ticket.from_json(ticket.to_json()), Ticket)
    assert_type(Ticket.from_answer(status=202, headers=ticket.headers, body=ticket.to_bytes()), Ticket)


def wider_results(waited: WaitResult[Confirmation]) -> WaitResult[object]:
    return waited


def errors(client: Client, ticket: Ticket) -> str:
    try:
        client.wait(ticket)
    except OperationFailed as error:
        assert_type(error.error, dict[str, Any])
        return error.operation_id + error.code
    except OperationCanceled as error:
        return error.operation_id
    except WaitTimeout as error:
        later: TimeoutError = error
        return str(later)
    except ApiError as error:
        assert_type(error.status, int)
        return str(error.problem)
    except (ApiUnavailable, ConfigurationError, InvalidInput) as error:
        wider: OffpollError = error
        return str(wider)
    return ""


# Tests of one's own


def own_tests() -> None:
    tried = run(create_order, Order("a"), owner="me", state={"pool": 1}, virtual=True)
    assert_type(tried, Run)
    assert_type(tried.progress, list[Progress])
    assert_type((tried.status, tried.result, tried.error), tuple[Status, Any, dict[str, Any] | None])
    with system(app, settings=Settings(secret="0" * 32), workers=2, authorize=authorize) as world:
        assert_type(world, System)
        assert_type(world.client, Client)
        assert_type(world.run(world.async_client.submit("order", {"sku": "A1"})), Ticket)
        assert_type(world.start_worker(), Worker)
        world.advance(5.0)

    async def now() -> datetime:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, report, Order("a"))
        assert_type(loop.time(), float)
        return loop.now() if isinstance(loop, VirtualLoop) else START

    assert_type(run_virtual(now(), start=START), datetime)


def refused_inputs(client: Client) -> list[object]:
    try:
        client.submit("order", object())
    except InvalidInput as error:
        assert_type(error.detail, str)
        return list(error.members)
    return []
