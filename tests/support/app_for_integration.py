"""The app that the integration tests deploy. Each handler notes in a file that it began, and the test reads that."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from offpoll import Fail, Offpoll, Operation, Unauthorized
from offpoll.app import Caller


class Order(BaseModel):
    """An order."""

    sku: str
    quantity: int = 1


def note(operation: Operation, what: str) -> None:
    """Append a line to the file that the test reads."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{operation.id} {operation.attempt} {what}\n")


async def authorize(caller: Caller) -> str:
    """Take the owner from the test's X-Owner."""
    owner = caller.headers.get("x-owner", "public")
    if owner == "nobody":
        raise Unauthorized("Say who you are in X-Owner.")
    return owner


app = Offpoll(authorize=authorize)


@app.operation("order")
async def create_order(order: Order, operation: Operation) -> Order:
    """End at once."""
    note(operation, order.sku)
    return order


@app.operation("slow")
async def slow(order: Order, operation: Operation) -> Order:
    """Take ten minutes at the first attempt, and end at once at the second."""
    note(operation, "began")
    if operation.attempt == 1:
        await asyncio.sleep(600)
    return order


@app.operation("block")
async def block(order: Order, operation: Operation) -> Order:
    """Block the event loop for `quantity` seconds."""
    note(operation, "began")
    time.sleep(order.quantity)  # noqa: ASYNC251 - the test is about blocking
    return order


@app.operation("spin")
def spin(order: Order, operation: Operation) -> Order:
    """Hold the GIL for `quantity` seconds, one long step in C after another."""
    note(operation, "began")
    end = time.monotonic() + order.quantity
    while time.monotonic() < end:
        sum(range(30_000_000))
    return order


@app.operation("huge")
async def huge(order: Order, operation: Operation) -> str:
    """Return a result that is too large."""
    note(operation, "began")
    return "x" * 400_000


@app.operation("broken", attempts=2)
def broken(order: Order, operation: Operation) -> None:
    """Always raise."""
    note(operation, "began")
    raise RuntimeError("this text must not be published")


@app.operation("refused")
def refused(order: Order, operation: Operation) -> None:
    """Fail for good."""
    note(operation, "began")
    raise Fail("out_of_stock", "There is none left.", sku=order.sku)
