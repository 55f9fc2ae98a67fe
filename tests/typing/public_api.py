"""The public API as users write it; checked by mypy, never run. A change that breaks a user's types breaks this file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, assert_type

from offpoll import (
    AsyncClient,
    AsyncService,
    AsyncStatusBoard,
    Client,
    Fail,
    Offpoll,
    Operation,
    Ticket,
    WaitResult,
    application,
    async_connect,
    connect,
    router,
)
from offpoll.errors import ClientError


@dataclass
class Order:
    sku: str


@dataclass
class Confirmation:
    number: int


@asynccontextmanager
async def lifespan(app: Offpoll) -> AsyncIterator[dict[str, int]]:
    yield {"pool": 1}


app = Offpoll(lifespan=lifespan)


@app.operation("order", timeout=60, attempts=5)
async def create_order(order: Order, operation: Operation) -> Confirmation:
    operation.progress(0.4, "reserving stock")
    if order.sku == "none":
        raise Fail("out_of_stock", "There is none left.", sku=order.sku)
    return Confirmation(1)


@app.operation("report")
def report(order: Order) -> None: ...


@app.fetch("order")
async def get_order(operation: Operation) -> Confirmation | None:
    return None


async def handlers_stay_functions() -> None:
    assert_type(await create_order(Order("a"), operation=object()), Confirmation)  # type: ignore[arg-type]


def client_use() -> None:
    with Client("https://api.example.com", auth={"authorization": "Bearer x"}) as client:
        ticket = client.submit("order", {"sku": "A1"})
        assert_type(ticket, Ticket)
        assert_type(client.wait(ticket, timeout=300, on_update=print, result_type=Confirmation), Confirmation)
        assert_type(client.resume("https://api.example.com/order/0"), Ticket)
        assert_type(client.wait_all([ticket], max_in_flight=8, result_type=Confirmation), list[WaitResult[Confirmation]])
        for waited in client.as_completed([ticket], on_update=print, result_type=Confirmation):
            assert_type(waited.result(), Confirmation)
            assert_type(waited.exception(), ClientError | None)
    Client("https://api.example.com", proxy="http://proxy.example.com:3128", ca="ca.pem").close()


async def async_client_use() -> None:
    async with AsyncClient("https://api.example.com") as client:
        ticket = await client.submit("order", {"sku": "A1"}, idempotency_key="k")
        assert_type(await client.wait(ticket, result_type=Confirmation), Confirmation)
        async for document in client.poll(ticket):
            assert_type(document.done, bool)
        assert_type(await client.resume("https://api.example.com/order/0"), Ticket)
        assert_type(await client.wait_all([ticket], result_type=Confirmation), list[WaitResult[Confirmation]])
        for plain in await client.wait_all(iter([ticket])):
            assert_type(plain.result(), Any)
        async for waited in client.as_completed([ticket], result_type=Confirmation):
            assert_type(waited.result(), Confirmation)


async def api_use(board: AsyncStatusBoard) -> None:
    service = async_connect(app, bucket="b")
    assert_type(service, AsyncService)
    application(service, title="orders")
    router(service)
    ticket = await service.submit("order", Order("a"), owner="me", idempotency_key="k")
    assert_type(ticket.headers, dict[str, str])
    assert_type(connect(app, bucket="b").submit("order", Order("a")), Ticket)
    link = await board.open("0" * 32, kind="order")
    assert_type(link.href, str)
