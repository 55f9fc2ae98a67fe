"""Creates a service's resources in the embedded AWS, with the permissions of a real deployment."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from offpoll.cli.dev.emulator import REGION, ROOT
from offpoll.queue import SPARE_RECEIVES
from offpoll.setting_ranges import LONGEST_RETENTION
from offpoll.settings import Settings

__all__ = ["Resources", "allow_attempts", "make_resources", "policy"]

#: The code's calls to queues. In AWS each permission covers the batch form too …
QUEUE_VERBS = ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")

#: … but the emulator requires permissions that AWS does not have.
EMULATED_VERBS = ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The created resources. `queue_urls`: operations, dead letters, parking; the keys are the service's user's."""

    endpoint: str
    bucket: str
    table: str
    queue_urls: tuple[str, str, str]
    access_key: str
    secret_key: str

    def environ(self) -> dict[str, str]:
        """Return the variables from which API and worker learn of the resources."""
        operations, dead_letters, parking = self.queue_urls
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "OFFPOLL_BUCKET": self.bucket,
            "OFFPOLL_QUEUE_URL": operations,
            "OFFPOLL_DEAD_LETTER_QUEUE_URL": dead_letters,
            "OFFPOLL_PARKING_QUEUE_URL": parking,
            "OFFPOLL_RECORDS_TABLE": self.table,
        }


def make_resources(endpoint: str, *, settings: Settings, attempts: int, name: str = "offpoll") -> Resources:
    """Create all resources, their names beginning with `name`. This takes about a second, mostly in boto3.

    `attempts` is the most that any kind has.
    """
    client = _clients(endpoint)
    bucket, table = f"{name}-documents", f"{name}-records"
    _make_bucket(client("s3"), bucket, settings)
    urls, arns = _make_queues(client("sqs"), name, settings, attempts)
    table_arn = _make_table(client("dynamodb"), table)
    key = _make_user(client("iam"), f"{name}-service", policy(bucket=bucket, prefix=settings.prefix, queues=arns, table=table_arn))
    return Resources(
        endpoint=endpoint,
        bucket=bucket,
        table=table,
        queue_urls=urls,
        access_key=key["AccessKeyId"],
        secret_key=key["SecretAccessKey"],
    )


def allow_attempts(environ: Mapping[str, str], attempts: int) -> None:
    """Let the queue deliver a message as often as a kind with this many attempts needs. `environ` is that of the resources."""
    sqs = _clients(environ["AWS_ENDPOINT_URL"])("sqs")
    redrive = _redrive(_arn(sqs, environ["OFFPOLL_DEAD_LETTER_QUEUE_URL"]), attempts)
    sqs.set_queue_attributes(QueueUrl=environ["OFFPOLL_QUEUE_URL"], Attributes={"RedrivePolicy": redrive})


def _clients(endpoint: str) -> Callable[[str], Any]:
    """Return what makes root's client of a service."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(aws_access_key_id=ROOT, aws_secret_access_key=ROOT, region_name=REGION)
    config = Config(proxies={}, connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    return lambda service: session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]


def _redrive(dead_letters_arn: str, attempts: int) -> str:
    return json.dumps({"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": attempts + SPARE_RECEIVES})


def policy(*, bucket: str, prefix: str, queues: tuple[str, ...], table: str) -> dict[str, Any]:
    """Return the permissions of the service's user.

    On offpoll's resources they are exactly those that the code needs, so that `dev` notices when it needs more. `dev` cannot know which
    other resources the app uses (tables, topics …): there the user may do anything except manage identities.
    """
    documents = f"arn:aws:s3:::{bucket}"
    statements: list[Mapping[str, Any]] = [
        {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": f"{documents}/{prefix}/*"},
        {
            "Effect": "Allow",
            "Action": [f"sqs:{verb}" for verb in (*QUEUE_VERBS, *EMULATED_VERBS)],
            "Resource": list(queues),
        },
        {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:UpdateItem"], "Resource": table},
        {"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "NotResource": [documents, f"{documents}/*", *queues, table]},
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _make_bucket(s3: Any, bucket: str, settings: Settings) -> None:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)
    days = math.ceil(settings.document_window / 86_400)
    rule = {"ID": "expire", "Status": "Enabled", "Filter": {"Prefix": f"{settings.prefix}/"}, "Expiration": {"Days": days}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


def _make_queues(sqs: Any, name: str, settings: Settings, attempts: int) -> tuple[tuple[str, str, str], tuple[str, ...]]:
    operations, dead_letters, parking = (f"{name}-{each}" for each in ("operations", "dead-letters", "parking"))
    longest = {"MessageRetentionPeriod": str(int(LONGEST_RETENTION))}
    dead_letters_url = sqs.create_queue(QueueName=dead_letters, Attributes=longest)["QueueUrl"]
    parking_url = sqs.create_queue(QueueName=parking, Attributes=longest)["QueueUrl"]
    attributes = {
        "VisibilityTimeout": str(math.ceil(settings.lease)),
        "MessageRetentionPeriod": str(int(settings.message_window)),
        "RedrivePolicy": _redrive(_arn(sqs, dead_letters_url), attempts),
    }
    urls = (sqs.create_queue(QueueName=operations, Attributes=attributes)["QueueUrl"], dead_letters_url, parking_url)
    return urls, tuple(_arn(sqs, url) for url in urls)


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _make_table(dynamodb: Any, table: str) -> str:
    made = dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"})
    return str(made["TableDescription"]["TableArn"])


def _make_user(iam: Any, user: str, document: Mapping[str, Any]) -> Mapping[str, str]:
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="offpoll", PolicyDocument=json.dumps(document))
    key: Mapping[str, str] = iam.create_access_key(UserName=user)["AccessKey"]
    return key
