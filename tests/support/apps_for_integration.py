"""The service that the integration tests deploy. Each handler notes that it began, in a file that the test reads."""

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
    """Append a line to the test's file."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{operation.id} {operation.attempt} {what}\n")


async def authorize(caller: Caller) -> str:
    """Believe what the test says of itself."""
    owner = caller.headers.get("x-owner", "public")
    if owner == "nobody":
        raise Unauthorized("Say who you are in X-Owner.")
    return owner


app = Offpoll(authorize=authorize)


@app.operation("order")
async def create_order(order: Order, operation: Operation) -> Order:
    """Take no time at all."""
    note(operation, order.sku)
    return order


@app.operation("slow")
async def slow(order: Order, operation: Operation) -> Order:
    """Take for ever at the first attempt, and no time at the second."""
    note(operation, "began")
    if operation.attempt == 1:
        await asyncio.sleep(600)
    return order


@app.operation("block")
async def block(order: Order, operation: Operation) -> Order:
    """Never await: block the loop for so many seconds."""
    note(operation, "began")
    time.sleep(order.quantity)  # noqa: ASYNC251 - that is what is tested
    return order


@app.operation("spin")
def spin(order: Order, operation: Operation) -> Order:
    """Hold the GIL for so many seconds: one long step in C after another."""
    note(operation, "began")
    end = time.monotonic() + order.quantity
    while time.monotonic() < end:
        sum(range(30_000_000))
    return order


@app.operation("huge")
async def huge(order: Order, operation: Operation) -> str:
    """Return too much."""
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
