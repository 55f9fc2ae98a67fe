"""Reads bucket, table and queues of the embedded AWS directly, with its root credentials, once all is quiet."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from offpoll.aws.items import from_item
from offpoll.cli.dev.emulator import REGION, ROOT
from offpoll.cli.dev.resources import Resources
from offpoll.document import Document
from offpoll.operation import Record, is_operation_id

__all__ = ["QUEUES", "Message", "Stores"]

#: In the order of `Resources.queue_urls`.
QUEUES = ("operations", "dead letters", "parking")

#: The body of an unreadable message: it lacks the attributes.
GARBAGE = "garbage"

_DEPTH = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message left in a queue.

    Attributes:
        queue: one of `QUEUES`.
        operation_id: from its attributes; empty if it has none.
        receives: how often it was delivered.
    """

    queue: str
    operation_id: str
    body: str
    receives: int


class Stores:
    """Reads the stores with boto3, so that no bug in offpoll's wire can hide."""

    def __init__(self, resources: Resources) -> None:
        session = boto3.Session(aws_access_key_id=ROOT, aws_secret_access_key=ROOT, region_name=REGION)
        config = Config(proxies={}, connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
        self._resources = resources
        self._clients: Mapping[str, Any] = {
            name: session.client(name, endpoint_url=resources.endpoint, config=config) for name in ("s3", "sqs", "dynamodb")
        }

    def send_garbage(self) -> None:
        """Send an unreadable message."""
        self._clients["sqs"].send_message(QueueUrl=self._resources.queue_urls[0], MessageBody=GARBAGE)

    def depth(self, queue: str) -> int:
        """Return how many messages a queue holds, in any state."""
        url = self._resources.queue_urls[QUEUES.index(queue)]
        found = self._clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=list(_DEPTH))["Attributes"]
        return sum(int(found[name]) for name in _DEPTH)

    def messages(self) -> list[Message]:
        """Return each visible message once: receiving one hides it for a minute."""
        left = []
        for name, url in zip(QUEUES, self._resources.queue_urls, strict=True):
            while received := self._receive(url):
                left += [_message(name, each) for each in received]
        return left

    def documents(self) -> dict[str, Document]:
        """Return all status documents, by operation id."""
        s3, bucket = self._clients["s3"], self._resources.bucket
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        bodies = (s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
        return {document.id: document for document in map(Document.from_bytes, bodies)}

    def records(self) -> dict[str, Record]:
        """Return all records, by operation id. Other items of the table, the service times, are left out."""
        pages = self._clients["dynamodb"].get_paginator("scan").paginate(TableName=self._resources.table, ConsistentRead=True)
        items = [item for page in pages for item in page["Items"] if is_operation_id(item["id"]["S"])]
        for item in items:
            if "input" in item:  # `from_item` expects the wire's base64; boto3 has decoded it
                item["input"] = {"B": base64.b64encode(item["input"]["B"])}
        return {record.submission.operation_id: record for record in map(from_item, items)}

    def _receive(self, url: str) -> list[Any]:
        received = self._clients["sqs"].receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        return list(received.get("Messages", ()))


def _message(queue: str, received: Mapping[str, Any]) -> Message:
    attributes = received.get("MessageAttributes", {})
    return Message(
        queue=queue,
        operation_id=attributes.get("operation_id", {}).get("StringValue", ""),
        body=received["Body"],
        receives=int(received.get("Attributes", {}).get("ApproximateReceiveCount", 0)),
    )
