"""The bucket that zips are in, one for all stacks of an account in a region unless another is named.

Decides its name and that nobody else's bucket is taken for it. Must not know what a zip holds. Zips stay: CloudFormation goes back to the
one before when an update fails.
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
    """Where zips are kept.

    Attributes:
        name: the bucket's.
        ours: whether it is made where it is missing; one that the user named is not.
        account: whose it must be. Names are the world's: somebody else may have this one.
    """

    name: str
    ours: bool
    account: Account

    @classmethod
    def named(cls, name: str | None, *, account: Account) -> CodeBucket:
        """Return the named bucket, or the account's own for the region. Asks nobody."""
        own = f"offpoll-{account.id}-{account.region}"
        return cls(name=name or own, ours=name in (None, own), account=account)

    def key(self, archive: Archive, *, stack: str) -> str:
        """Return where an archive belongs. Other contents, another key: that is what makes CloudFormation deploy them."""
        return f"{stack}/{archive.digest}.zip"

    def exists(self) -> bool:
        """Tell whether it is there, and the account's.

        Raises:
            ConfigurationError: it is somebody else's, in another region, or one that the user named is missing.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - takes 0.3 s

        try:
            answer = self._s3().head_bucket(Bucket=self.name, ExpectedBucketOwner=self.account.id)
        except ClientError as error:
            code, _ = refusal(error)
            if code in ("404", "NoSuchBucket") and self.ours:
                return False
            why = "there is no such bucket" if code in ("404", "NoSuchBucket") else f"it is not this account's, or not to be read ({code})"
            raise ConfigurationError(f"bucket {self.name}: {why}; name another with --bucket, in {self.account.region}") from error
        region = answer.get("BucketRegion", self.account.region)
        if region != self.account.region:
            raise ConfigurationError(
                f"bucket {self.name} is in {region}, and Lambda takes code only from a bucket in {self.account.region}"
            )
        return True

    def upload(self, archive: Archive, *, key: str) -> bool:
        """Bring an archive there, and make the bucket where it is missing. Return whether anything had to be sent.

        Raises:
            ConfigurationError, DependencyError: it could not be.
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
        if refusal(error)[0] in ("404", "403", "NoSuchKey"):  # 403: a missing key, to who may not list. Sending it twice does no harm
            return False
        raise
    return True
