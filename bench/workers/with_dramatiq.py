"""Dramatiq's worker, over `dramatiq-sqs`: `dramatiq bench.workers.with_dramatiq`, with its default of 8 threads, in one process.

Set up as the README of dramatiq-sqs does, whose middleware is this without Prometheus, which needs a process of its own. Messages are
deleted after the work.
"""

from __future__ import annotations

import json

import dramatiq
from bench.workers.orders import BODY, VISIBILITY, Documents, Order, confirm, fresh
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries, TimeLimit
from dramatiq_sqs import SQSBroker

broker = SQSBroker(
    namespace="dramatiq",
    visibility_timeout=VISIBILITY,
    middleware=[AgeLimit(), TimeLimit(), Callbacks(), Pipelines(), Retries(min_backoff=1000, max_backoff=900_000, max_retries=96)],
)
dramatiq.set_broker(broker)

documents = Documents()


@dramatiq.actor
def create_order(operation_id: str, created_at: str, order: dict[str, object]) -> None:
    documents.running(operation_id, created_at)
    confirm(Order.model_validate(order)).model_dump_json()
    documents.succeeded(operation_id, created_at)


def send(count: int) -> None:
    """Submit so many orders."""
    for _ in range(count):
        create_order.send(*fresh(), json.loads(BODY))
