"""CPU of one message through a worker: offpoll's, against Celery, Dramatiq and a loop over boto3, all with work that returns at once.

Each worker is a process of its own (`workers/`), started by its own command, and all receive from one broker in another process
(`broker.py`), each from a queue of its own. A queue is filled while nothing of it is delivered, then released. What counts is the CPU of
the worker's process and its children, user and system, from then until the queue is empty. At the end all are left idle together.

    offpoll     claims each operation, decides its outcome, publishes it, deletes the message. It ends before anybody looks, so offpoll
                never writes `running`; it reads the document instead, to replace just what it read
    boto3       the same with `running`, one call after the other
    Celery      no claim and no record: `running`, the work, the final document; then it deletes the message
    Dramatiq    the same
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

from bench.accept import environment
from bench.processes import cpu_seconds, memory_mib
from bench.report import Options, finish, measure_pairs, one_core, options, table
from bench.stub import facts
from bench.wire import stub
from bench.workers.orders import BODY, VISIBILITY, fresh

ROOT = Path(__file__).parents[1]

#: How each worker is started: as its documentation says, with room for 32 messages where that is asked for.
OFFPOLL = "offpoll work bench.workers.with_offpoll:app --concurrency 32 --log-level warning"
BOTO3 = "python -m bench.workers.with_boto3"
THREADS = "celery --app bench.workers.with_celery worker --pool threads --concurrency 32"
FORKED = "celery --app bench.workers.with_celery worker --concurrency 1 --queues prefork"
DRAMATIQ = "dramatiq bench.workers.with_dramatiq --processes 1"

#: The queues; Celery and Dramatiq name theirs themselves.
OPERATIONS, LOOP, CELERY, PREFORK, ACTORS = "operations", "boto3", "celery", "prefork", "dramatiq_default"

#: Seconds for a worker to empty its queue.
PATIENCE = 60.0


class Broker:
    """A bench's end of the broker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
        for name in (OPERATIONS, f"{OPERATIONS}-dead", f"{OPERATIONS}-parking", LOOP, CELERY, PREFORK, ACTORS):
            self._call("AmazonSQS.CreateQueue", QueueName=name, Attributes={"VisibilityTimeout": str(VISIBILITY)})

    def close(self) -> None:
        self._connection.close()

    def url(self, queue: str) -> str:
        return f"{self.address}/123456789012/{queue}"

    def hold(self, queue: str) -> None:
        """Deliver nothing of a queue."""
        self._call("Bench.Hold", QueueUrl=self.url(queue))

    def release(self, queue: str) -> None:
        """Deliver again."""
        self._call("Bench.Release", QueueUrl=self.url(queue))

    def left(self, queue: str) -> int:
        """Count the messages of a queue, those in flight included."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._call("AmazonSQS.GetQueueAttributes", QueueUrl=self.url(queue), AttributeNames=names)
        return sum(map(int, found["Attributes"].values()))

    def send(self, count: int, *, queue: str) -> None:
        """Send so many operations, as offpoll's API does."""
        for _ in range(count):
            operation_id, created_at = fresh()
            values = {**facts(operation_id), "operation_id": operation_id, "created_at": created_at, "version": "1"}
            attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
            self._call("AmazonSQS.SendMessage", QueueUrl=self.url(queue), MessageBody=BODY, MessageAttributes=attributes)

    def _call(self, target: str, **fields: Any) -> dict[str, Any]:
        self._connection.request("POST", "/", json.dumps(fields), {"X-Amz-Target": target})
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A worker to measure: its command, its queue, how that is filled, and how many messages one run has."""

    name: str
    command: str
    queue: str
    send: Callable[[int], None]
    messages: int


class Worker:
    """A peer's running worker."""

    def __init__(self, peer: Peer, broker: Broker, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._peer, self._broker, self._process, self._said = peer, broker, process, said
        self.memory = 0.0

    def measure(self) -> float:
        """Return seconds of CPU for one message; note how much memory it has."""
        peer, broker = self._peer, self._broker
        broker.hold(peer.queue)
        peer.send(peer.messages)
        before, until = self.cpu(), time.monotonic() + PATIENCE
        broker.release(peer.queue)
        while broker.left(peer.queue):
            if self._process.poll() is not None or time.monotonic() > until:
                self._said.seek(0)
                raise RuntimeError(f"{peer.name} does not empty its queue:\n{self._said.read().decode()}")
            time.sleep(0.02)
        self.memory = max(self.memory, memory_mib(self._process.pid))
        return (self.cpu() - before) / peer.messages

    def cpu(self) -> float:
        return cpu_seconds(self._process.pid)


@contextmanager
def working(peer: Peer, broker: Broker) -> Iterator[Worker]:
    """Run a peer's worker."""
    program, *arguments = peer.command.split()
    with TemporaryFile() as said:
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=said, stderr=said)
        try:
            yield Worker(peer, broker, process, said)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def peers(broker: Broker, given: Options) -> Iterator[Peer]:
    """Say what is measured, offpoll first."""
    few = given.pick(250, 100)
    yield Peer(
        name="offpoll", command=OFFPOLL, queue=OPERATIONS, send=partial(broker.send, queue=OPERATIONS), messages=given.pick(2_000, 500)
    )
    yield Peer(name="boto3", command=BOTO3, queue=LOOP, send=partial(broker.send, queue=LOOP), messages=given.pick(200, 60))
    if (celery := installed("celery")) is not None:
        yield Peer(name="Celery", command=THREADS, queue=CELERY, send=partial(celery.send, queue=CELERY), messages=few)
        if not given.quick:  # four messages a second
            yield Peer(name="Celery, prefork", command=FORKED, queue=PREFORK, send=partial(celery.send, queue=PREFORK), messages=16)
    if (dramatiq := installed("dramatiq")) is not None:
        yield Peer(name="Dramatiq", command=DRAMATIQ, queue=ACTORS, send=dramatiq.send, messages=few)


def installed(name: str) -> Any:
    """Import a peer's module; say so where it is not installed."""
    try:
        return import_module(f"bench.workers.with_{name}")
    except ModuleNotFoundError as error:
        print(f"{name} is not measured: {error.name} is not installed. `make setup` does that (dependency group `bench`).")
        return None


def idle(workers: Mapping[str, Worker], *, seconds: float) -> dict[str, float]:
    """Return the share of a core that each worker takes while there is nothing to do, in per cent, all at the same time."""
    time.sleep(2)  # what the last messages left to do
    before = {name: worker.cpu() for name, worker in workers.items()}
    time.sleep(seconds)
    return {name: (worker.cpu() - before[name]) / seconds * 100 for name, worker in workers.items()}


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    with ExitStack() as stack:
        broker = stack.enter_context(closing(Broker(stack.enter_context(stub(server="broker")))))
        os.environ.update(environment(broker.address), BOTO3_QUEUE_URL=broker.url(LOOP))  # before peers make their clients
        workers = {peer.name: stack.enter_context(working(peer, broker)) for peer in peers(broker, given)}
        measures = {name: worker.measure for name, worker in workers.items()}
        mine, theirs, ratios = measure_pairs(measures.pop("offpoll"), measures, pairs=given.pick(5, 3))
        shares = idle(workers, seconds=given.pick(20, 5))
    rows = [
        (name, f"{cost * 1e6:.0f}", f"{1 / cost:,.0f}", f"{ratios.get(name, 1):.1f}", f"{workers[name].memory:.0f}", f"{shares[name]:.2f}")
        for name, cost in {"offpoll": mine, **theirs}.items()
    ]
    heads = ("", "CPU µs", "messages/s", "times offpoll's", "memory, MiB", "idle, % of the core")
    table("Messages through a worker, one core", heads, rows)
    memory = {name: round(worker.memory, 1) for name, worker in workers.items()}
    finish("work", ratios, given, idle_percent={name: round(share, 3) for name, share in shares.items()}, memory_mib=memory)


if __name__ == "__main__":
    main()
