"""Lambda in memory: AWS's events, a context whose time runs out, and a mapping that deletes every message not reported as failed.

The functions are the product's own, on a system in memory and its virtual loop.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.support.lab import Lab, lab

from offpoll.app import Offpoll
from offpoll.functions.batches import QueueFunction
from offpoll.functions.environment import Environment
from offpoll.functions.http_function import HttpFunction
from offpoll.queue import Delivery, MemoryQueue
from offpoll.work.batch import BatchWorker, DeadLetterBatchWorker
from offpoll.work.handle import InProcess
from offpoll.work.job import Ambient

HOST = "abc123.execute-api.eu-west-1.amazonaws.com"

#: A function's timeout, seconds. A queue hides its messages six times as long.
TIMEOUT = 300.0


def http_2(
    method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None, **context: Any
) -> dict[str, Any]:
    """Return an event of an HTTP API with payload 2.0, or of a function URL."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": context.get("domainName", HOST), "x-forwarded-proto": "https", **(headers or {})},
        "requestContext": {"domainName": HOST, "http": http, "stage": "$default", **context},
        "isBase64Encoded": False,
    }
    return event if body is None else {**event, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def http_1(
    method: str, path: str, body: str | None = None, /, *, headers: Mapping[str, str] | None = None, **context: Any
) -> dict[str, Any]:
    """Return an event of a REST API's proxy integration."""
    named = {"Host": HOST, "X-Forwarded-Proto": "https", **(headers or {})}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "requestContext": {"domainName": HOST, "stage": "prod", "path": f"/prod{path}", **context},
        "body": body,
        "isBase64Encoded": False,
    }


def batch_of(deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """Return the event of an SQS batch. The messages' ids are `m0`, `m1` and so on."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": delivery.receipt,
                "body": delivery.envelope.body,
                "attributes": {"ApproximateReceiveCount": str(delivery.receives), "SentTimestamp": "1893456000000"},
                "messageAttributes": {
                    name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
                    for name, value in delivery.envelope.attributes.items()
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:1:operations",
                "awsRegion": "eu-west-1",
            }
            for number, delivery in enumerate(deliveries)
        ]
    }


@dataclass(kw_only=True)
class Context:
    """A Lambda context whose time ends at an instant of the virtual loop."""

    loop: asyncio.AbstractEventLoop
    end: float
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.end - self.loop.time()) * 1000))


@dataclass(kw_only=True)
class Deployed:
    """An app deployed to Lambda.

    Attributes:
        lab: its stores, and faults on them.
        api, worker, dead_letters: the functions.
        answers: the responses of the queues' functions; None for a lost one.
    """

    lab: Lab
    api: HttpFunction
    worker: QueueFunction
    dead_letters: QueueFunction
    answers: list[dict[str, Any] | None]

    def request(self, event: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        """Send an event to the API, and return status, headers and body."""
        response = self.api(json.loads(json.dumps(event)), self.context())
        return response["statusCode"], response["headers"], json.loads(response["body"]) if response["body"] else None

    def submit(self, body: Any = 1, **headers: str) -> str:
        """Submit an order and return its operation's id."""
        status, _, ticket = self.request(http_2("POST", "/order", json.dumps(body).encode(), headers=headers))
        assert status == 202
        operation_id: str = ticket["id"]
        return operation_id

    def context(self) -> Context:
        loop = self.lab.system.loop
        return Context(loop=loop, end=loop.time() + TIMEOUT)

    def work(self, *, batch_size: int = 10, kill: float | None = None, lose: bool = False, crash: bool = False) -> int:
        """Deliver one batch to the worker; see `_deliver`."""
        return self._deliver(self.lab.system.queue, self.worker, batch_size, kill, lose=lose, crash=crash)

    def settle(self) -> int:
        """Deliver one batch to the dead letters' function."""
        return self._deliver(self.lab.system.dead_letters, self.dead_letters, 10, None)

    def work_until(self, operation_id: str, *, within: float = 7200.0) -> None:
        """Deliver batches, and let time pass, until an operation is done."""
        end = self.lab.time + within
        while not self.lab.document(operation_id).done:
            assert self.lab.time < end
            if not self.work():
                self.lab.system.advance(1.0)

    def _deliver(
        self, queue: MemoryQueue, function: QueueFunction, batch_size: int, kill: float | None, *, lose: bool = False, crash: bool = False
    ) -> int:
        """Deliver one batch, and return how many messages it had.

        Args:
            queue, function: from where to where.
            batch_size: the most messages.
            kill: seconds after which the function is killed.
            lose: whether the function ends and its response is lost.
            crash: whether the function is killed before it has done anything.
        """
        system = self.lab.system
        deliveries = system.run(queue.receive(limit=batch_size, wait=0.0))
        if not deliveries:
            return 0
        event, context = json.loads(json.dumps(batch_of(deliveries))), self.context()
        response = None if crash else _killed(system.loop, lambda: function(event, context), kill)
        self.answers.append(None if lose else response)
        if response is not None and not lose:
            kept = {each["itemIdentifier"] for each in json.loads(json.dumps(response))["batchItemFailures"]}
            for number, delivery in enumerate(deliveries):
                if f"m{number}" not in kept:
                    system.run(queue.delete(delivery))
        return len(deliveries)


def _killed(loop: asyncio.AbstractEventLoop, call: Callable[[], dict[str, Any]], after: float | None) -> dict[str, Any] | None:
    """Call a function, and kill it after this many seconds: none of its steps runs afterwards."""
    before = asyncio.all_tasks(loop)
    if after is None:
        return call()
    timer = loop.call_later(after, lambda: [task.cancel() for task in asyncio.all_tasks(loop) - before])
    try:
        return call()
    except asyncio.CancelledError:
        return None
    finally:
        timer.cancel()


@contextmanager
def deployed(app: Offpoll, **changes: Any) -> Iterator[Deployed]:
    """Deploy an app in memory. Further arguments are settings."""
    with lab(app, workers=0, **{"lease": 6 * TIMEOUT, "timeout": TIMEOUT - 30, **changes}) as made:
        system = made.system
        service, loop = system.service, system.loop

        def environment() -> Environment:
            return Environment(lifespan=nullcontext(), close=service.dependencies.close, loop=loop, clock=loop.now)

        ambient = Ambient(clock=loop.now, monotonic=loop.time, random=lambda: 0.0)
        runner = InProcess(state=None, threads=0, result_limit=service.settings.result_limit, monotonic=loop.time)
        given = {"kinds": service.kinds, "settings": service.settings, "dependencies": service.dependencies}
        batches = BatchWorker(**given, runner=runner, ambient=ambient)
        settling = DeadLetterBatchWorker(**given, clock=loop.now)
        yield Deployed(
            lab=made,
            api=HttpFunction(environment=environment(), endpoint=system.endpoint, kinds=service.kinds),
            worker=QueueFunction(environment=environment(), queue=system.queue, work=batches.work),
            dead_letters=QueueFunction(environment=environment(), queue=system.dead_letters, work=settling.settle),
            answers=[],
        )
