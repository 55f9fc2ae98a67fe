"""Mistakes that a type checker finds for a user of the public API; checked by mypy and pyright, never run.

Each line is wrong, and says so to both. A line that one of them no longer finds wrong fails, because its comment is then unused.
"""

from dataclasses import dataclass
from typing import assert_type

from offpoll import AsyncClient, Caller, Client, Document, Offpoll, Operation, Ticket, async_connect, connect, status_board
from offpoll.testing import system

app = Offpoll()


@dataclass
class Order:
    sku: str


@app.operation("order")
async def create_order(order: Order, operation: Operation) -> int:
    operation.progress("half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return 1


@app.operation("late", timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def late(order: Order) -> None: ...


@app.operation("bad", retries=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def bad(order: Order) -> None: ...


def not_async(caller: Caller) -> str:
    return caller.path


Offpoll(authorize=not_async)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Offpoll(middleware=[])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def handlers_keep_their_types(operation: Operation) -> None:
    await create_order("A1", operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await create_order(Order("A1"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(await create_order(Order("A1"), operation), str)  # type: ignore[assert-type]  # pyright: ignore[reportAssertTypeFailure]


def settings_are_known_and_typed() -> None:
    connect(app, bukcet="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    connect(app, attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_connect(app, buckets="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    status_board(lease="30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connect("orders:app", bucket="b")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def colours_are_not_mixed() -> None:
    with async_connect(app):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    early: Document = async_connect(app).cancel("order", "0")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    late: Document = connect(app).cancel("order", early.id)
    await late  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def results_are_typed(client: Client, ticket: Ticket) -> None:
    number: int = client.wait(ticket, result_type=str)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    client.submit("order", number, idempotency_key=number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.wait(7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    client.wait(ticket, 300)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.wait_all(ticket)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    client.submit("order", {}, key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def an_async_result_is_typed(client: AsyncClient, ticket: Ticket, document: Document) -> None:
    assert_type(await client.result(ticket, result_type=int), str)  # type: ignore[assert-type]  # pyright: ignore[reportAssertTypeFailure]
    document.status = "failed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with system(app, worker=1):  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        pass
