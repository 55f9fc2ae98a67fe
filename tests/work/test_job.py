"""A job: what a second reason to stop means, and how much time is left."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from offpoll.kind import Kind
from offpoll.operation import Submission
from offpoll.queue import Delivery, Message
from offpoll.work.job import Job, Stop

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=NOW)


def handle(number: int) -> int:
    return number


def job() -> Job:
    message = Message(submission=SUBMISSION, body="1")
    delivery = Delivery(envelope=message.to_envelope(), receipt="r")
    return Job(delivery=delivery, message=message, kind=Kind.of("order", handle, timeout=60), token="t")


@pytest.mark.parametrize("reason", [each for each in Stop if each is not Stop.LAPSED])
def test_a_lapse_is_replaced(reason: Stop) -> None:
    """A lapse leaves open what became of the claim, so any later reason replaces it and the handler's runner is told again."""
    one, told = job(), []
    one.begin(now=0, on_stop=lambda: told.append(one.stop_reason))
    for each in (Stop.LAPSED, Stop.LAPSED, reason, Stop.LAPSED):
        one.stop(each)
    assert told == [Stop.LAPSED, reason]


@pytest.mark.parametrize("reason", [each for each in Stop if each is not Stop.LAPSED])
def test_every_other_reason_stays(reason: Stop) -> None:
    """The first reason that is not a lapse stays, and decides what becomes of the handler."""
    one = job()
    one.stop(reason)
    for each in Stop:
        one.stop(each)
    assert one.stop_reason is reason


def test_time_left() -> None:
    """The time that an attempt ran before a lapse counts towards its timeout."""
    one = job()
    assert one.time_left == 60
    one.spent = 45
    assert one.time_left == 15
    one.spent = 61
    assert one.time_left == 0
