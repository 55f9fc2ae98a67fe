"""The peer of `accept`: an API that accepts orders with FastAPI and boto3, as people write it.

It does what offpoll's accept path does: the same checks, the same id and digest, an equal document created conditionally, an equal message,
a presigned link, an equal answer. It is written with care: one client of each kind for the process, connections for every thread, the
low-level clients (resources are slower), and a JSONResponse, so that FastAPI does not walk the answer again. The route is a plain `def`,
so FastAPI runs it in a thread, as it must with boto3, and makes its three calls one after the other.

It leaves out what offpoll also does, in its own favour: no estimate from the queue's depth, no trace, no limits, no owner but one.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

BUCKET, QUEUE_URL = os.environ["OFFPOLL_BUCKET"], os.environ["OFFPOLL_QUEUE_URL"]
SECRET = os.environ["OFFPOLL_SECRET"].encode()
LINK_LIFETIME, WINDOW, EXPECTED, INTERVAL = 3600, timedelta(days=14), timedelta(seconds=5), 2.0

session = boto3.Session()  # credentials and region from the environment
s3 = session.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, max_pool_connections=50))
sqs = session.client("sqs", config=Config(max_pool_connections=50))

api = FastAPI(title="orders")
Key = Annotated[str | None, Header(min_length=1, max_length=255)]


class Order(BaseModel):
    """What is ordered."""

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(gt=0)


@api.post("/order", status_code=202)
def submit(order: Order, request: Request, idempotency_key: Key = None) -> JSONResponse:
    body = json.dumps(order.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    order_id = secrets.token_hex(16) if idempotency_key is None else mac("public", "order", idempotency_key)[:32]
    key = f"status/public/{order_id}"
    document = queued(order_id, digest=mac(order_id, body), base_url=str(request.base_url).rstrip("/"))
    try:
        s3.put_object(
            Bucket=BUCKET,
            Key=key,
            Body=json.dumps(document, separators=(",", ":")).encode(),
            IfNoneMatch="*",
            ContentType="application/json",
            CacheControl="private, no-cache",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        document = found(key, document["digest"])
    if document["status"] == "queued":
        sqs.send_message(QueueUrl=QUEUE_URL, MessageBody=body, MessageAttributes=attributes(document, key))
    href = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=LINK_LIFETIME)
    link = {"href": href, "expires_at": wire(datetime.now(UTC) + timedelta(seconds=LINK_LIFETIME))}
    headers = {"Location": f"/order/{order_id}", "Retry-After": "5", "Cache-Control": "no-store"}
    return JSONResponse({**document, "status_link": link}, 202, headers)


def queued(order_id: str, *, digest: str, base_url: str) -> dict[str, Any]:
    """Return the first status document of an order."""
    now = datetime.now(UTC)
    own = f"{base_url}/order/{order_id}"
    due = wire(now + EXPECTED)
    return {
        "spec": "offpoll/1",
        "id": order_id,
        "kind": "order",
        "status": "queued",
        "done": False,
        "revision": 1,
        "attempt": 0,
        "created_at": wire(now),
        "started_at": None,
        "updated_at": wire(now),
        "finished_at": None,
        "progress": None,
        "estimate": {"earliest": None, "mean": due, "latest": None},
        "poll": {"not_before": due, "interval": INTERVAL},
        "result": None,
        "error": None,
        "digest": digest,
        "links": {"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"},
        "expires_at": wire(now + WINDOW),
    }


def found(key: str, digest: str) -> dict[str, Any]:
    """Return the document of a repeated submit; another body under the same key is refused."""
    document: dict[str, Any] = json.load(s3.get_object(Bucket=BUCKET, Key=key)["Body"])
    if document["digest"] != digest:
        raise HTTPException(422, "This Idempotency-Key was used before with another body.")
    return document


def attributes(document: dict[str, Any], key: str) -> dict[str, Any]:
    values = {
        "status_key": key,
        "operation_id": document["id"],
        "kind": "order",
        "owner": "public",
        "created_at": document["created_at"],
        "digest": document["digest"],
        "base_url": document["links"]["self"].rpartition("/order/")[0],
        "version": "1",
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def mac(*parts: str) -> str:
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    return hmac.digest(SECRET, message, "sha256").hex()


def wire(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")[:-6] + "Z"
