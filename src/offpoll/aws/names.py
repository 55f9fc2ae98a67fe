"""AWS's own rules for the names of buckets, queues, tables, roles and regions. They hold where no other endpoint is set.

`setting_names` has the rules that every store shares. A name that AWS cannot have is refused before the first request.

Source: docs.aws.amazon.com: AmazonS3/latest/userguide/bucketnamingrules.html, AWSSimpleQueueService (CreateQueue), amazondynamodb
(HowItWorks.NamingRulesDataTypes), IAM/latest/UserGuide/reference_iam-quotas.html.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from offpoll.errors import ConfigurationError

__all__ = ["check_bucket", "check_queue", "check_region", "check_role", "check_table"]

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}")

_BUCKET = re.compile(r"(?!.*\.\.)(?!([0-9]+\.){3}[0-9]+$)(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

#: Until March 2018, us-east-1 gave buckets such names too.
_OLD_BUCKET = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{3,255}")

#: Suffixes of names that S3 gives to other things than general purpose buckets. An access point's alias, `-s3alias`, works like a bucket.
_NO_BUCKET = (".mrap", "--table-s3")

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]{1,510}/)?[\w+=,.@-]{1,64}", re.ASCII)

#: Hosts of queues: `sqs.eu-west-1.…`, `sqs-fips.…`, `vpce-….sqs.eu-west-1.vpce.…`, and the old `queue.…` and `eu-west-1.queue.…`.
_QUEUE_HOSTS = {"sqs", "sqs-fips", "queue"}


_ELSEWHERE = "If it is in another store, set AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_{}"


def check_region(region: str) -> None:
    """Refuse a text that is not an AWS region, such as an availability zone, `eu-west-1a`.

    Raises:
        ConfigurationError: it is none.
    """
    if not _REGION.fullmatch(region):
        raise ConfigurationError(
            f"AWS_REGION={region!r} is not a region of AWS: write it as eu-west-1. For another store set AWS_ENDPOINT_URL"
        )


def check_bucket(bucket: str, *, region: str) -> None:
    """Refuse a name that no AWS bucket can have.

    Raises:
        ConfigurationError: it says what names look like.
    """
    rule = _OLD_BUCKET if region == "us-east-1" else _BUCKET
    if not rule.fullmatch(bucket) or bucket.endswith(_NO_BUCKET):
        raise ConfigurationError(
            f"OFFPOLL_BUCKET={bucket}: AWS allows no bucket with that name. Names have 3 to 63 lowercase letters, digits, . and -, "
            f"begin and end with a letter or a digit, and look like no IP address. {_ELSEWHERE.format('S3')}"
        )


def check_queue(url: str, *, region: str, setting: str) -> None:
    """Refuse a URL that no SQS queue in that region can have.

    Raises:
        ConfigurationError: it says what is wrong.
    """
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    if not _QUEUE_HOSTS & set(labels):
        raise ConfigurationError(f"{setting}={url} is not at SQS, but requests go there. {_ELSEWHERE.format('SQS')}")
    account = parts.path.strip("/").split("/")[0]
    if parts.path.count("/") != 2 or not _ACCOUNT.fullmatch(account):
        raise ConfigurationError(
            f"{setting}={url} is not a queue's URL: the account's twelve digits and the queue's name follow the host, "
            f"as in https://sqs.{region}.amazonaws.com/123456789012/orders"
        )
    named = [each for each in labels if _REGION.fullmatch(each)]
    if named and region not in named:
        raise ConfigurationError(f"{setting}={url} is in {named[0]}, but AWS_REGION is {region}: set one of them to the other's region")


def check_table(table: str, *, region: str) -> None:
    """Refuse a name that no DynamoDB table can have, or the ARN of another region's.

    Raises:
        ConfigurationError: it says what is wrong.
    """
    if table.startswith("arn:"):
        named = table.split(":")[3]
        if named != region:
            raise ConfigurationError(f"OFFPOLL_RECORDS_TABLE={table} is in {named}, but AWS_REGION is {region}")
    elif not _TABLE.fullmatch(table):
        raise ConfigurationError(
            f"OFFPOLL_RECORDS_TABLE={table}: AWS allows no table with that name. Names have 3 to 255 letters, digits, . _ -. "
            + _ELSEWHERE.format("DYNAMODB")
        )


def check_role(arn: str) -> None:
    """Refuse an ARN that no AWS role can have.

    Raises:
        ConfigurationError: it shows one.
    """
    if not _ROLE.fullmatch(arn):
        raise ConfigurationError(
            f"OFFPOLL_SIGNER_ROLE_ARN={arn} is not a role's ARN on AWS, such as arn:aws:iam::123456789012:role/signer. "
            + _ELSEWHERE.format("STS")
        )
