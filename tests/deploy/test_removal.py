"""What outlives a stack, and how to delete it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.stubbed_account import STACK_ID, WHEN, account, client, event, stack

from offpoll.deploy.removal import Kept, delete_data, kept_by, operations_left, past_stacks, stored_in
from offpoll.errors import DependencyRefused

BUCKET = Kept(resource="Documents", kind="bucket", name="documents")
OWNER = {"Bucket": "documents", "ExpectedBucketOwner": "123456789012"}


def test_what_a_stack_stores() -> None:
    """Buckets, tables and secrets outlive the stack; messages and logs go with it."""
    cloudformation, script = client("cloudformation")
    names = {
        "Documents": "AWS::S3::Bucket",
        "Records": "AWS::DynamoDB::Table",
        "Secret": "AWS::SecretsManager::Secret",
        "Queue": "AWS::SQS::Queue",
    }
    about = {"LastUpdatedTimestamp": WHEN, "ResourceStatus": "CREATE_COMPLETE"}
    listed = [
        {"LogicalResourceId": name, "PhysicalResourceId": name.lower(), "ResourceType": type_, **about} for name, type_ in names.items()
    ]
    script.add_response("list_stack_resources", {"StackResourceSummaries": listed}, {"StackName": STACK_ID})
    assert [(each.kind, each.name) for each in stored_in(cloudformation, STACK_ID)] == [
        ("bucket", "documents"),
        ("table", "records"),
        ("secret", "secret"),
    ]


def test_leftovers_of_a_deleted_stack() -> None:
    """The stack's events list them, including those that an update replaced and kept, each once."""
    events = [
        event(1, "Records", "DELETE_SKIPPED", type_="AWS::DynamoDB::Table", name="old"),
        event(2, "Records", "DELETE_SKIPPED", type_="AWS::DynamoDB::Table", name="new"),
        event(3, "Records", "DELETE_SKIPPED", type_="AWS::DynamoDB::Table", name="new"),
        event(4, "Operations", "DELETE_SKIPPED", type_="AWS::SQS::Queue", name="queue"),
        event(5, "Documents", "DELETE_COMPLETE", name="documents"),
    ]
    cloudformation, script = client("cloudformation")
    script.add_response("describe_stack_events", {"StackEvents": events[::-1]}, {"StackName": STACK_ID})
    assert [each.name for each in kept_by(cloudformation, STACK_ID)] == ["old", "new"]


def test_deleted_stacks() -> None:
    """Only our stacks with that name are found."""
    cloudformation, script = client("cloudformation")
    about = {"StackStatus": "DELETE_COMPLETE", "CreationTime": WHEN}
    summaries = [{"StackName": name, "StackId": f"{STACK_ID}{number}", **about} for number, name in enumerate(("shop", "other", "shop"))]
    script.add_response("list_stacks", {"StackSummaries": summaries}, {"StackStatusFilter": ["DELETE_COMPLETE"]})
    script.add_response("describe_stacks", stack("DELETE_COMPLETE", StackId=f"{STACK_ID}0"), {"StackName": f"{STACK_ID}0"})
    script.add_response("describe_stacks", stack("DELETE_COMPLETE", Parameters=[]), {"StackName": f"{STACK_ID}2"})
    assert [each.id for each in past_stacks(cloudformation, "shop")] == [f"{STACK_ID}0"]


def test_operations_in_the_queue() -> None:
    """Waiting, in flight and delayed operations all count."""
    sqs, script = client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    counts = dict(zip(names, ("1", "2", "4"), strict=True))
    script.add_response("get_queue_attributes", {"Attributes": counts}, {"QueueUrl": "https://q", "AttributeNames": names})
    assert operations_left(account(sqs=sqs), {"QueueUrl": "https://q"}) == 7
    assert operations_left(account(), {}) == 0


def test_a_bucket_is_emptied_before_it_is_deleted() -> None:
    """Objects, old versions and delete markers go page by page, and never in a stranger's bucket."""
    s3, script = client("s3")
    versions = [{"Key": f"status/{number}", "VersionId": "null"} for number in range(3)]
    asked = {**OWNER, "MaxKeys": 1000}
    markers = {"DeleteMarkers": [{"Key": "gone", "VersionId": "v1"}]}
    script.add_response(
        "list_object_versions", {"Versions": versions, "IsTruncated": True, "NextKeyMarker": "k", "NextVersionIdMarker": "v"}, asked
    )
    script.add_response("delete_objects", {}, {**OWNER, "Delete": {"Objects": versions, "Quiet": True}})
    script.add_response("list_object_versions", {**markers, "IsTruncated": False}, {**asked, "KeyMarker": "k", "VersionIdMarker": "v"})
    script.add_response("delete_objects", {}, {**OWNER, "Delete": {"Objects": [{"Key": "gone", "VersionId": "v1"}], "Quiet": True}})
    script.add_response("delete_bucket", {}, OWNER)
    counts: list[int] = []
    assert delete_data(account(s3=s3), BUCKET, show=counts.append)
    assert counts == [3, 4]
    script.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("service", "kept", "method", "asked"),
    [
        ("dynamodb", Kept(resource="Records", kind="table", name="r"), "delete_table", {"TableName": "r"}),
        (
            "secretsmanager",
            Kept(resource="Secret", kind="secret", name="s"),
            "delete_secret",
            {"SecretId": "s", "ForceDeleteWithoutRecovery": True},
        ),
    ],
)
def test_a_table_and_a_secret(service: str, kept: Kept, method: str, asked: dict[str, Any]) -> None:
    """Both are deleted at once. A missing one is no failure; a protected one is."""
    made, script = client(service)
    script.add_response(method, {}, asked)
    script.add_client_error(method, "ResourceNotFoundException", "gone")
    script.add_client_error(method, "AccessDeniedException", "no")
    there = account(**{service: made})
    assert delete_data(there, kept, show=print)
    assert not delete_data(there, kept, show=print)
    with pytest.raises(DependencyRefused, match="AccessDenied"):
        delete_data(there, kept, show=print)
