"""An order app: `POST /order` accepts an order, a worker fulfils it, `GET /order/{id}` returns its confirmation."""

import asyncio

from pydantic import BaseModel, Field

from offpoll import Fail, Offpoll, Operation

app = Offpoll()


class Order(BaseModel):
    """The input of `POST /order`."""

    sku: str = Field(examples=["A1"])
    quantity: int = Field(gt=0, le=100, examples=[2])


class Confirmation(BaseModel):
    """The result: `GET /order/{id}` returns it once the order is done."""

    order_id: str
    total_cents: int


PRICES = {"A1": 1250, "B2": 399}


@app.operation("order", timeout=30)
async def create_order(order: Order, operation: Operation) -> Confirmation:
    """Fulfil an order. It may run again after a crash: use `operation.id` so that nothing happens twice."""
    if order.sku not in PRICES:
        raise Fail("unknown_sku", f"There is no {order.sku}.")  # final; after any other exception a worker tries again
    operation.progress(0.3, "reserving stock")
    await asyncio.sleep(2)  # your slow work
    operation.progress(0.8, "packing")
    await asyncio.sleep(1)
    return Confirmation(order_id=operation.id, total_cents=PRICES[order.sku] * order.quantity)
