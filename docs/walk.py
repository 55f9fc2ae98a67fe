"""Count what one order walks through: the source files of offpoll that it enters, and the calls of their functions.

The walk is the README's: an async client submits an order, waits until a worker has done it, and fetches the result, all in memory
(`offpoll.testing.system`). Virtual time, fixed randomness: the figures are the same on every machine and every Python.

- *submit*: `client.submit(…)`, the API's side included.
- *work*: a worker starts, runs the handler (two reports of progress, 2 s after each) and publishes, while `client.wait(…)` polls.
- *GET*: `client.result(ticket)`, the API's side included, after the order has succeeded.

A file counts once a walk. A call counts once, however often its coroutine pauses. Comprehensions are no calls, since Python 3.12 made them
part of their function. Code that dataclasses generate has no file. Another order goes first, uncounted, and loads what is loaded late.

    python docs/walk.py           print the table; --json: {"submit": {"files": …, "calls": …}, "work": …, "GET": …}
    python docs/walk.py --write   write it into architecture.md, as `make docs` does; a test compares
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import offpoll
from offpoll import Offpoll, Operation
from offpoll.testing import system

#: What this script counted at commit 8f31f96, before the modules moved into rooms.
BEFORE = {"submit": (31, 240), "work": (41, 1698), "GET": (18, 95)}

PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- walk: begin (make docs) -->\n", "<!-- walk: end -->\n"

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


def counted(step: Callable[[], Any]) -> tuple[Any, dict[str, int]]:
    """Do something, and count the files and the calls that it walks through."""
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
    return result, {"files": len({frame.f_code.co_filename for frame in frames}), "calls": len(frames)}


def walk() -> dict[str, dict[str, int]]:
    """Walk with one order, through a service that nobody has used."""
    _once()
    return _once()


def _once() -> dict[str, dict[str, int]]:
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
        lines.append(f"| {name} | {files} files, {calls:,} calls | {now['files']} files, {now['calls']:,} calls |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return the page with the table of today."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(with_table(PAGE.read_text()))
    else:
        print(json.dumps(walk()) if "--json" in sys.argv else table().rstrip())
