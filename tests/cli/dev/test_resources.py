"""What `dev` creates: a deployment's resources, and a user with exactly the rights that the code needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.servers import Server

from offpoll import Settings
from offpoll.cli.dev.resources import Resources, make_resources


@pytest.fixture
def made(ministack_server: Server) -> Resources:
    """Create the resources under a fresh name."""
    return make_resources(ministack_server.origin, settings=Settings(lease=45), attempts=4, name=f"t{uuid.uuid4().hex[:12]}")


def client(made: Resources, service: str, *, root: bool = False) -> Any:
    """Return a boto3 client, as the app's user or as root."""
    keys = ("test", "test") if root else (made.access_key, made.secret_key)
    return boto3.client(
        service, endpoint_url=made.endpoint, region_name="eu-west-1", aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
    )


def test_the_bucket_is_private_and_expires_its_documents(made: Resources) -> None:
    """The bucket blocks public access in all four ways, has no website, and deletes documents after 16 days."""
    s3 = client(made, "s3", root=True)
    assert set(s3.get_public_access_block(Bucket=made.bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=made.bucket)["Rules"]
    assert rule["Expiration"] == {"Days": 16}
    assert rule["Filter"] == {"Prefix": "status/"}
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket=made.bucket)


def test_the_queues_match_the_windows(made: Resources) -> None:
    """Messages last ten days, dead letters fourteen. Visibility is the lease; a message may be received five times more than attempted."""
    sqs = client(made, "sqs", root=True)
    operations, *others = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in made.queue_urls]
    assert operations["MessageRetentionPeriod"] == str(10 * 86_400)
    assert operations["VisibilityTimeout"] == "45"
    assert int(json.loads(operations["RedrivePolicy"])["maxReceiveCount"]) == 9
    assert json.loads(operations["RedrivePolicy"])["deadLetterTargetArn"] == others[0]["QueueArn"]
    assert [each["MessageRetentionPeriod"] for each in others] == [str(14 * 86_400)] * 2


def test_records_expire(made: Resources) -> None:
    """TTL is on, for the attribute that records carry."""
    described = client(made, "dynamodb", root=True).describe_time_to_live(TableName=made.table)["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


FORBIDDEN: dict[str, Callable[[Resources], object]] = {
    "list the documents": lambda made: client(made, "s3").list_objects_v2(Bucket=made.bucket),
    "delete a document": lambda made: client(made, "s3").delete_object(Bucket=made.bucket, Key="status/public/x"),
    "write beside the prefix": lambda made: client(made, "s3").put_object(Bucket=made.bucket, Key="elsewhere", Body=b""),
    "open the bucket": lambda made: client(made, "s3").delete_public_access_block(Bucket=made.bucket),
    "scan the records": lambda made: client(made, "dynamodb").scan(TableName=made.table),
    "delete a record": lambda made: client(made, "dynamodb").delete_item(TableName=made.table, Key={"id": {"S": "x"}}),
    "purge a queue": lambda made: client(made, "sqs").purge_queue(QueueUrl=made.queue_urls[0]),
    "make a user": lambda made: client(made, "iam").create_user(UserName="another"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_user_may_not(made: Resources, what: str) -> None:
    """The user may not do anything that the code does not do."""
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        FORBIDDEN[what](made)


def test_the_user_may_use_the_apps_tables(made: Resources) -> None:
    """An app may create and use tables of its own."""
    dynamodb, name = client(made, "dynamodb"), f"orders-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=name, Item={"id": {"S": "x"}}, ConditionExpression="attribute_not_exists(id)")
    assert dynamodb.get_item(TableName=name, Key={"id": {"S": "x"}})["Item"] == {"id": {"S": "x"}}
