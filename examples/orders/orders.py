"""An app for orders: `POST /order` accepts an order, a worker fulfils it in a few seconds, `GET /order/{id}` returns it.

offpoll dev orders:app
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from order_table import OrderTable
from pydantic import BaseModel, Field

from offpoll import Fail, Offpoll, Operation


class Order(BaseModel):
    """The order that a customer sends."""

    sku: str = Field(pattern=r"^[A-Z][0-9]{1,4}$", examples=["A1"])
    quantity: int = Field(gt=0, le=100, examples=[2])


class Confirmation(BaseModel):
    """The fulfilled order that the customer gets."""

    order_id: str
    sku: str
    quantity: int
    total_cents: int
    status: Literal["packed"] = "packed"


PRICES = {"A1": 1250, "B2": 399, "C3": 8900}
SOLD_OUT = {"C3"}


@asynccontextmanager
async def lifespan(app: Offpoll) -> AsyncIterator[OrderTable]:
    """Open the order table once in each process. Handlers find it as `operation.state`."""
    yield await asyncio.to_thread(OrderTable.open)


app = Offpoll(lifespan=lifespan)


@app.operation("order", timeout=60, lateness_weight=10)  # a customer is waiting: one second earlier is worth ten polls
async def create_order(order: Order, operation: Operation) -> Confirmation:
    """Fulfil an order. A second attempt repeats the steps harmlessly, because the table keeps one order under the operation's id."""
    await step(operation, 0.07, "checking stock")
    if order.sku not in PRICES or order.sku in SOLD_OUT:
        raise Fail("out_of_stock", f"There is no {order.sku} left.")
    await step(operation, 0.20, "reserving stock")
    await step(operation, 0.35, "asking the bank")
    await step(operation, 0.50, "charging")
    await step(operation, 0.65, "packing")
    await step(operation, 0.80, "labelling")
    await step(operation, 0.93, "handing to the courier")

    total = PRICES[order.sku] * order.quantity
    confirmation = Confirmation(order_id=operation.id, sku=order.sku, quantity=order.quantity, total_cents=total)
    await operation.state.put(confirmation.model_dump())
    return confirmation


async def step(operation: Operation, fraction: float, what: str) -> None:
    """Report progress, and stand in for a warehouse, a bank or a packer, who take their time."""
    operation.progress(fraction, what)
    await asyncio.sleep(1.1)


@app.fetch("order")
async def get_order(operation: Operation) -> Confirmation | None:
    """Read an order for `GET /order/{id}`, even long after offpoll has forgotten the operation."""
    found = await operation.state.get(operation.id)
    return found and Confirmation.model_validate(found)
