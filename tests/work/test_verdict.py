"""The rules of claiming, one case at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll.errors import DigestMismatch
from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.records import Idle
from offpoll.work.verdict import Begin, Decided, GiveUp, Held, Mine, exhausted, judge

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=NOW)
WINDOW = 864_000.0
LIVE, LAPSED = NOW + timedelta(seconds=30), NOW


def record(**changes: Any) -> Record:
    given = {"attempt": 1, "token": "t", "lease_until": LIVE, "expires_at": NOW + timedelta(days=14), **changes}
    return Record(submission=SUBMISSION, **given)


def verdict(found: Record | None, *, token: str | None = "mine", now: datetime = NOW, attempts: int = 3) -> Any:
    return judge(found, SUBMISSION, now=now, token=token, attempts=attempts, window=WINDOW)


def test_nothing_there() -> None:
    """Without a record the first attempt may begin."""
    assert verdict(None) == Begin(seen=0)


def test_decided() -> None:
    """An outcome counts before anything else: lease, token, attempts, age."""
    done = record(attempt=9, token="mine", outcome=Outcome(status=Status.FAILED))
    assert verdict(done, now=NOW + timedelta(days=30)) == Decided(record=done)


def test_held() -> None:
    """A live lease of another token holds the operation, and so does a backoff, which has no token."""
    assert verdict(record()) == Held(seconds=30)
    assert verdict(record(token=None)) == Held(seconds=30)
    assert verdict(record(), token=None) == Held(seconds=30)


def test_mine() -> None:
    """My own token is my claim, whose answer was lost, even if its lease has lapsed since."""
    for lease_until in (LIVE, LAPSED):
        mine = record(token="mine", lease_until=lease_until)
        assert verdict(mine) == Mine(record=mine)


def test_no_token_is_not_mine() -> None:
    """The dead-letter consumer has no token, and neither has a released record: that is no claim of its own."""
    assert verdict(record(token=None, lease_until=LAPSED), token=None) == Begin(seen=1)


def test_the_next_attempt() -> None:
    """After a lapsed lease with attempts left, the next attempt may begin, guarded by the attempt seen."""
    assert verdict(record(attempt=2, lease_until=LAPSED)) == Begin(seen=2)


def test_attempts_are_spent() -> None:
    """When the last attempt's lease lapses, the operation is given up, guarded by the attempt seen."""
    assert verdict(record(attempt=3, lease_until=LAPSED)) == GiveUp(outcome=exhausted(3), guard=Idle(attempt=3))
    assert isinstance(verdict(record(attempt=3)), Held)


def test_too_old() -> None:
    """An operation older than its window begins no attempt, first or later; one with a live lease goes on."""
    late = NOW + timedelta(seconds=WINDOW + 1)
    given_up = verdict(None, now=late)
    assert (given_up.outcome.error["code"], given_up.guard) == ("expired", Idle(attempt=0))
    assert verdict(record(lease_until=LAPSED), now=late).guard == Idle(attempt=1)
    assert isinstance(verdict(record(lease_until=late + timedelta(seconds=1)), now=late), Held)
    assert isinstance(verdict(None, now=NOW + timedelta(seconds=WINDOW)), Begin)


def test_another_input() -> None:
    """A record of another input is an error, decided or not."""
    for outcome in (None, Outcome(status=Status.SUCCEEDED)):
        other = replace(record(outcome=outcome), submission=replace(SUBMISSION, digest="other"))
        with pytest.raises(DigestMismatch):
            verdict(other)


def test_the_cause_of_exhaustion() -> None:
    """The error of an exhausted operation names the last exception; a crash leaves none to name."""
    assert (exhausted(3, cause="KeyError").error or {})["cause"] == "KeyError"
    assert "cause" not in (exhausted(3).error or {})


@pytest.mark.parametrize(
    ("attempts", "cause", "message"),
    [
        (1, None, "Its only attempt did not end."),
        (1, "KeyError", "Its only attempt ended with KeyError."),
        (3, None, "All 3 attempts are spent; the last one did not end."),
        (3, "KeyError", "All 3 attempts are spent; the last one ended with KeyError."),
    ],
)
def test_how_exhaustion_is_said(attempts: int, cause: str | None, message: str) -> None:
    """The message counts attempts as people do."""
    assert (exhausted(attempts, cause=cause).error or {})["message"] == message
