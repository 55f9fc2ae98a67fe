"""Deletes the data that outlives its stack, and finds out what is left of a stack.

CloudFormation remembers a deleted stack for 90 days. Until then its data can be deleted, and an interrupted deletion repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from offpoll.aws.sqs import DEPTH_ATTRIBUTES
from offpoll.deploy.account import Account, refusal, speaking_to
from offpoll.deploy.events import events_since
from offpoll.deploy.stack import Stack, find_stack

__all__ = ["DATA_SERVICE", "GONE", "Kept", "delete_data", "kept_by", "operations_left", "past_stacks", "stored_in"]

#: The types of resources that hold data, with their names for people.
_DATA = {"AWS::S3::Bucket": "bucket", "AWS::DynamoDB::Table": "table", "AWS::SecretsManager::Secret": "secret"}

#: AWS's services that delete them, for error messages.
DATA_SERVICE = {"bucket": "S3", "table": "DynamoDB", "secret": "Secrets Manager"}

#: Most objects that one call deletes (DeleteObjects).
_BATCH = 1000

#: AWS's codes for a resource that no longer exists.
GONE = frozenset({"404", "NoSuchBucket", "ResourceNotFoundException"})


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A resource with data: its logical id, its kind (`bucket`, `table` or `secret`) and its name in AWS."""

    resource: str
    kind: str
    name: str


def stored_in(cloudformation: Any, stack_id: str) -> list[Kept]:
    """Return the resources of a stack that hold data."""
    found: list[Kept] = []
    with speaking_to("CloudFormation"):
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id):
            found += [
                Kept(resource=each["LogicalResourceId"], kind=_DATA[each["ResourceType"]], name=each["PhysicalResourceId"])
                for each in page["StackResourceSummaries"]
                if each["ResourceType"] in _DATA and each.get("PhysicalResourceId")
            ]
    return found


def kept_by(cloudformation: Any, stack_id: str) -> list[Kept]:
    """Return the data that a deleted stack left behind, including resources that it had replaced. Some may have been deleted since."""
    skipped = (each for each in events_since(cloudformation, stack_id) if each.status == "DELETE_SKIPPED" and each.type in _DATA)
    return list({each.name: Kept(resource=each.resource, kind=_DATA[each.type], name=each.name) for each in skipped}.values())


def past_stacks(cloudformation: Any, name: str) -> list[Stack]:
    """Return the deleted stacks of offpoll that had this name, the last one first."""
    found: list[str] = []
    with speaking_to("CloudFormation"):
        for page in cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"]):
            found += [each["StackId"] for each in page["StackSummaries"] if each["StackName"] == name]
    stacks = (find_stack(cloudformation, each) for each in found)
    ours = [each for each in stacks if each is not None and each.is_ours]
    return sorted(ours, key=lambda each: each.deleted_at or each.created_at, reverse=True)


def operations_left(account: Account, outputs: Mapping[str, str]) -> int:
    """Return about how many operations wait or run: the messages of the queue, which is deleted with the stack."""
    url = outputs.get("QueueUrl")
    if not url:
        return 0
    with speaking_to("SQS"):
        attributes = account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(DEPTH_ATTRIBUTES))["Attributes"]
    return sum(int(attributes.get(name, 0)) for name in DEPTH_ATTRIBUTES)


def delete_data(account: Account, kept: Kept, *, show: Callable[[int], None]) -> bool:
    """Delete a resource and all data in it. Return whether it still existed. `show` gets the number of objects deleted so far."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - takes 0.3 s

    with speaking_to(DATA_SERVICE[kept.kind]):
        try:
            _DELETE[kept.kind](account, kept.name, show)
        except ClientError as error:
            if refusal(error)[0] in GONE:
                return False
            raise
    return True


def _delete_bucket(account: Account, name: str, show: Callable[[int], None]) -> None:
    s3, owner, count = account.client("s3"), {"Bucket": name, "ExpectedBucketOwner": account.id}, 0
    for batch in _objects(s3, owner):
        s3.delete_objects(**owner, Delete={"Objects": batch, "Quiet": True})
        count += len(batch)
        show(count)
    s3.delete_bucket(**owner)


def _objects(s3: Any, owner: Mapping[str, str]) -> Iterator[list[dict[str, str]]]:
    """Yield all objects in batches, with their versions in case somebody has turned versioning on."""
    for page in s3.get_paginator("list_object_versions").paginate(**owner, PaginationConfig={"PageSize": _BATCH}):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


def _delete_table(account: Account, name: str, _show: Callable[[int], None]) -> None:
    account.client("dynamodb").delete_table(TableName=name)


def _delete_secret(account: Account, name: str, _show: Callable[[int], None]) -> None:
    account.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)  # nothing uses it now


_DELETE = {"bucket": _delete_bucket, "table": _delete_table, "secret": _delete_secret}
