"""The bucket that keeps the zips: one for all stacks of an account in a region, unless the user names another.

It never uses another account's bucket, and never deletes a zip: CloudFormation returns to the previous one if an update fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offpoll.deploy.account import Account, refusal, speaking_to
from offpoll.deploy.archive import Archive
from offpoll.errors import ConfigurationError

__all__ = ["CodeBucket"]

_PRIVATE = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


@dataclass(frozen=True, kw_only=True)
class CodeBucket:
    """A bucket for zips.

    Attributes:
        ours: whether to create it if it is missing; not if the user named it.
        account: the account that must own it. Names are global, so another account may have this one.
    """

    name: str
    ours: bool
    account: Account

    @classmethod
    def named(cls, name: str | None, *, account: Account) -> CodeBucket:
        """Return the named bucket, or the account's own for the region, without any call."""
        own = f"offpoll-{account.id}-{account.region}"
        return cls(name=name or own, ours=name in (None, own), account=account)

    def key(self, archive: Archive, *, stack: str) -> str:
        """Return an archive's key. New contents get a new key, which makes CloudFormation deploy them."""
        return f"{stack}/{archive.digest}.zip"

    def exists(self) -> bool:
        """Tell whether the bucket exists and belongs to the account.

        Raises:
            ConfigurationError: it belongs to another account, is in another region, or is missing although the user named it.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - takes 0.3 s

        try:
            found = self._s3().head_bucket(Bucket=self.name, ExpectedBucketOwner=self.account.id)
        except ClientError as error:
            code, _ = refusal(error)
            if code in ("404", "NoSuchBucket") and self.ours:
                return False
            why = "there is no such bucket" if code in ("404", "NoSuchBucket") else f"it is not this account's, or may not be read ({code})"
            raise ConfigurationError(f"bucket {self.name}: {why}; name another with --bucket, in {self.account.region}") from error
        region = found.get("BucketRegion", self.account.region)
        if region != self.account.region:
            raise ConfigurationError(
                f"bucket {self.name} is in {region}, and Lambda takes code only from a bucket in {self.account.region}"
            )
        return True

    def upload(self, archive: Archive, *, key: str) -> bool:
        """Upload an archive unless it is there already; create the bucket if it is missing. Return whether it was sent.

        Raises:
            ConfigurationError, DependencyError: the upload failed.
        """
        s3, owner = self._s3(), {"Bucket": self.name, "ExpectedBucketOwner": self.account.id}
        with speaking_to("S3"):
            if not self.exists():
                self._make(s3)
            elif _has(s3, key, owner):
                return False
            with archive.path.open("rb") as body:
                s3.put_object(**owner, Key=key, Body=body, ContentType="application/zip")
        return True

    def _make(self, s3: Any) -> None:
        region = self.account.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=self.name, ObjectOwnership="BucketOwnerEnforced", **where)
        s3.put_public_access_block(Bucket=self.name, PublicAccessBlockConfiguration=_PRIVATE)

    def _s3(self) -> Any:
        return self.account.client("s3")


def _has(s3: Any, key: str, owner: dict[str, str]) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see exists

    try:
        s3.head_object(**owner, Key=key)
    except ClientError as error:
        # 403 hides a missing key from callers who may not list; a second upload is harmless.
        if refusal(error)[0] in ("404", "403", "NoSuchKey"):
            return False
        raise
    return True
