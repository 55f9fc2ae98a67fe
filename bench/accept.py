"""CPU of one accepted request: offpoll against FastAPI + boto3 (`accept_boto3.py`).

    FastAPI + boto3               beside `offpoll serve` as a user runs it, its access log included
    FastAPI + boto3: application  beside `offpoll.application(async_connect(app))` under plain uvicorn

Each API is a process with one uvicorn server (uvloop, httptools; only `offpoll serve` writes an access log). All talk to the same stub of
S3 and SQS in another process. This process sends them the same orders over a few kept-alive connections. What counts is the CPU time of the
API's process, user and system, all of its threads, which the kernel accounts for; the load itself and the stub do not count.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count

from bench.report import Options, finish, measure_pairs, one_core, options, process_cpu_seconds, table
from bench.wire import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, TOKEN, stub
from fastapi import FastAPI
from pydantic import BaseModel, Field

from offpoll import Offpoll, application, async_connect

CONNECTIONS = 32

PEER = "FastAPI + boto3"

#: Looks at whether `offpoll serve` listens, a tenth of a second apart.
START_TRIES = 200

_serial = count()


class Order(BaseModel):
    """What is ordered."""

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(gt=0)


app = Offpoll()


@app.operation("order")
async def create_order(order: Order) -> Order:
    """Do nothing: no worker runs here."""
    return order


def offpoll() -> FastAPI:
    """Make offpoll's API; uvicorn calls this in the API's process."""
    return application(async_connect(app))


def boto3() -> FastAPI:
    """Make the peer; uvicorn calls this in the API's process."""
    from bench.accept_boto3 import api

    return api


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

    config = uvicorn.Config(f"bench.accept:{name}", factory=True, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number)])


@dataclass(frozen=True, kw_only=True)
class Api:
    """A running API.

    Attributes:
        pid: of its process.
        port: where it listens on 127.0.0.1.
        walls: seconds of wall time a request, of each load.
    """

    pid: int
    port: int
    walls: list[float] = field(default_factory=list)

    def cost(self, requests: int) -> Callable[[], float]:
        """Return a measurement: seconds of the API's CPU for one request."""

        def measure() -> float:
            cpu, wall = process_cpu_seconds(self.pid), time.perf_counter()
            asyncio.run(_load(self.port, requests))
            self.walls.append((time.perf_counter() - wall) / requests)
            return (process_cpu_seconds(self.pid) - cpu) / requests

        return measure


@contextmanager
def serving(name: str, aws: str) -> Iterator[Api]:
    """Run one of the APIs against the stub. It inherits a listening socket, so it needs no waiting for."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        command = [sys.executable, "-c", f"from bench.accept import serve; serve({name!r}, {number})"]
        process = subprocess.Popen(command, env=environment(aws), pass_fds=[number])
        try:
            yield Api(pid=process.pid, port=listening.getsockname()[1])
        finally:
            process.terminate()
            process.wait()


@contextmanager
def serving_as_users_do(aws: str) -> Iterator[Api]:
    """Run `offpoll serve` against the stub, its log and access log going where nobody reads them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "offpoll.cli.main", "serve", "bench.accept:app", "--port", str(port)]
    process = subprocess.Popen(command, env=environment(aws), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(START_TRIES):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Api(pid=process.pid, port=port)
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


async def _load(port: int, requests: int) -> None:
    """Send so many orders."""

    async def customer(numbers: range) -> None:
        async with _connected(port) as ask:
            for _ in numbers:
                await ask(_order(port, next(_serial)), b"202")

    await asyncio.gather(*(customer(range(first, requests, CONNECTIONS)) for first in range(CONNECTIONS)))


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    with ExitStack() as stack:
        aws = stack.enter_context(stub())
        apis = {
            "offpoll serve": stack.enter_context(serving_as_users_do(aws)),
            "application() under uvicorn": stack.enter_context(serving("offpoll", aws)),
            PEER: stack.enter_context(serving("boto3", aws)),
        }
        peer = {PEER: apis[PEER].cost(given.pick(500, 160))}
        served, application_, peers, ratios = _measured(apis, peer, given)
    costs = dict(zip(apis, (served, application_, peers[PEER]), strict=True))
    times = (1.0, application_ / served, peers[PEER] / served)
    rows = [
        (name, f"{spent * 1e6:.0f}", f"{1 / spent:,.0f}", f"{1 / min(apis[name].walls):,.0f}", f"{ratio:.1f}")
        for (name, spent), ratio in zip(costs.items(), times, strict=True)
    ]
    heads = ("", "CPU µs", "requests/s of a core", "requests/s here, with load and stub beside it", "times offpoll serve's")
    table(f"Accepted requests, {CONNECTIONS} at a time", heads, rows)
    finish("accept", ratios, given)


def _measured(
    apis: Mapping[str, Api], peer: Mapping[str, Callable[[], float]], given: Options
) -> tuple[float, float, dict[str, float], dict[str, float]]:
    """Return both of our costs, the peer's, and the ratios."""
    requests, pairs = given.pick(4_000, 1_200), given.pick(9, 5)
    served, peers, ratio = measure_pairs(apis["offpoll serve"].cost(requests), peer, pairs=pairs)
    inside, _, inside_ratio = measure_pairs(apis["application() under uvicorn"].cost(requests), peer, pairs=pairs)
    return served, inside, peers, {PEER: ratio[PEER], f"{PEER}: application": inside_ratio[PEER]}


if __name__ == "__main__":
    main()
