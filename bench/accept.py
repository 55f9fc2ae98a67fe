"""CPU of one accepted request: `offpoll.application(async_connect(app))` against FastAPI + boto3 (`accept_boto3.py`).

Each API is a process of its own with one uvicorn server (uvloop, httptools, no access log); both talk to the same stub of S3 and SQS in
another process. This process sends both the same orders over a few kept-alive connections. What counts is the CPU time of the API's
process, user and system, all of its threads, by its own account before and after the load; the load itself and the stub do not count.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from bench.report import finish, measure_pairs, one_core, options, table
from bench.wire import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, TOKEN, stub
from fastapi import FastAPI
from pydantic import BaseModel, Field

from offpoll import Offpoll, application, async_connect

CONNECTIONS = 32
HERE = Path(__file__).parent
_serial = count()


class Order(BaseModel):
    """What is ordered."""

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(gt=0)


def offpoll() -> FastAPI:
    """Make offpoll's API; uvicorn calls this in the API's process."""
    app = Offpoll()

    @app.operation("order")
    async def create_order(order: Order) -> Order:
        return order

    return _accountable(application(async_connect(app)))


def boto3() -> FastAPI:
    """Make the peer; uvicorn calls this in the API's process."""
    from bench.accept_boto3 import api

    return _accountable(api)


def _accountable(api: FastAPI) -> FastAPI:
    api.add_api_route("/cpu", _cpu)
    return api


async def _cpu() -> float:
    return time.process_time()


def environment(aws: str) -> dict[str, str]:
    """Return the variables of a process that uses the stub: offpoll's, and those that every SDK reads."""
    queue = f"{aws}/123456789012/operations"
    settings = {
        "OFFPOLL_BUCKET": BUCKET,
        "OFFPOLL_QUEUE_URL": queue,
        "OFFPOLL_DEAD_LETTER_QUEUE_URL": queue + "-dead",
        "OFFPOLL_PARKING_QUEUE_URL": queue + "-parking",
        "OFFPOLL_RECORDS_TABLE": "operations",
        "OFFPOLL_SECRET": "s" * 32,
    }
    amazon = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": aws,
        "BOTO_DISABLE_CRT": "true",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith(("OFFPOLL_", "AWS_"))}
    return {**others, **settings, **amazon}


def serve(name: str, number: int) -> None:
    """Run one of the APIs on a listening socket; this is the API's process.

    uvicorn's own `--fd` takes the socket for a UNIX one, and then nobody sets TCP_NODELAY on its connections: each answer waits 40 ms for
    the client's delayed acknowledgement, and an API that is mostly idle spends its CPU on waking up.
    """
    import uvicorn

    config = uvicorn.Config(f"accept:{name}", factory=True, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number)])


@contextmanager
def serving(name: str, aws: str) -> Iterator[int]:
    """Run one of the APIs against the stub and yield its port. It inherits a listening socket, so it needs no waiting for."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        command = [sys.executable, "-c", f"import accept; accept.serve({name!r}, {number})"]
        process = subprocess.Popen(command, cwd=HERE, env=environment(aws), pass_fds=[number])
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.wait()


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Callable[[bytes, bytes], Awaitable[bytes]]]:
    """Open a connection and yield what asks over it: given a request and the status expected, it returns the answer's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(request: bytes, expected: bytes) -> bytes:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        if not head.startswith(b"HTTP/1.1 " + expected):
            raise SystemExit(f"the API answered {head.decode()}{body.decode()}")
        return body

    try:
        yield ask
    finally:
        writer.close()
        await writer.wait_closed()


def _order(port: int, number: int) -> bytes:
    body = json.dumps({"sku": f"A{number % 100}", "quantity": 1 + number % 9}).encode()
    head = (
        f"POST /order HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: bench\r\naccept: */*\r\ncontent-type: application/json\r\n"
        f"idempotency-key: {number:032x}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _load(port: int, requests: int) -> tuple[float, float]:
    """Send so many orders; return the API's CPU seconds and the wall's seconds for one."""

    async def customer(numbers: range) -> None:
        async with _connected(port) as ask:
            for _ in numbers:
                await ask(_order(port, next(_serial)), b"202")

    async def account() -> float:
        async with _connected(port) as ask:
            return float(await ask(f"GET /cpu HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode(), b"200"))

    cpu, wall = await account(), time.perf_counter()
    await asyncio.gather(*(customer(range(first, requests, CONNECTIONS)) for first in range(CONNECTIONS)))
    wall = time.perf_counter() - wall
    return (await account() - cpu) / requests, wall / requests


def cost(port: int, requests: int, walls: list[float]) -> Callable[[], float]:
    """Return a measurement: seconds of the API's CPU for one request."""

    def measure() -> float:
        cpu, wall = asyncio.run(_load(port, requests))
        walls.append(wall)
        return cpu

    return measure


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    our_walls: list[float] = []
    their_walls: list[float] = []
    with ExitStack() as stack:
        aws = stack.enter_context(stub())
        ours = cost(stack.enter_context(serving("offpoll", aws)), given.pick(4_000, 1_200), our_walls)
        theirs = cost(stack.enter_context(serving("boto3", aws)), given.pick(500, 160), their_walls)
        mine, peers, ratios = measure_pairs(ours, {"FastAPI + boto3": theirs}, pairs=given.pick(9, 5))
    rows = [("offpoll", f"{mine * 1e6:.0f}", f"{1 / mine:,.0f}", f"{1 / min(our_walls):,.0f}", "1")]
    for name, spent in peers.items():
        rows.append((name, f"{spent * 1e6:.0f}", f"{1 / spent:,.0f}", f"{1 / min(their_walls):,.0f}", f"{ratios[name]:.1f}"))
    heads = ("", "CPU µs", "requests/s of a core", "requests/s here, with load and stub beside it", "times offpoll's")
    table(f"Accepted requests, {CONNECTIONS} at a time", heads, rows)
    finish("accept", ratios, given)


if __name__ == "__main__":
    main()
