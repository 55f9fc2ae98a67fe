"""The rules for names in settings: buckets, queues, tables, roles, addresses. Tells what is wrong with a name that no store can have.

Knows the names that any compatible store allows. AWS's own rules are stricter, and `aws/names` has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

__all__ = ["NAMES"]

#: Most characters of a bucket's name: AWS's in us-east-1 until 2018, and Ceph's with rgw_relaxed_s3_bucket_names.
_BUCKET = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,255}")

#: SQS's queue names (CreateQueue, QueueName), which compatible queues share.
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}")

#: DynamoDB's table names; it also takes a table's ARN wherever it takes a name (GetItem, TableName).
_TABLE = re.compile(r"[A-Za-z0-9_.-]{1,255}|arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}")

#: A role's ARN. Its account is twelve digits on AWS, and empty, a tenant or `RGW…` on Ceph.
_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::[A-Za-z0-9_-]*:role/[!-~]{1,512}")

#: What may stand in place of a secret: its ARN, or a placeholder that nobody replaced.
_NO_SECRET = re.compile(r"arn:[a-z0-9-]+:(secretsmanager|ssm):.*|.*(\{\{.*\}\}|\$\{.*\}|\$\(.*\)).*", re.DOTALL)

_SCHEMES = ("http", "https")


def _bucket(name: str) -> str:
    if name.startswith("arn:"):
        return "it is an ARN: write the bucket's name alone"
    if "/" in name:
        return "it is an address or a path: write the bucket's name alone; OFFPOLL_PREFIX says where in the bucket"
    return "" if _BUCKET.fullmatch(name) else "it is not a bucket's name, which has letters, digits, . _ -, at most 255"


def _queue_url(url: str) -> str:
    if url.startswith("arn:"):
        return "it is an ARN: write the queue's URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
    wrong = _address(url)
    if wrong:
        return f"{wrong}. A queue's URL looks like https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
    name = urlsplit(url).path.rpartition("/")[2]
    if name.endswith(".fifo"):
        return "it is a FIFO queue, whose messages need groups: create a standard queue, and standard queues for dead letters too"
    return "" if _QUEUE.fullmatch(name) else "it does not end in a queue's name, which has letters, digits, _ -, at most 80"


def _table(name: str) -> str:
    if _TABLE.fullmatch(name):
        return ""
    return "it is not a table's name, which has letters, digits, . _ -, at most 255; a table's whole ARN works too"


def _secret(secret: str) -> str:
    return "it names a secret, or is a placeholder: resolve it first, and set the secret itself" if _NO_SECRET.fullmatch(secret) else ""


def _role(arn: str) -> str:
    return "" if _ROLE.fullmatch(arn) else "it is not a role's ARN, such as arn:aws:iam::123456789012:role/signer"


def _prefix(prefix: str) -> str:
    return "a part `.` or `..` would be removed from URLs by HTTP clients" if {".", ".."} & set(prefix.split("/")) else ""


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch("[!-~]+", url):
        return "it is not a URL: write it as https://host or http://host:port"
    if "@" in parts.netloc:
        return "it contains a user or a password: everybody who gets a link would see them"
    if parts.query or parts.fragment or url[-1] in "?#":
        return "it has a query or a fragment: leave out what follows ? or #"
    return "a part `.` or `..` of its path would be removed by HTTP clients" if {".", ".."} & set(unquote(parts.path).split("/")) else ""


#: What is wrong with a setting's value, by the setting's name; empty if nothing is. An empty value is no name, and is not checked.
NAMES: Mapping[str, Callable[[str], str]] = {
    "bucket": _bucket,
    "queue_url": _queue_url,
    "dead_letter_queue_url": _queue_url,
    "parking_queue_url": _queue_url,
    "records_table": _table,
    "secret": _secret,
    "signer_role_arn": _role,
    "prefix": _prefix,
    "public_url": _address,
    "public_store_endpoint": _address,
}
