"""Every call that the adapters make equals botocore's for the same verb: method, path, query, headers and body."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from tests.support.scripted_aws import Asked, Reply, Scripted

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.dynamodb import DynamoRecords
from offpoll.aws.dynamodb_service_times import DynamoServiceTimes
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore, encryption_headers
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire
from offpoll.errors import OffpollError
from offpoll.estimate.history import Span
from offpoll.operation import Outcome, Status, Submission
from offpoll.queue import Delivery, Envelope
from offpoll.records import Claim, Idle, Undecided

Run = Callable[[Coroutine[Any, Any, Any]], Any]

#: The headers that define a call. Others belong to the transport, or to botocore alone: its agent, retry counts, an invocation id, and
#: `x-amzn-query-mode`, which asks for the error codes of SQS's old protocol.
COMPARED = (
    *("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-bucket-key-enabled"),
    *(
        "x-amz-expected-bucket-owner",
        "content-type",
        "x-amz-target",
        "if-match",
        "if-none-match",
        "cache-control",
        "x-amz-content-sha256",
        "x-amz-security-token",
    ),
)

KEY = "status/ü b/+~%/k"
URL = "http://127.0.0.1/1/operations"
ENVELOPE = Envelope(body='{"a":"ü"}', attributes={"kind": "order", "owner": "ü"})
DELIVERY = Delivery(envelope=ENVELOPE, receipt="r+/=")
SUBMISSION = Submission(
    operation_id="0" * 32,
    kind="order",
    owner="public",
    status_key="status/public/0",
    digest="d",
    base_url="https://api.example.com",
    created_at=datetime(2026, 11, 23, 18, tzinfo=UTC),
)
FAILED = Outcome(status=Status.FAILED, error={"code": "c", "message": "m"})
EXPIRES_AT = datetime(2026, 12, 7, 18, tzinfo=UTC)
ATTRIBUTES = {"kind": {"DataType": "String", "StringValue": "order"}, "owner": {"DataType": "String", "StringValue": "ü"}}


class CaughtError(Exception):
    """Ends a botocore call before anything is sent."""


def botocores(service: str, origin: str, verb: str, parameters: Mapping[str, Any], checksums: str = "when_required") -> Asked:
    """Return the request that botocore makes, without sending it."""
    session = botocore.session.Session()
    client = session.create_client(
        service,
        region_name="eu-west-1",
        endpoint_url=origin,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="secret",
        aws_session_token="token",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation=checksums,
            signature_version="s3v4" if service == "s3" else None,
        ),
    )
    caught: list[Any] = []

    def catch(request: Any, **_: Any) -> None:
        caught.append(request)
        raise CaughtError

    client.meta.events.register_first("before-send", catch)
    with pytest.raises(CaughtError):
        getattr(client, verb)(**parameters)
    request = caught[0]
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    body = request.body.read() if hasattr(request.body, "read") else request.body or b""
    return Asked(
        method=request.method,
        target=request.url.removeprefix(origin),
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


async def ours(use: Callable[[Wire, AwsEndpoint], Coroutine[Any, Any, Any]]) -> tuple[str, Asked]:
    """Return an adapter's last request, and the origin it went to."""
    async with Scripted([Reply(200, b"{}", {"ETag": '"e"'})]) as server:
        wire = Wire(StaticCredentials(Credentials(access_key="AKIAEXAMPLE", secret_key="secret", session_token="token")))
        try:
            await use(wire, AwsEndpoint.parse(server.origin))
        except OffpollError:
            pass  # the scripted response is not the service's; only the request counts
        await wire.close()
        return server.origin, server.asked[-1]


def s3(wire: Wire, endpoint: AwsEndpoint, **options: Any) -> S3DocumentStore:
    return S3DocumentStore(wire, endpoint=endpoint, bucket="bucket", region="eu-west-1", **options)


def sqs(wire: Wire, endpoint: AwsEndpoint, visibility: float | None = None) -> SqsQueue:
    return SqsQueue(wire, endpoint=endpoint, url=URL, region="eu-west-1", visibility=visibility)


def dynamodb(wire: Wire, endpoint: AwsEndpoint) -> DynamoRecords:
    return DynamoRecords(wire, endpoint=endpoint, table="records", region="eu-west-1")


def times(wire: Wire, endpoint: AwsEndpoint) -> DynamoServiceTimes:
    return DynamoServiceTimes(wire, endpoint=endpoint, table="records", region="eu-west-1")


SPAN = Span(began_at=EXPIRES_AT - timedelta(seconds=10), ended_at=EXPIRES_AT, buckets={4: 2, -3: 1}, seconds=3.7, inside=2, late=1)


async def batch(call: Callable[[], Awaitable[None]]) -> None:
    """Make three equal calls at once: the first goes alone, the others become a batch."""
    await asyncio.gather(call(), call(), call(), return_exceptions=True)


_PUT = {"Bucket": "bucket", "Key": KEY, "Body": b"{}", "ContentType": "application/json", "CacheControl": "private, no-cache"}
_RECEIVE = {
    "QueueUrl": URL,
    "MaxNumberOfMessages": 7,
    "WaitTimeSeconds": 20,
    "MessageAttributeNames": ["All"],
    "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
}
_DEPTH = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
_ENTRIES = [{"Id": "0", "ReceiptHandle": "r+/="}, {"Id": "1", "ReceiptHandle": "r+/="}]


@pytest.mark.parametrize(
    ("service", "verb", "parameters", "use"),
    [
        ("s3", "put_object", {**_PUT, "IfNoneMatch": "*"}, lambda w, e: s3(w, e).create(KEY, b"{}")),
        ("s3", "put_object", {**_PUT, "IfMatch": "e0"}, lambda w, e: s3(w, e).replace(KEY, b"{}", etag="e0")),
        (
            "s3",
            "put_object",
            {**_PUT, "IfMatch": "e0", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/a", "BucketKeyEnabled": True},
            lambda w, e: s3(w, e, encryption=encryption_headers("aws:kms", kms_key_id="alias/a", bucket_key=True)).replace(
                KEY, b"{}", etag="e0"
            ),
        ),
        (
            "s3",
            "put_object",
            {**_PUT, "IfNoneMatch": "*", "ServerSideEncryption": "AES256", "ExpectedBucketOwner": "123456789012"},
            lambda w, e: s3(w, e, encryption=encryption_headers("AES256"), owner="123456789012").create(KEY, b"{}"),
        ),
        (
            "s3",
            "get_object",
            {"Bucket": "bucket", "Key": KEY, "ExpectedBucketOwner": "123456789012"},
            lambda w, e: s3(w, e, owner="123456789012").read(KEY),
        ),
        ("s3", "get_object", {"Bucket": "bucket", "Key": KEY}, lambda w, e: s3(w, e).read(KEY)),
        (
            "sqs",
            "send_message",
            {"QueueUrl": URL, "MessageBody": ENVELOPE.body, "MessageAttributes": ATTRIBUTES},
            lambda w, e: sqs(w, e).send(ENVELOPE),
        ),
        (
            "sqs",
            "send_message",
            {"QueueUrl": URL, "MessageBody": ENVELOPE.body, "MessageAttributes": ATTRIBUTES, "DelaySeconds": 7},
            lambda w, e: sqs(w, e).send(ENVELOPE, delay=7.0),
        ),
        ("sqs", "receive_message", _RECEIVE, lambda w, e: sqs(w, e).receive(limit=7, wait=20.0)),
        ("sqs", "receive_message", {**_RECEIVE, "VisibilityTimeout": 61}, lambda w, e: sqs(w, e, 60.5).receive(limit=7, wait=20.0)),
        ("sqs", "delete_message", {"QueueUrl": URL, "ReceiptHandle": "r+/="}, lambda w, e: sqs(w, e).delete(DELIVERY)),
        (
            "sqs",
            "change_message_visibility",
            {"QueueUrl": URL, "ReceiptHandle": "r+/=", "VisibilityTimeout": 30},
            lambda w, e: sqs(w, e).hide(DELIVERY, seconds=30.0),
        ),
        ("sqs", "get_queue_attributes", {"QueueUrl": URL, "AttributeNames": _DEPTH}, lambda w, e: sqs(w, e).depth()),
        ("sqs", "delete_message_batch", {"QueueUrl": URL, "Entries": _ENTRIES}, lambda w, e: batch(partial(sqs(w, e).delete, DELIVERY))),
        (
            "sqs",
            "change_message_visibility_batch",
            {"QueueUrl": URL, "Entries": [{**entry, "VisibilityTimeout": 9} for entry in _ENTRIES]},
            lambda w, e: batch(partial(sqs(w, e).hide, DELIVERY, seconds=9.0)),
        ),
        (
            "sqs",
            "send_message_batch",
            {
                "QueueUrl": URL,
                "Entries": [{"Id": number, "MessageBody": ENVELOPE.body, "MessageAttributes": ATTRIBUTES} for number in "01"],
            },
            lambda w, e: batch(partial(sqs(w, e).send, ENVELOPE)),
        ),
        (
            "dynamodb",
            "get_item",
            {"TableName": "records", "Key": {"id": {"S": "0" * 32}}, "ConsistentRead": True},
            lambda w, e: dynamodb(w, e).get("0" * 32),
        ),
    ],
)
def test_calls_equal_botocores(
    run: Run, service: str, verb: str, parameters: Mapping[str, Any], use: Callable[[Wire, AwsEndpoint], Coroutine[Any, Any, Any]]
) -> None:
    """The same verb with the same parameters gives the same request."""
    origin, asked = run(ours(use))
    compare(asked, botocores(service, origin, verb, parameters))


@pytest.mark.parametrize("body", [b"{}", b"", b"\0\xff" * 99])
def test_checksums_equal_botocores(run: Run, body: bytes) -> None:
    """With AWS_REQUEST_CHECKSUM_CALCULATION=when_supported a PUT carries the checksum that botocore sends."""
    origin, asked = run(ours(lambda w, e: s3(w, e, checksums=True).create(KEY, body)))
    theirs = botocores("s3", origin, "put_object", {**_PUT, "Body": body, "IfNoneMatch": "*"}, "when_supported")
    assert asked.headers["x-amz-checksum-crc32"] == theirs.headers["x-amz-checksum-crc32"]
    assert asked.headers["x-amz-sdk-checksum-algorithm"] == theirs.headers["x-amz-sdk-checksum-algorithm"]
    _, plain = run(ours(lambda w, e: s3(w, e, checksums=True).read(KEY)))
    assert "x-amz-checksum-crc32" not in plain.headers


@pytest.mark.parametrize(
    "use",
    [
        lambda w, e: dynamodb(w, e).claim(SUBMISSION, seen=0, token="t", lease=60.0, expires_at=EXPIRES_AT),
        lambda w, e: dynamodb(w, e).claim(SUBMISSION, seen=2, token="t", lease=60.0, expires_at=EXPIRES_AT),
        lambda w, e: dynamodb(w, e).renew("0" * 32, held=Claim(attempt=1, token="t"), lease=60.0),
        lambda w, e: dynamodb(w, e).release("0" * 32, held=Claim(attempt=1, token="t"), backoff=60.0),
        lambda w, e: dynamodb(w, e).decide(SUBMISSION, FAILED, guard=Idle(attempt=0), expires_at=EXPIRES_AT, input=b"\0\xff"),
        lambda w, e: dynamodb(w, e).decide(SUBMISSION, Outcome(status=Status.CANCELED), guard=Undecided(), expires_at=EXPIRES_AT),
        lambda w, e: times(w, e).add("order", SPAN),
    ],
)
def test_updates_equal_botocores(run: Run, use: Callable[[Wire, AwsEndpoint], Coroutine[Any, Any, Any]]) -> None:
    """botocore accepts an update's parameters and makes the same request of them."""
    origin, asked = run(ours(use))
    parameters = json.loads(asked.body)
    for name, value in parameters["ExpressionAttributeValues"].items():
        if "B" in value:
            parameters["ExpressionAttributeValues"][name] = {"B": b"\0\xff"}
    compare(asked, botocores("dynamodb", origin, "update_item", parameters))


def test_assume_role_equals_botocores(run: Run) -> None:
    """The form that assumes a role equals botocore's."""
    origin, asked = run(
        ours(lambda w, e: assumed_role(w, endpoint=e, region="eu-west-1", role_arn="arn:aws:iam::123456789012:role/reader").get())
    )
    parameters = {"RoleArn": "arn:aws:iam::123456789012:role/reader", "RoleSessionName": "offpoll", "DurationSeconds": 3600}
    theirs = botocores("sts", origin, "assume_role", parameters)
    assert sorted(asked.body.decode().split("&")) == sorted(theirs.body.decode().split("&"))
    assert (asked.method, asked.target, asked.headers["content-type"]) == (theirs.method, theirs.target, theirs.headers["content-type"])


def compare(asked: Asked, theirs: Asked) -> None:
    """Compare the defining parts of two requests, and check that our signature covers the body."""
    assert (asked.method, asked.target) == (theirs.method, theirs.target)
    assert {name: asked.headers.get(name) for name in COMPARED} == {name: theirs.headers.get(name) for name in COMPARED}
    if "x-amz-target" in asked.headers:
        assert json.loads(asked.body) == json.loads(theirs.body)
    else:
        assert asked.body == theirs.body
    if "x-amz-content-sha256" in asked.headers:
        assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(asked.body).hexdigest()
    signed = {name for name in COMPARED if name in asked.headers} | {"host", "x-amz-date"}
    match = re.search(r"SignedHeaders=([^,]*)", asked.headers["authorization"])
    assert match is not None
    assert set(match[1].split(";")) == signed
