"""What a stack's data is, before it is deleted: how much, and when something was last written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.stubbed_account import WHEN, account, client

from offpoll.deploy.inventory import Holding, holdings
from offpoll.deploy.removal import Kept
from offpoll.errors import DependencyUnavailable

BUCKET = Kept(resource="Documents", kind="bucket", name="documents")
TABLE = Kept(resource="Records", kind="table", name="records")
SECRET = Kept(resource="Secret", kind="secret", name="secret")

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 11, 30, 12, 5, tzinfo=UTC)


def one(kept: Kept, **clients: Any) -> Holding:
    """Return what is found out about one resource."""
    (holding,) = holdings(account(**clients), [kept])
    return holding


def test_a_bucket() -> None:
    """Objects, old versions and delete markers count; the newest is the last write."""
    s3, script = client("s3")
    asked = {"Bucket": "documents", "ExpectedBucketOwner": "123456789012"}
    versions = [{"Key": "a", "VersionId": "1", "Size": 1500, "LastModified": NEW}, {"Key": "b", "VersionId": "1", "LastModified": OLD}]
    first = {"Versions": versions, "IsTruncated": True, "NextKeyMarker": "b", "NextVersionIdMarker": "1"}
    last = {"DeleteMarkers": [{"Key": "c", "VersionId": "1", "LastModified": OLD}], "IsTruncated": False}
    script.add_response("list_object_versions", first, asked)
    script.add_response("list_object_versions", last, {**asked, "KeyMarker": "b", "VersionIdMarker": "1"})
    found = one(BUCKET, s3=s3)
    assert found.text() == "bucket documents: 3 objects, 1.5 kB, last write 2026-11-30 12:05 UTC"
    assert found.fields() == {
        **{"kind": "bucket", "name": "documents", "count": 3, "bytes": 1500, "more": False},
        "last_write": "2026-11-30T12:05:00+00:00",
    }


def test_a_large_bucket() -> None:
    """Counting ends after ten calls, and the text says that there is more."""
    s3, script = client("s3")
    versions = [{"Key": str(number), "VersionId": "1", "Size": 10**6, "LastModified": OLD} for number in range(1000)]
    for number in range(10):
        page = {"Versions": versions, "IsTruncated": True, "NextKeyMarker": str(number), "NextVersionIdMarker": "1"}
        script.add_response("list_object_versions", page)
    assert one(BUCKET, s3=s3).text() == "bucket documents: more than 10,000 objects, 10.0 GB, last write 2026-01-01 00:00 UTC or later"
    script.assert_no_pending_responses()


def test_an_empty_bucket() -> None:
    """It says so."""
    s3, script = client("s3")
    script.add_response("list_object_versions", {"IsTruncated": False})
    assert one(BUCKET, s3=s3).text() == "bucket documents: 0 objects, 0 bytes, no write"


def test_a_table() -> None:
    """AWS's own count lags by hours; the records tell when they were written."""
    dynamodb, script = client("dynamodb")
    script.add_response("describe_table", {"Table": {"ItemCount": 0, "TableSizeBytes": 0}}, {"TableName": "records"})
    items = [
        {"created_at": {"S": "2026-01-01T00:00:00.000Z"}, "finished_at": {"S": "2026-11-30T12:05:00.000Z"}},
        {"created_at": {"S": "2026-02-01T00:00:00.000Z"}},
        {},
    ]
    script.add_response("scan", {"Items": items, "Count": 3, "ScannedCount": 3})
    assert one(TABLE, dynamodb=dynamodb).text() == "table records: 3 items, 0 bytes, last write 2026-11-30 12:05 UTC"
    script.add_response("describe_table", {"Table": {"ItemCount": 5000, "TableSizeBytes": 2_000_000}})
    script.add_response("scan", {"Items": items, "ScannedCount": 3, "LastEvaluatedKey": {"id": {"S": "x"}}})
    text = "table records: more than 5,000 items, 2.0 MB, last write 2026-11-30 12:05 UTC or later"
    assert one(TABLE, dynamodb=dynamodb).text() == text


def test_a_secret() -> None:
    """Its value is not read."""
    made, script = client("secretsmanager")
    script.add_response(
        "describe_secret", {"LastChangedDate": WHEN, "VersionIdsToStages": {"v" * 32: ["AWSCURRENT"]}}, {"SecretId": "secret"}
    )
    assert one(SECRET, secretsmanager=made).text() == "secret secret: 1 version, last write 2026-11-01 00:00 UTC"


@pytest.mark.parametrize(
    ("service", "kept", "method", "code"),
    [
        ("s3", BUCKET, "list_object_versions", "NoSuchBucket"),
        ("dynamodb", TABLE, "describe_table", "ResourceNotFoundException"),
        ("secretsmanager", SECRET, "describe_secret", "ResourceNotFoundException"),
    ],
)
def test_what_aws_does_not_tell(service: str, kept: Kept, method: str, code: str) -> None:
    """What is gone is left out; what may not be looked at is listed by name all the same; an outage is an outage."""
    made, script = client(service)
    script.add_client_error(method, code, "gone", http_status_code=404)
    assert holdings(account(**{service: made}), [kept]) == []
    script.add_client_error(method, "AccessDeniedException", "no", http_status_code=403)
    text = one(kept, **{service: made}).text()
    assert text.startswith(f"{kept.kind} {kept.name}: size and last write not known (")
    assert "AccessDenied" in text
    script.add_client_error(method, "InternalError", "later", http_status_code=500)
    with pytest.raises(DependencyUnavailable):
        one(kept, **{service: made})
