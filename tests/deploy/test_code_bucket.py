"""The bucket for zips: created if missing, never a stranger's, and each zip is sent once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY
from tests.support.stubbed_account import account, client

from offpoll import ConfigurationError
from offpoll.deploy.archive import Archive
from offpoll.deploy.code_bucket import CodeBucket

NAME = "offpoll-123456789012-eu-west-1"
OWNER = {"Bucket": NAME, "ExpectedBucketOwner": "123456789012"}
KEY = "shop/abc.zip"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A zip."""
    (tmp_path / "x.zip").write_bytes(b"zip")
    return Archive(path=tmp_path / "x.zip", digest="abc", size=3, unzipped=3, files=1)


def bucket(name: str | None = None) -> tuple[CodeBucket, Any]:
    s3, script = client("s3")
    return CodeBucket.named(name, account=account(s3=s3)), script


def test_its_name_and_keys(archive: Archive) -> None:
    """The bucket belongs to one account and region; a key belongs to the contents."""
    code, _ = bucket()
    assert (code.name, code.key(archive, stack="shop")) == (NAME, KEY)


def test_created_if_missing(archive: Archive) -> None:
    """The bucket is created in its region, without ACLs and closed to the public; then the zip is sent."""
    code, script = bucket()
    script.add_client_error("head_bucket", "404", "Not Found", http_status_code=404, expected_params=OWNER)
    made = {"Bucket": NAME, "ObjectOwnership": "BucketOwnerEnforced", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    script.add_response("create_bucket", {}, made)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    script.add_response("put_public_access_block", {}, {"Bucket": NAME, "PublicAccessBlockConfiguration": closed})
    script.add_response("put_object", {}, {**OWNER, "Key": KEY, "Body": ANY, "ContentType": "application/zip"})
    assert code.upload(archive, key=KEY)
    script.assert_no_pending_responses()


def test_sent_once(archive: Archive) -> None:
    """A zip that is there under its key is not sent again."""
    code, script = bucket()
    script.add_response("head_bucket", {}, OWNER)
    script.add_response("head_object", {}, {**OWNER, "Key": KEY})
    assert not code.upload(archive, key=KEY)
    script.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["404", "403"])
def test_sent_if_missing(archive: Archive, code: str) -> None:
    """For a missing key S3 returns 403 to a caller who may not list."""
    there, script = bucket()
    script.add_response("head_bucket", {}, OWNER)
    script.add_client_error("head_object", code, "no", http_status_code=int(code))
    script.add_response("put_object", {}, {**OWNER, "Key": KEY, "Body": ANY, "ContentType": "application/zip"})
    assert there.upload(archive, key=KEY)
    script.assert_no_pending_responses()


def test_a_strangers_bucket() -> None:
    """Bucket names are global. A stranger could change the code in their bucket before Lambda reads it."""
    code, script = bucket()
    script.add_client_error("head_bucket", "403", "Forbidden", http_status_code=403, expected_params=OWNER)
    with pytest.raises(ConfigurationError, match=f"bucket {NAME}: it is not this account's, .* with --bucket"):
        code.exists()


def test_in_another_region() -> None:
    """Lambda would refuse the zip in the middle of the deployment."""
    code, script = bucket("mine")
    script.add_response("head_bucket", {"BucketRegion": "us-east-1"})
    with pytest.raises(ConfigurationError, match="bucket mine is in us-east-1, and Lambda takes code only from a bucket in eu-west-1"):
        code.exists()


def test_a_named_bucket_is_not_created() -> None:
    """A bucket that the user names must exist."""
    code, script = bucket("mine")
    script.add_client_error("head_bucket", "404", "Not Found", http_status_code=404)
    with pytest.raises(ConfigurationError, match="bucket mine: there is no such bucket"):
        code.exists()
