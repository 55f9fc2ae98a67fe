"""CPU of one message through a worker: offpoll's, against a loop over boto3, both with a handler that returns at once.

The loop is what people write: receive ten, then for each message claim the operation in DynamoDB (a conditional update), put `running`,
handle, record the outcome (a conditional update), put the final document, delete the message; one call after the other. offpoll's worker
runs as `offpoll work` does, with room for 32. Its operations end before anybody looks, so it never writes `running`; it reads the document
instead, to replace just what it read. Only this process's CPU counts, user and system, all threads; AWS is a stub in another process.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.accept import environment
from bench.report import finish, measure_pairs, one_core, options, table
from bench.wire import BUCKET, stub
from pydantic import BaseModel

from offpoll import Offpoll
from offpoll.settings import Settings
from offpoll.wiring import dependencies, make_worker
from offpoll.work.handle import InProcess

AT_ONCE = 32
LEASE = 60


class Order(BaseModel):
    """What is ordered."""

    sku: str
    quantity: int


class Confirmation(BaseModel):
    """What comes of it."""

    number: str


def confirm(order: Order) -> Confirmation:
    return Confirmation(number=f"{order.sku}-{order.quantity}")


def offpoll(aws: str, messages: int) -> Callable[[], float]:
    """Return a measurement: seconds of CPU for one message through offpoll's worker."""
    environ = environment(aws)
    settings = Settings.load(environ=environ, concurrency=AT_ONCE)

    async def work() -> float:
        app = Offpoll()
        handled = 0

        @app.operation("order")
        async def create_order(order: Order) -> Confirmation:
            nonlocal handled
            handled += 1
            if handled == messages:
                worker.drain()
            return confirm(order)

        own = dependencies(settings, environ=environ)
        runner = InProcess(state=None, threads=AT_ONCE, result_limit=settings.result_limit, monotonic=time.monotonic)
        worker = make_worker(app, settings=settings, dependencies_here=own, runner=runner, environ=environ, dead_letters=False)
        begin = time.process_time()
        await worker.run()
        spent = time.process_time() - begin
        runner.close()
        await own.close()
        return spent / handled

    def measure() -> float:
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            return loop.run(work())

    return measure


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def boto3(aws: str, messages: int) -> Callable[[], float]:
    """Return the same measurement of the loop over boto3."""
    from bench.accept_boto3 import QUEUE_URL, s3, session, sqs, wire

    dynamodb = session.client("dynamodb")

    def update(operation_id: str, condition: str, **values: dict[str, Any]) -> dict[str, Any]:
        """Set what has no underscore before its name; the rest is only for the condition."""
        set_ = [name for name in values if not name.startswith("_")]
        return dynamodb.update_item(
            TableName="operations",
            Key={"id": {"S": operation_id}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in set_),
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in set_},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ReturnValues="ALL_NEW",
        )["Attributes"]

    def put(key: str, document: dict[str, Any]) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="application/json", CacheControl="private, no-cache")

    def process(message: dict[str, Any]) -> None:
        facts = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        operation_id, key, token, now = facts["operation_id"], facts["status_key"], secrets.token_hex(16), time.time()
        update(
            operation_id,
            "attribute_not_exists(id) OR lease_until < :_now",
            kind={"S": facts["kind"]},
            owner={"S": facts["owner"]},
            created_at={"S": facts["created_at"]},
            token={"S": token},
            lease_until={"N": str(now + LEASE)},
            _now={"N": str(now)},
        )
        document = {"spec": "offpoll/1", "id": operation_id, "kind": facts["kind"], "created_at": facts["created_at"]}
        put(key, {**document, "status": "running", "done": False, "started_at": wire(datetime.now(UTC))})
        result = confirm(Order.model_validate_json(message["Body"])).model_dump_json()
        update(operation_id, "#token = :token", token={"S": token}, status={"S": "succeeded"}, result={"S": result})
        put(key, {**document, "status": "succeeded", "done": True, "finished_at": wire(datetime.now(UTC))})
        sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])

    def measure() -> float:
        begin, handled = time.process_time(), 0
        while handled < messages:
            received = sqs.receive_message(QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20, MessageAttributeNames=["All"])
            for message in received["Messages"]:
                process(message)
                handled += 1
        return (time.process_time() - begin) / handled

    return measure


def main() -> None:
    import os

    given = options(__doc__ or "")
    one_core()
    with stub() as aws:
        os.environ.update(environment(aws))  # before accept_boto3 makes its clients
        mine, theirs, ratios = measure_pairs(
            offpoll(aws, given.pick(2_000, 800)), {"boto3": boto3(aws, given.pick(300, 120))}, pairs=given.pick(9, 5)
        )
    rows = [("offpoll", f"{mine * 1e6:.0f}", f"{1 / mine:,.0f}", "1")]
    rows += [(name, f"{spent * 1e6:.0f}", f"{1 / spent:,.0f}", f"{ratios[name]:.1f}") for name, spent in theirs.items()]
    table("Messages through a worker, one core", ("", "CPU µs", "messages/s", "times offpoll's"), rows)
    finish("work", ratios, given)


if __name__ == "__main__":
    main()
