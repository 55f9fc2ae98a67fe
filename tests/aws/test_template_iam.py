"""The template's policies, enforced: through our own adapters each function can do its work, and nothing else.

They run on ministack, as IAM users with the roles' documents. For batch verbs ministack requires permissions that AWS does not have.
"""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.cloudformation import resources, statements
from tests.support.servers import Server

from offpoll import Settings
from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire
from offpoll.cli.dev.resources import EMULATED_VERBS, Resources, make_resources
from offpoll.dependencies import Dependencies
from offpoll.estimate.history import Span
from offpoll.operation import Outcome, Status, Submission
from offpoll.queue import Delivery, Envelope, Message
from offpoll.records import Idle
from offpoll.wiring import dependencies

ACCOUNT, REGION = "000000000000", "eu-west-1"

ENVELOPE = Envelope(body="{}", attributes={"version": "1"})

Run = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The stack's resources in the emulator, and one user for each role."""

    made: Resources
    names: Mapping[str, str]
    keys: Mapping[str, tuple[str, str]]

    def client(self, role: str, service: str) -> Any:
        """Return a boto3 client with a role's rights, or root's if no role is given."""
        access_key, secret_key = self.keys[role] if role else ("test", "test")
        return boto3.Session(access_key, secret_key, region_name=REGION).client(service, endpoint_url=self.made.endpoint)

    def dependencies(self, role: str) -> Dependencies:
        """Return the dependencies of a function with this role."""
        access_key, secret_key = self.keys[role]
        environ = {**self.made.environ(), "AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
        settings = Settings.load(environ={name: value for name, value in environ.items() if name.startswith("OFFPOLL_")})
        return dependencies(settings, environ=environ)

    def queue_url(self, name: str) -> str:
        """Return the URL of one of the template's queues."""
        return self.made.queue_urls[("Operations", "DeadLetters", "Parking").index(name)]


@pytest.fixture(scope="module")
def stack(ministack_server: Server) -> Stack:
    """Create the resources, and users with the policies as the template writes them."""
    name = f"t{uuid.uuid4().hex[:12]}"
    made = make_resources(ministack_server.origin, settings=Settings(secret="s" * 32), attempts=3, name=name)
    names = {
        "Documents": made.bucket,
        "Records": made.table,
        "SignerRole": f"{name}-signer",
        **{logical: url.rpartition("/")[2] for logical, url in zip(("Operations", "DeadLetters", "Parking"), made.queue_urls, strict=True)},
    }
    iam = boto3.Session("test", "test", region_name=REGION).client("iam", endpoint_url=made.endpoint)
    keys = {role: _user(iam, f"{name}-{role}", policy(role, names)) for role in ("ApiRole", "WorkerRole", "DeadLettersRole")}
    trust = resources(names={"ApiRole": f"{name}-ApiRole"}, account=ACCOUNT)["SignerRole"]["Properties"]["AssumeRolePolicyDocument"]
    as_user = json.dumps(trust).replace(":role/", ":user/")  # the API's function is a user here
    iam.create_role(RoleName=names["SignerRole"], AssumeRolePolicyDocument=as_user)
    iam.put_role_policy(RoleName=names["SignerRole"], PolicyName="signer", PolicyDocument=policy("SignerRole", names))
    return Stack(made=made, names=names, keys=keys)


def policy(role: str, names: Mapping[str, str]) -> str:
    """Return a role's statements as one document, adding the emulator's batch verbs to AWS's."""
    found = statements(role, names=names, account=ACCOUNT)
    for each in found:
        allowed = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
        each["Action"] = [*allowed, *(f"sqs:{batch}" for batch in EMULATED_VERBS if f"sqs:{batch.removesuffix('Batch')}" in allowed)]
    return json.dumps({"Version": "2012-10-17", "Statement": found})


def _user(iam: Any, name: str, document: str) -> tuple[str, str]:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="role", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def submission() -> Submission:
    """Return the submission of a new operation."""
    operation_id = uuid.uuid4().hex
    return Submission(
        operation_id=operation_id,
        kind="order",
        owner="public",
        status_key=f"status/public/{operation_id}",
        digest="d",
        base_url="https://api.example.com",
        created_at=datetime.now(UTC).replace(microsecond=0),
    )


# What each must be able to do


def test_the_api_can_submit_look_and_cancel(stack: Stack, run: Run) -> None:
    """The API creates and reads a document, enqueues, counts messages, reads and decides a record; its own checks pass."""

    async def use(each: Dependencies) -> None:
        await each.check()
        order = submission()
        opened = await each.board.store.create(order.status_key, b"{}")
        assert await each.board.store.read(order.status_key) == (b"{}", opened)
        await each.board.store.replace(order.status_key, b'{"a":1}', etag=opened)
        await each.queue.send(Message(submission=order, body="{}").to_envelope())
        await each.queue.depth()
        assert (await each.records.get(order.operation_id)).record is None
        assert (await each.records.decide(order, Outcome(status=Status.CANCELED), guard=Idle(attempt=0), expires_at=later())).applied
        await each.close()

    run(use(stack.dependencies("ApiRole")))
    empty(stack, "Operations")


def test_the_worker_can_work_and_park(stack: Stack, run: Run) -> None:
    """The worker receives, hides and deletes operations; claims, renews and publishes; and parks unreadable messages."""
    put(stack, "Operations", 2)

    async def use(each: Dependencies) -> None:
        first, second = await received(each, "queue", 2)
        await each.queue.hide(first, seconds=0)
        await each.queue.delete(second)
        await each.queue.depth()
        await each.parking.send(ENVELOPE)
        await work_on_records_and_documents(each)
        await each.close()

    run(use(stack.dependencies("WorkerRole")))
    empty(stack, "Operations")


def test_the_dead_letter_function_can_settle(stack: Stack, run: Run) -> None:
    """The dead-letter function receives, hides and deletes dead letters; enqueues again; parks; decides and publishes."""
    put(stack, "DeadLetters", 2)

    async def use(each: Dependencies) -> None:
        first, second = await received(each, "dead_letters", 2)
        await each.dead_letters.hide(first, seconds=0)
        await each.dead_letters.delete(second)
        await each.queue.send(ENVELOPE, delay=60)
        await each.parking.send(ENVELOPE)
        await work_on_records_and_documents(each)
        await each.close()

    run(use(stack.dependencies("DeadLettersRole")))
    empty(stack, "DeadLetters")


def test_the_api_signs_with_a_role_that_only_reads(stack: Stack, run: Run) -> None:
    """A link expires before the session and reads the document. Its credentials cannot write, list, delete or send."""
    endpoint = AwsEndpoint.parse(stack.made.endpoint)
    access_key, secret_key = stack.keys["ApiRole"]
    role = f"arn:aws:iam::{ACCOUNT}:role/{stack.names['SignerRole']}"

    async def use() -> tuple[str, Credentials]:
        wire = Wire(StaticCredentials(Credentials(access_key=access_key, secret_key=secret_key)))
        signer = assumed_role(wire, endpoint=endpoint, region=REGION, role_arn=role)
        store = S3DocumentStore(wire, endpoint=endpoint, bucket=stack.made.bucket, region=REGION, signer=signer)
        await store.create("status/public/signed", b"signed")
        link = store.sign("status/public/signed", lifetime=3600)
        signing = signer.current()
        assert signing.expires_at is not None
        assert link.expires_at < signing.expires_at
        await wire.close()
        return link.href, signing

    href, signing = run(use())
    with urllib.request.urlopen(href, timeout=30) as response:
        assert response.read() == b"signed"
    keys = {
        "aws_access_key_id": signing.access_key,
        "aws_secret_access_key": signing.secret_key,
        "aws_session_token": signing.session_token,
    }
    s3, sqs = (boto3.client(name, endpoint_url=stack.made.endpoint, region_name=REGION, **keys) for name in ("s3", "sqs"))
    bucket = {"Bucket": stack.made.bucket}
    refused(s3.put_object, **bucket, Key="status/public/signed", Body=b"")
    refused(s3.delete_object, **bucket, Key="status/public/signed")
    refused(s3.get_object, **bucket, Key="other/key")
    refused(s3.list_objects_v2, **bucket)
    refused(sqs.send_message, QueueUrl=stack.queue_url("Operations"), MessageBody="{}")


# What each must not be able to do


@pytest.mark.parametrize("role", ["ApiRole", "WorkerRole", "DeadLettersRole"])
def test_nobody_lists_deletes_or_leaves_the_prefix(stack: Stack, role: str) -> None:
    """Nobody can list or delete objects or records, or use a key outside `status/`."""
    s3, dynamodb = stack.client(role, "s3"), stack.client(role, "dynamodb")
    bucket, table = {"Bucket": stack.made.bucket}, {"TableName": stack.made.table}
    s3.put_object(**bucket, Key="status/public/mine", Body=b"{}")
    stack.client("", "s3").put_object(**bucket, Key="other/key", Body=b"{}")
    refused(s3.list_objects_v2, **bucket)
    refused(s3.list_objects_v2, **bucket, Prefix="status/")
    refused(s3.delete_object, **bucket, Key="status/public/mine")
    refused(s3.get_object, **bucket, Key="other/key")
    refused(s3.put_object, **bucket, Key="other/key", Body=b"{}")
    refused(s3.put_object, **bucket, Key="statusx/key", Body=b"{}")
    refused(s3.put_bucket_policy, **bucket, Policy="{}")
    refused(dynamodb.scan, **table)
    refused(dynamodb.query, **table, KeyConditionExpression="id = :id", ExpressionAttributeValues={":id": {"S": "1"}})
    refused(dynamodb.delete_item, **table, Key={"id": {"S": "1"}})
    refused(dynamodb.put_item, **table, Item={"id": {"S": "1"}})
    refused(stack.client(role, "sqs").list_queues)
    refused(stack.client(role, "sqs").purge_queue, QueueUrl=stack.queue_url("Operations"))


def test_each_keeps_to_its_queues(stack: Stack) -> None:
    """A sender cannot receive, and a receiver of one queue cannot receive from another."""
    sends = {"ApiRole": {"Operations"}, "WorkerRole": {"Parking"}, "DeadLettersRole": {"Operations", "Parking"}}
    receives = {"ApiRole": "", "WorkerRole": "Operations", "DeadLettersRole": "DeadLetters"}
    for role, targets in sends.items():
        sqs = stack.client(role, "sqs")
        for name in ("Operations", "DeadLetters", "Parking"):
            queue = {"QueueUrl": stack.queue_url(name)}
            if name not in targets:
                refused(sqs.send_message, **queue, MessageBody="{}")
            if name != receives[role]:
                refused(sqs.receive_message, **queue)
                refused(sqs.delete_message, **queue, ReceiptHandle="x")
                refused(sqs.change_message_visibility, **queue, ReceiptHandle="x", VisibilityTimeout=0)


def test_only_the_api_may_be_the_signer(stack: Stack) -> None:
    """A worker cannot sign links."""
    role = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{stack.names['SignerRole']}", "RoleSessionName": "test"}
    assert stack.client("ApiRole", "sts").assume_role(**role)["Credentials"]["Expiration"] > datetime.now(UTC)
    for other in ("WorkerRole", "DeadLettersRole"):
        refused(stack.client(other, "sts").assume_role, **role)


async def work_on_records_and_documents(each: Dependencies) -> None:
    """Do the calls of one attempt, including its end."""
    order = submission()
    claimed = await each.records.claim(order, seen=0, token="t", lease=60, expires_at=later())
    assert claimed.applied
    etag = await each.board.store.create(order.status_key, b"{}")
    assert await each.board.store.read(order.status_key) is not None
    await each.board.store.replace(order.status_key, b'{"a":1}', etag=etag)
    await each.service_times.add("order", Span(began_at=order.created_at, ended_at=order.created_at, buckets={1: 1}, seconds=1.0))
    assert await each.service_times.spans("order")


async def received(each: Dependencies, queue: str, number: int) -> list[Delivery]:
    """Receive this many messages."""
    found: list[Delivery] = []
    while len(found) < number:
        found += await getattr(each, queue).receive(limit=number - len(found), wait=5)
    return found


def put(stack: Stack, queue: str, number: int) -> None:
    """Send messages as a user who may."""
    for _ in range(number):
        stack.client("", "sqs").send_message(QueueUrl=stack.queue_url(queue), MessageBody="{}")


def empty(stack: Stack, queue: str) -> None:
    """Empty the queues, so that no test finds another's messages."""
    stack.client("", "sqs").purge_queue(QueueUrl=stack.queue_url(queue))


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    """Make a call that a policy must refuse."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"].endswith(("AccessDenied", "AccessDeniedException")), caught.value


def later() -> datetime:
    """Return when a record may be forgotten."""
    return datetime.now(UTC) + timedelta(days=14)
