"""A program that makes one of offpoll's objects, perhaps uses it, forks, and uses it in the child and then in the parent again.

`python forking.py OBJECT BEFORE HOW`; it prints what each call returned, or raised, and how long it took: one JSON line a process.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from offpoll import AsyncClient, Client, Offpoll, async_connect, async_status_board, connect, status_board

API = os.environ.get("STUB_API", "")
numbers: Iterator[int] = count(1)
entered: list[int] = []


@asynccontextmanager
async def lifespan(app: Offpoll) -> Any:
    entered.append(os.getpid())
    yield os.getpid()


app = Offpoll(lifespan=lifespan)


@app.operation("order")
def order(number: int) -> int:
    return number


def fresh() -> str:
    return f"{os.getpid():016x}{next(numbers):016x}"


def blocking_board() -> Callable[[], Any]:
    board = status_board()
    return lambda: (board.open(fresh(), kind="order"), "link")[1]


def awaited_board() -> Callable[[], Any]:
    board = async_status_board()

    async def use() -> str:
        await board.open(fresh(), kind="order")
        return "link"

    return lambda: asyncio.run(use())


def blocking_service() -> Callable[[], Any]:
    service = connect(app)

    def use() -> str:
        ticket = service.submit("order", 1)
        assert service._service.state == os.getpid()  # the lifespan was entered in this process
        return ticket.kind

    return use


def awaited_service() -> Callable[[], Any]:
    service = async_connect(app)

    async def use() -> str:
        async with service.running():
            return (await service.submit("order", 1)).kind

    return lambda: asyncio.run(use())


def blocking_client() -> Callable[[], Any]:
    client = Client(API)
    return lambda: client.submit("order", {}).kind


def awaited_client() -> Callable[[], Any]:
    client = AsyncClient(API)

    async def use() -> str:
        return (await client.submit("order", {})).kind

    return lambda: asyncio.run(use())


OBJECTS = {
    "StatusBoard": blocking_board,
    "AsyncStatusBoard": awaited_board,
    "Service": blocking_service,
    "AsyncService": awaited_service,
    "Client": blocking_client,
    "AsyncClient": awaited_client,
}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def report(who: str, use: Callable[[], Any]) -> None:
    began = time.monotonic()
    try:
        found = [use() for _ in range(3)]
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    say(json.dumps({"who": who, "found": found, "seconds": round(time.monotonic() - began, 2)}))


def fork(child: Callable[[], None], how: str) -> None:
    if how == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        return
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    child()
    sys.exit(0) if how == "sys.exit" else os._exit(0)


def main(kind: str, before: str, how: str) -> None:
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    use = OBJECTS[kind]()
    caller = None
    if before in ("used", "under way"):
        use()
    if before == "under way":  # the test answers this call only after the child has ended
        say("hold")
        sys.stdin.readline()
        caller = threading.Thread(target=report, args=("caller", use))
        caller.start()
        sys.stdin.readline()
    fork(lambda: report("child", use), how)
    if caller is not None:
        say("release")
        caller.join()
    report("parent", use)


if __name__ == "__main__":
    main(*sys.argv[1:])
