"""Names that no bucket, queue, table or role can have are refused at the start; names of other stores are not."""

from __future__ import annotations

import pytest

from offpoll.errors import ConfigurationError
from offpoll.settings import Settings
from offpoll.wiring import dependencies

SQS = "https://sqs.eu-west-1.amazonaws.com/123456789012"
ENVIRON = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "HOME": "/nonexistent",
    "OFFPOLL_BUCKET": "documents",
    "OFFPOLL_QUEUE_URL": f"{SQS}/orders",
    "OFFPOLL_DEAD_LETTER_QUEUE_URL": f"{SQS}/dead",
    "OFFPOLL_PARKING_QUEUE_URL": f"{SQS}/parking",
    "OFFPOLL_RECORDS_TABLE": "records",
    "OFFPOLL_SECRET": "s" * 32,
}
ELSEWHERE = {"AWS_ENDPOINT_URL": "http://store:9000"}

#: No store has these.
NOWHERE = [
    *(
        (setting, value)
        for setting in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "PARKING_QUEUE_URL")
        for value in (
            f"{SQS}/x.fifo",
            "orders",
            "arn:aws:sqs:eu-west-1:123456789012:orders",
            "https://sqs.eu-west-1.amazonaws.com",
            f"{SQS}/",
            f"{SQS}/or ders",
            f"{SQS}/orders?Action=SendMessage",
            f"{SQS}/{'q' * 81}",
            "sqs://host/orders",
            "http://host:99999/1/q",
            "http://[::1/1/q",
            "https://user:password@host/1/q",
        )
    ),
    *(
        ("BUCKET", value)
        for value in ("s3://documents", "documents/status", "arn:aws:s3:::documents", "doc uments", "b" * 256, "..", "bücket")
    ),
    *(
        ("RECORDS_TABLE", value)
        for value in ("rec ords", "a/b", "arn:aws:dynamodb:eu-west-1:1:table/x", "arn:aws:s3:::b", "t" * 256, "tábla")
    ),
    *(("PREFIX", value) for value in ("..", "a/../b", "./status", "a//b", "/status", "status/", "stätus")),
    *(
        ("SIGNER_ROLE_ARN", value)
        for value in ("signer", "arn:aws:sts::123456789012:assumed-role/signer/me", "arn:aws:iam::123456789012:role/")
    ),
    *(
        ("PUBLIC_URL", value)
        for value in ("https://", "https://host?x", "https://host/#", "https://u:p@host", "http://h:0", "https://h/a/../b")
    ),
    *(("PUBLIC_STORE_ENDPOINT", value) for value in ("store", "ftp://store", "https://store/?x=1", "https://u@store", "http://[::1")),
    *(
        ("SECRET", value)
        for value in (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:offpoll",
            "{{resolve:secretsmanager:offpoll}}",
            "${OFFPOLL_SECRET}",
        )
    ),
]

#: Only other stores have these.
NOT_ON_AWS = [
    *(("BUCKET", value) for value in ("ab", "Documents", "my_docs", "192.168.0.1", "a..b", "xn--docs", "docs-", "b" * 64, "docs.mrap")),
    *(("RECORDS_TABLE", value) for value in ("t", "ab", "arn:aws:dynamodb:us-east-1:123456789012:table/records")),
    *(
        ("QUEUE_URL", value)
        for value in ("http://127.0.0.1:4566/000000000000/q", "https://sqs.eu-west-1.amazonaws.com/1/q", "http://elasticmq:9324/queue/q")
    ),
    ("DEAD_LETTER_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/q"),
    ("SIGNER_ROLE_ARN", "arn:aws:iam::RGW33567154695143645:role/signer"),
    ("SIGNER_ROLE_ARN", "arn:aws:iam:::role/signer"),
]

EVERYWHERE = [
    *(("BUCKET", value) for value in ("my.docs", "1-2", "a" * 63, "docs-abc123-s3alias")),
    *(("RECORDS_TABLE", value) for value in ("Orders.records_1", "arn:aws:dynamodb:eu-west-1:123456789012:table/records")),
    *(
        ("QUEUE_URL", value)
        for value in (
            "https://vpce-0a1b-eu.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q",
            "https://eu-west-1.queue.amazonaws.com/123456789012/q",
            "https://sqs-fips.eu-west-1.amazonaws.com/123456789012/q_1-2",
        )
    ),
    ("SIGNER_ROLE_ARN", "arn:aws-us-gov:iam::123456789012:role/team/signer@1"),
    ("PUBLIC_URL", "https://api.example.com/v1/"),
    ("PREFIX", "team.a/status-1_2"),
]


def begin(setting: str, value: str, **environ: str) -> None:
    given = {**ENVIRON, f"OFFPOLL_{setting}": value, **environ}
    dependencies(Settings.load(environ=given), environ=given)


@pytest.mark.parametrize(("setting", "value"), NOWHERE)
@pytest.mark.parametrize("store", [{}, ELSEWHERE], ids=["aws", "elsewhere"])
def test_no_store_has_this(setting: str, value: str, store: dict[str, str]) -> None:
    """A name that no store has is refused before the first request; the error names the setting, and hides secrets."""
    with pytest.raises(ConfigurationError, match=f"OFFPOLL_{setting}") as raised:
        begin(setting, value, **store)
    assert "user:password" not in str(raised.value)
    assert setting != "SECRET" or value not in str(raised.value)


@pytest.mark.parametrize(("setting", "value"), NOT_ON_AWS)
def test_only_other_stores_have_this(setting: str, value: str) -> None:
    """A name that AWS cannot have is refused where requests go to AWS, and only there."""
    with pytest.raises(ConfigurationError, match=f"OFFPOLL_{setting}"):
        begin(setting, value)
    begin(setting, value, **ELSEWHERE)


@pytest.mark.parametrize(("setting", "value"), EVERYWHERE)
@pytest.mark.parametrize("store", [{}, ELSEWHERE], ids=["aws", "elsewhere"])
def test_every_store_has_this(setting: str, value: str, store: dict[str, str]) -> None:
    """Unusual names that work are taken."""
    begin(setting, value, **store)


def test_old_buckets() -> None:
    """In us-east-1, buckets from before 2018 may have capitals and underscores."""
    queues = {name: value.replace("eu-west-1", "us-east-1") for name, value in ENVIRON.items() if name.endswith("QUEUE_URL")}
    begin("BUCKET", "My_Old.Docs", AWS_REGION="us-east-1", **queues)


@pytest.mark.parametrize("other", ["QUEUE_URL", "PARKING_QUEUE_URL"])
def test_one_queue_for_two(other: str) -> None:
    """The three queues are different ones: a queue that was its own dead-letter queue would never let go of a message."""
    with pytest.raises(ConfigurationError, match="three different queues"):
        begin("DEAD_LETTER_QUEUE_URL", ENVIRON[f"OFFPOLL_{other}"])
