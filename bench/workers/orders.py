"""The work of every worker in this bench: an order is confirmed at once, and its status document says so.

`Documents` is how the workers without offpoll write: `running` before the work and the end after it, each a whole document, by boto3.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pydantic import BaseModel

#: What every message orders, as JSON.
BODY = '{"quantity":2,"sku":"A1"}'

#: Seconds for which a worker has a message to itself, where it can be said.
VISIBILITY = 60

_serial = count(1)


class Order(BaseModel):
    """What is ordered."""

    sku: str
    quantity: int


class Confirmation(BaseModel):
    """What comes of it."""

    number: str


def confirm(order: Order) -> Confirmation:
    return Confirmation(number=f"{order.sku}-{order.quantity}")


class Documents:
    """Status documents, written by boto3 with one client for the process."""

    def __init__(self) -> None:
        import boto3  # here: offpoll's worker needs none
        from botocore.config import Config

        self._bucket = os.environ["OFFPOLL_BUCKET"]
        self._s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))

    def running(self, operation_id: str, created_at: str) -> None:
        self._put(operation_id, created_at, status="running", done=False, started_at=now())

    def succeeded(self, operation_id: str, created_at: str) -> None:
        self._put(operation_id, created_at, status="succeeded", done=True, finished_at=now())

    def _put(self, operation_id: str, created_at: str, **rest: Any) -> None:
        document = {"spec": "offpoll/1", "id": operation_id, "kind": "order", "created_at": created_at, **rest}
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"status/public/{operation_id}",
            Body=json.dumps(document, separators=(",", ":")).encode(),
            ContentType="application/json",
            CacheControl="private, no-cache",
        )


def fresh() -> tuple[str, str]:
    """Return the id of a new operation, and when it was created."""
    return f"{next(_serial):032x}", now()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
