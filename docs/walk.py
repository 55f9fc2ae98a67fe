"""Count what one order walks through: the source files of offpoll that it enters, and the calls of their functions.

The walk is the README's: an async client submits an order, waits until a worker has done it, and fetches the result, all in memory
(`offpoll.testing.system`). Virtual time, fixed randomness: the figures are the same on every machine and every Python.

- *submit*: `client.submit(…)`, the API's side included.
- *work*: a worker starts, receives the order, runs the handler (two reports of progress, 2 s after each), renews its lease and publishes;
  `client.wait(…)` polls the document until it is done, and returns the result.
- *GET*: `client.result(ticket)`, the API's side included, after the order has succeeded.

A file counts once a walk. A call counts once, however often its coroutine pauses. Comprehensions are no calls, since Python 3.12 made them
part of their function. Code that dataclasses generate has no file. Another order goes first, uncounted, and loads what is loaded late.

    python docs/walk.py           the table of docs/architecture.md
    python docs/walk.py --json    {"submit": {"files": …, "calls": …}, "work": …, "GET": …}
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import offpoll
from offpoll import Offpoll, Operation
from offpoll.testing import system

T = TypeVar("T")

#: What this script counted at commit 8f31f96, before the modules moved into rooms.
BEFORE = {"submit": (31, 240), "work": (41, 1698), "GET": (18, 95)}

SOURCE = str(Path(offpoll.__file__).parent)
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}

app = Offpoll()


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is ordered."""

    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What the client gets."""

    number: int


@app.operation("order")
async def create_order(order: Order, operation: Operation) -> Confirmation:
    """Take four seconds."""
    for fraction, step in ((0.4, "reserving stock"), (0.8, "packing")):
        operation.progress(fraction, step)
        await asyncio.sleep(2)
    return Confirmation(number=order.quantity)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How many files were entered, and how many calls were made."""

    files: int
    calls: int


def counted(step: Callable[[], T]) -> tuple[T, Walk]:
    """Do something, and count what it walks through."""
    frames: set[FrameType] = set()  # kept, so that no two are the same object

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCE) and code.co_name not in COMPREHENSIONS:
            frames.add(frame)

    sys.setprofile(note)
    try:
        result = step()
    finally:
        sys.setprofile(None)
    return result, Walk(files=len({frame.f_code.co_filename for frame in frames}), calls=len(frames))


def walk() -> dict[str, Walk]:
    """Walk with one order, through a service that nobody has used."""
    _once()
    return _once()


def _once() -> dict[str, Walk]:
    with system(app, workers=0) as world:
        client = world.async_client
        ticket, submit = counted(lambda: world.run(client.submit("order", {"sku": "A1", "quantity": 2}, idempotency_key="walk")))
        _, work = counted(lambda: (world.start_worker(), world.run(client.wait(ticket))))
        _, get = counted(lambda: world.run(client.result(ticket)))
    return {"submit": submit, "work": work, "GET": get}


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| walk | before | now |", "|---|---|---|"]
    for name, now in walk().items():
        files, calls = BEFORE[name]
        lines.append(f"| {name} | {files} files, {calls:,} calls | {now.files} files, {now.calls:,} calls |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps({name: asdict(each) for name, each in walk().items()}) if "--json" in sys.argv else table().rstrip())
