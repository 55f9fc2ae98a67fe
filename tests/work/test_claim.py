"""Claiming: one call for a first delivery, two for a redelivery, and races between the two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.faults import Faults

from offpoll.errors import DependencyUnavailable
from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.queue import Message
from offpoll.records import Claim, MemoryRecords, Undecided
from offpoll.testing import START, run_virtual
from offpoll.work.claim import Claimer
from offpoll.work.verdict import Decided, Held, Mine

SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=START)
MESSAGE = Message(submission=SUBMISSION, body='{"n":1}')
DAY = timedelta(days=1)


class Claims:
    """A claimer, its records with faults, and a clock that a test sets."""

    def __init__(self) -> None:
        self.now: datetime = START
        self.skew = timedelta(0)
        self.records = MemoryRecords(clock=lambda: self.now)
        self.faults = Faults(self.records)
        self.claimer = Claimer(records=self.records, lease=60, window=864_000, lifetime=1_209_600, clock=lambda: self.now + self.skew)

    async def claim(self, token: str = "t", attempts: int = 3) -> Mine | Held | Decided:
        return await self.claimer.claim(MESSAGE, token=token, attempts=attempts)

    @property
    def record(self) -> Record:
        return self.records._records["a" * 32]


def claims(test: Callable[[Claims], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtual(test(Claims()))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@claims
async def test_first_claim_is_one_call(at: Claims) -> None:
    """A first claim is one update, without a read."""
    assert isinstance(await at.claim(), Mine)
    assert at.faults.calls == ["claim"]
    assert (at.record.attempt, at.record.token, at.record.expires_at) == (1, "t", START + timedelta(seconds=1_209_600))


@claims
async def test_a_redelivery_is_two_calls(at: Claims) -> None:
    """On a redelivery the refused update returns the record, and a second update claims the next attempt."""
    await at.claim()
    at.now += timedelta(seconds=61)
    at.faults.calls.clear()
    assert isinstance(await at.claim("u"), Mine)
    assert at.faults.calls == ["claim", "claim"]
    assert (at.record.attempt, at.record.token) == (2, "u")


@claims
async def test_held(at: Claims) -> None:
    """A live lease holds everyone off for the rest of its time."""
    await at.claim()
    at.now += timedelta(seconds=20)
    assert await at.claim("u") == Held(seconds=40)


@claims
async def test_a_lost_answer_is_mine(at: Claims) -> None:
    """A claim whose answer was lost is recognised by its token and spends no second attempt."""
    at.faults.fail("claim", after=True)
    with pytest.raises(DependencyUnavailable):
        await at.claim()
    assert isinstance(await at.claim(), Mine)
    assert at.record.attempt == 1


@claims
async def test_a_lost_answer_to_a_later_claim_is_mine(at: Claims) -> None:
    """A lost answer to the claim of attempt 2 is recognised in the same way."""
    await at.claim()
    at.now += timedelta(seconds=61)
    at.faults.fail("claim", after=True, skip=1)
    with pytest.raises(DependencyUnavailable):
        await at.claim("u")
    assert isinstance(await at.claim("u"), Mine)
    assert at.record.attempt == 2


@claims
async def test_claimed_meanwhile(at: Claims) -> None:
    """If another worker claims between the refusal and the second update, it wins and this one is held."""
    await at.claim()
    at.now += timedelta(seconds=61)
    at.faults.meanwhile("claim", lambda: at.claim("other"), skip=1)
    assert isinstance(await at.claim("u"), Held)
    assert (at.record.attempt, at.record.token) == (2, "other")


@claims
async def test_decided_meanwhile(at: Claims) -> None:
    """If the operation is decided between the refusal and the second update, the claim returns the outcome."""
    await at.claim()
    at.now += timedelta(seconds=61)

    async def cancel() -> None:
        await at.records.decide(SUBMISSION, Outcome(status=Status.CANCELED), guard=Undecided(), expires_at=at.record.expires_at)

    at.faults.meanwhile("claim", cancel, skip=1)
    verdict = await at.claim("u")
    assert isinstance(verdict, Decided)
    assert verdict.record.status == "canceled"


@claims
async def test_exhausted(at: Claims) -> None:
    """With all attempts spent and no live lease, the claim decides `failed` and keeps the input; a second claim finds that."""
    for token in ("a", "b"):
        assert isinstance(await at.claim(token, attempts=2), Mine)
        at.now += timedelta(seconds=61)
    for _ in range(2):
        verdict = await at.claim("c", attempts=2)
        assert isinstance(verdict, Decided)
        assert (verdict.record.outcome or Outcome(status=Status.FAILED)).error == {
            "code": "attempts_exhausted", "message": "All 2 attempts are spent; the last one did not end.", "attempts": 2,
        }  # fmt: skip
        assert verdict.record.input == b'{"n":1}'


@claims
async def test_exhaustion_is_not_decided_under_a_live_lease(at: Claims) -> None:
    """If the last attempt renews before exhaustion is decided, the operation is held and may still succeed."""
    assert isinstance(await at.claim("a", attempts=1), Mine)
    at.now += timedelta(seconds=61)
    at.faults.meanwhile("decide", lambda: at.records.renew("a" * 32, held=Claim(attempt=1, token="a"), lease=60))
    assert await at.claim("b", attempts=1) == Held(seconds=60)
    assert not at.record.done


@claims
async def test_an_old_message_is_not_begun(at: Claims) -> None:
    """An operation older than its window is decided `failed`, and its handler never runs."""
    at.now += 11 * DAY
    verdict = await at.claim()
    assert isinstance(verdict, Decided)
    assert (verdict.record.attempt, (verdict.record.outcome or Outcome(status=Status.FAILED)).error["code"]) == (0, "expired")  # type: ignore[index]
    assert at.faults.calls == ["get", "decide"]


@claims
async def test_a_worker_whose_clock_is_ahead(at: Claims) -> None:
    """The store's time decides whether an operation is too old; a worker's fast clock only costs a read."""
    at.skew = 12 * DAY
    assert isinstance(await at.claim(), Mine)
    assert at.faults.calls == ["get", "claim"]


@claims
async def test_an_old_message_of_a_live_claim(at: Claims) -> None:
    """An operation that is running when its window ends is not failed under its worker."""
    at.now += 10 * DAY - timedelta(seconds=10)
    await at.claim()
    at.now += timedelta(seconds=30)
    assert await at.claim("u") == Held(seconds=30)


@claims
async def test_a_release_holds_everyone_off(at: Claims) -> None:
    """The lease contains the backoff, so a message that the queue delivers sooner is held."""
    claimed: Any = await at.claim()
    await at.records.release("a" * 32, held=Claim(attempt=1, token=claimed.record.token), backoff=30)
    assert await at.claim("u") == Held(seconds=30)
    at.now += timedelta(seconds=30)
    assert isinstance(await at.claim("u"), Mine)
