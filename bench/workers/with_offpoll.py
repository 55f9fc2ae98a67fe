"""offpoll's worker: `offpoll work bench.workers.with_offpoll:app`."""

from __future__ import annotations

from bench.workers.orders import Confirmation, Order, confirm

from offpoll import Offpoll

app = Offpoll()


@app.operation("order")
async def create_order(order: Order) -> Confirmation:
    return confirm(order)
