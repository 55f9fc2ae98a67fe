"""The environment of a process whose stores do not answer: it starts all the same, with a warning."""

from __future__ import annotations

_NOBODY = "http://127.0.0.1:9"

VARIABLES = {
    "AWS_ENDPOINT_URL": _NOBODY,
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_EC2_METADATA_DISABLED": "true",
    "OFFPOLL_BUCKET": "bucket",
    "OFFPOLL_QUEUE_URL": f"{_NOBODY}/1/q",
    "OFFPOLL_DEAD_LETTER_QUEUE_URL": f"{_NOBODY}/1/d",
    "OFFPOLL_PARKING_QUEUE_URL": f"{_NOBODY}/1/p",
    "OFFPOLL_RECORDS_TABLE": "t",
    "OFFPOLL_SECRET": "s" * 32,
}
