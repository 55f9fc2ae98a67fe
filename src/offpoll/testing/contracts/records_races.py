"""The races on one record: many claims, renewals, releases and decisions at once, of which only some may apply."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.records import Claim, Guard, Idle, Records, Undecided, Update
from offpoll.testing.contracts.running import WRITERS, Running
from offpoll.testing.contracts.submissions import new_submission

__all__ = ["LAPSED", "RecordsRaces"]

#: Duration of a lease that has lapsed when it begins, seconds.
LAPSED = -60.0

Calls = Sequence[Coroutine[Any, Any, Update]]

OLD = Claim(attempt=1, token="t1")
NEW = Claim(attempt=2, token="t2")


class RecordsRaces(Running):
    """Part of RecordsContract. Needs the fixture `records`."""

    @pytest.fixture
    def records(self) -> Records:
        raise NotImplementedError("a subclass provides the records")

    @pytest.fixture
    def submission(self) -> Submission:
        """An operation that nobody has claimed."""
        return new_submission()

    @pytest.fixture
    def expires_at(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + timedelta(days=14)

    @pytest.mark.parametrize("seen", [0, 1])
    def test_one_of_many_claimers_wins(self, records: Records, submission: Submission, expires_at: datetime, seen: int) -> None:
        """Of concurrent claims, of a fresh operation or after a lapsed lease, exactly one applies; all others learn who holds it."""
        if seen:
            self._claimed(records, submission, expires_at, lease=LAPSED)
        tokens = [f"new {number}" for number in range(WRITERS)]
        updates = self.race(records.claim(submission, seen=seen, token=token, lease=60.0, expires_at=expires_at) for token in tokens)
        [winner] = [token for token, update in zip(tokens, updates, strict=True) if update.applied]
        assert {(record.attempt, record.token) for record in _records(updates)} == {(seen + 1, winner)}
        assert self._stored(records, submission) == _records(updates)[0]

    @pytest.mark.parametrize("seen", [0, 1])
    def test_a_claim_that_arrives_often(self, records: Records, submission: Submission, expires_at: datetime, seen: int) -> None:
        """A claim repeated under its own token, because its answer was lost, spends one attempt, and all answers show its token."""
        if seen:
            self._claimed(records, submission, expires_at, lease=LAPSED)
        updates = self.race(records.claim(submission, seen=seen, token="mine", lease=60.0, expires_at=expires_at) for _ in range(WRITERS))
        assert sum(update.applied for update in updates) == 1
        assert {(record.attempt, record.token) for record in _records(updates)} == {(seen + 1, "mine")}

    @pytest.mark.parametrize("guard", [OLD, Undecided(), Idle(attempt=1), Idle(attempt=0)], ids=["holder", "canceller", "lapsed", "absent"])
    def test_one_of_many_outcomes_wins(self, records: Records, submission: Submission, expires_at: datetime, guard: Guard) -> None:
        """Of concurrent decisions under one guard exactly one applies, and all 64 answers carry its outcome."""
        if guard != Idle(attempt=0):
            self._claimed(records, submission, expires_at, lease=LAPSED if guard == Idle(attempt=1) else 60.0)
        self._decided_once(records, submission, expires_at, guards=[guard] * WRITERS)

    def test_a_cancel_races_the_holder(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """Of the outcomes of a holder and of cancels exactly one applies, and all answers carry it."""
        self._claimed(records, submission, expires_at, lease=60.0)
        self._decided_once(records, submission, expires_at, guards=[OLD, Undecided()] * (WRITERS // 2))

    @pytest.mark.parametrize("first", ["the holder", "the others"])
    def test_a_cancel_among_the_holders_calls(self, records: Records, submission: Submission, expires_at: datetime, first: str) -> None:
        """Whatever the holder renews, releases or decides meanwhile: there is one outcome, and no lease or token comes back after it."""
        self._claimed(records, submission, expires_at, lease=60.0)
        holders = [call for _ in range(WRITERS // 4) for call in self._calls_of(OLD, records, submission, expires_at)]
        canceled = Outcome(status=Status.CANCELED)
        cancels = [records.decide(submission, canceled, guard=Undecided(), expires_at=expires_at) for _ in range(WRITERS // 4)]
        updates = self.race(_mixed(holders, cancels, first=first))
        stored = self._stored(records, submission)
        assert stored.outcome is not None
        assert (stored.token, stored.lease_until, stored.attempt) == (None, None, 1)
        assert {record.outcome for record in _records(updates) if record.done} == {stored.outcome}
        assert len([update for update in updates if update.applied and update.record is not None and update.record.done]) == 1

    @pytest.mark.parametrize("first", ["the holder", "the others"])
    def test_a_takeover_among_the_holders_calls(self, records: Records, submission: Submission, expires_at: datetime, first: str) -> None:
        """A holder whose lease lapsed races those who take over: it is in time and no claim applies, or one does and fences it."""
        self._claimed(records, submission, expires_at, lease=LAPSED)
        holders = [call for _ in range(WRITERS // 4) for call in self._calls_of(OLD, records, submission, expires_at)]
        tokens = [f"new {number}" for number in range(WRITERS // 4)]
        claims = [records.claim(submission, seen=1, token=token, lease=60.0, expires_at=expires_at) for token in tokens]
        updates = self.race(_mixed(holders, claims, first=first))
        applied = [update.record for update in updates if update.applied and update.record is not None]
        stored = self._stored(records, submission)
        if any(record.attempt == 2 for record in applied):
            assert applied == [stored]
        else:
            assert applied
            assert stored.attempt == 1

    def test_a_fenced_attempt(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After claim n + 1 attempt n can neither renew, release nor decide, however often it tries beside the new holder's renewals."""
        self._claimed(records, submission, expires_at, lease=LAPSED)
        self.run(records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at))
        stale = [call for _ in range(WRITERS // 3) for call in self._calls_of(OLD, records, submission, expires_at)]
        renewals = [records.renew(submission.operation_id, held=NEW, lease=60.0) for _ in range(WRITERS // 3)]
        updates = self.race([*stale, *renewals])
        assert [update.applied for update in updates] == [False] * len(stale) + [True] * len(renewals)
        assert {(record.attempt, record.token, record.outcome) for record in _records(updates)} == {(2, "t2", None)}

    @pytest.mark.parametrize("first", ["the claimers", "the others"])
    @pytest.mark.parametrize("seen", [0, 1])
    def test_giving_up_among_claims(self, records: Records, submission: Submission, expires_at: datetime, seen: int, first: str) -> None:
        """While nobody works on it, those who begin and those who end it are rivals: exactly one of all calls applies."""
        if seen:
            self._claimed(records, submission, expires_at, lease=LAPSED)
        half, failed = range(WRITERS // 2), Outcome(status=Status.FAILED, error={"code": "attempts_exhausted", "message": "no more"})
        claims = [records.claim(submission, seen=seen, token=f"new {n}", lease=60.0, expires_at=expires_at) for n in half]
        decisions = [records.decide(submission, failed, guard=Idle(attempt=seen), expires_at=expires_at, input=b"1") for _ in half]
        updates = self.race(_mixed(claims, decisions, first=first))
        [winner] = [update.record for update in updates if update.applied]
        assert winner == self._stored(records, submission)
        assert all(record == winner for record in _records(updates))

    def _claimed(self, records: Records, submission: Submission, expires_at: datetime, *, lease: float) -> None:
        assert self.run(records.claim(submission, seen=0, token=OLD.token, lease=lease, expires_at=expires_at)).applied

    def _stored(self, records: Records, submission: Submission) -> Record:
        record = self.run(records.get(submission.operation_id)).record
        assert record is not None
        return record

    def _decided_once(self, records: Records, submission: Submission, expires_at: datetime, *, guards: Sequence[Guard]) -> None:
        """Let one decision for each guard race, each with another outcome; check that one wins and all answers show it."""
        updates = self.race(
            records.decide(submission, Outcome(status=Status.SUCCEEDED, result=str(number)), guard=guard, expires_at=expires_at)
            for number, guard in enumerate(guards)
        )
        [winner] = [number for number, update in enumerate(updates) if update.applied]
        told = [None if record.outcome is None else record.outcome.result for record in _records(updates)]
        assert told == [str(winner)] * len(guards)
        assert self._stored(records, submission) == _records(updates)[winner]

    @staticmethod
    def _calls_of(held: Claim, records: Records, submission: Submission, expires_at: datetime) -> Calls:
        """Return every call that a holder may make, once."""
        return [
            records.renew(submission.operation_id, held=held, lease=60.0),
            records.release(submission.operation_id, held=held, backoff=60.0),
            records.decide(submission, Outcome(status=Status.SUCCEEDED, result="1"), guard=held, expires_at=expires_at),
        ]


def _mixed(some: Calls, others: Calls, *, first: str) -> Calls:
    """Spread the others evenly among some. In memory, where no call waits, this is the order of effect."""
    step = len(some) // len(others)
    groups = [some[at * step : (at + 1) * step] for at in range(len(others))]
    if first == "the others":
        return [call for other, group in zip(others, groups, strict=True) for call in (other, *group)]
    return [call for other, group in zip(others, groups, strict=True) for call in (*group, other)]


def _records(updates: Sequence[Update]) -> list[Record]:
    """Return the record that each answer showed: in these races every answer has one."""
    shown = [update.record for update in updates if update.record is not None]
    assert len(shown) == len(updates)
    return shown
