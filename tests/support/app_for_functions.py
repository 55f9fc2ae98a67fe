"""An app without models. `OFFPOLL_APP` names it in the tests of the functions."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from offpoll import Offpoll


@asynccontextmanager
async def lifespan(app: Offpoll) -> AsyncIterator[str]:
    sys.stdout.write("lifespan entered\n")
    yield "state"


app = Offpoll(lifespan=lifespan)


@app.operation("order", timeout=60)
async def create_order(order: dict[str, Any]) -> dict[str, Any]:
    return order
