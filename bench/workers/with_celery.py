"""Celery's worker, over kombu's SQS transport: `celery --app bench.workers.with_celery worker`.

As docs.celeryq.dev sets it up:

    "Using Amazon SQS"      the transport and its options; long polls of 10 s and the pause of 1 s after an empty one are its defaults
    "Tasks", acks_late      the message is deleted after the work, so that a crash loses nothing, as with all others here
    "Concurrency"           threads, for work that waits for the network; the default is a pool of forked processes, one for each core

A worker takes up to four messages for each thread or process, and pauses for a second where it has so many (`worker_prefetch_multiplier`,
`polling_interval`): with one process that makes four messages a second.
"""

from __future__ import annotations

import json
import os

from bench.workers.orders import BODY, VISIBILITY, Documents, Order, confirm, fresh
from celery import Celery

app = Celery("orders", broker="sqs://")  # credentials by boto3's chain
app.conf.broker_transport_options = {"region": os.environ["AWS_REGION"], "visibility_timeout": VISIBILITY}
app.conf.task_acks_late = True
app.conf.task_ignore_result = True

documents = Documents()


@app.task
def create_order(operation_id: str, created_at: str, order: dict[str, object]) -> None:
    documents.running(operation_id, created_at)
    confirm(Order.model_validate(order)).model_dump_json()
    documents.succeeded(operation_id, created_at)


def send(count: int, *, queue: str) -> None:
    """Submit so many orders."""
    for _ in range(count):
        create_order.apply_async((*fresh(), json.loads(BODY)), queue=queue)
