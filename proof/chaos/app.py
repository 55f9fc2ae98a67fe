"""The app that chaos tests. Handlers append each run to a journal, and write each effect to a separate file.

A SIGKILL between any two instructions leaves both whole: a run is one append, and an effect is one link to a complete file.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from offpoll import Fail, Offpoll, Operation

__all__ = ["ATTEMPTS", "FOLDER", "REFUSAL", "WORKER", "Effect", "Order", "Run", "app", "effects", "runs"]

#: Environment variables of its processes: the folder to write to, and the name of the process that writes.
FOLDER, WORKER = "CHAOS_FOLDER", "CHAOS_WORKER"

#: Attempts of each kind. A killed worker spends one attempt of every operation it holds, so most kinds get many.
ATTEMPTS = {"order": 8, "parcel": 8, "lottery": 2}

#: The error code of an order that `refuses`.
REFUSAL = "out_of_stock"

#: Steps of an order before its effect.
STEPS = 3


class Order(BaseModel):
    """An order, and how its handler behaves.

    Attributes:
        number: the client's number for the order: one order, one effect.
        conduct: `raises` at the first attempt only; `refuses` for good.
        pause: seconds of each step.
    """

    number: int
    conduct: Literal["plain", "raises", "refuses"] = "plain"
    pause: float = 0.1


class Receipt(BaseModel):
    """The result. It says which run of the handler produced it."""

    number: int
    attempt: int
    run: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a handler that began. `at` is the machine's monotonic time, which all its processes share."""

    operation_id: str
    attempt: int
    number: int
    run: str
    worker: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The outside effect of an operation: at most one for each operation id."""

    operation_id: str
    number: int
    run: str


app = Offpoll()


@app.operation("order", attempts=ATTEMPTS["order"])
async def fulfil(order: Order, operation: Operation) -> Receipt:
    """Fulfil an order in a few steps, as a coroutine."""
    run = _begin(order, operation)
    for step in range(STEPS):
        operation.progress(step / STEPS, f"step {step + 1}")
        await asyncio.sleep(order.pause)
    return _conclude(order, operation, run)


@app.operation("parcel", attempts=ATTEMPTS["parcel"])
def pack(order: Order, operation: Operation) -> Receipt:
    """Fulfil an order as a plain function, in a thread or a child process."""
    run = _begin(order, operation)
    for step in range(STEPS):
        operation.progress(step / STEPS, f"step {step + 1}")
        time.sleep(order.pause)
    return _conclude(order, operation, run)


@app.operation("lottery", attempts=ATTEMPTS["lottery"])
async def draw(order: Order, operation: Operation) -> Receipt:
    """Raise at every attempt."""
    _begin(order, operation)
    raise RuntimeError("not this time")


def _begin(order: Order, operation: Operation) -> str:
    """Record that a run begins, and return its name."""
    run = secrets.token_hex(8)
    line = {
        "operation_id": operation.id,
        "attempt": operation.attempt,
        "number": order.number,
        "run": run,
        "worker": os.environ[WORKER],
        "at": time.monotonic(),
    }
    journal = os.open(_folder() / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(journal, json.dumps(line).encode() + b"\n")
    finally:
        os.close(journal)
    if order.conduct == "raises" and operation.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return run


def _conclude(order: Order, operation: Operation, run: str) -> Receipt:
    """Write the effect, unless an earlier run already did, and return the result."""
    if order.conduct == "refuses":
        raise Fail(REFUSAL, "There is none left.")
    folder = _folder() / "effects"
    folder.mkdir(exist_ok=True)
    whole = _folder() / f"{run}.part"
    whole.write_text(json.dumps({"operation_id": operation.id, "number": order.number, "run": run}))
    try:
        os.link(whole, folder / operation.id)
    except FileExistsError:
        pass  # an earlier run wrote it, and its worker died before reporting that
    whole.unlink()
    return Receipt(number=order.number, attempt=operation.attempt, run=run)


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def runs(folder: Path) -> list[Run]:
    """Return all runs that began, oldest first."""
    journal = folder / "journal"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sorted((Run(**json.loads(line)) for line in lines), key=lambda run: run.at)


def effects(folder: Path) -> list[Effect]:
    """Return all effects."""
    return [Effect(**json.loads(path.read_text())) for path in sorted((folder / "effects").glob("*"))]
