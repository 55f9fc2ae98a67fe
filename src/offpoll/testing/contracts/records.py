"""What every store of records must do. Negative durations make leases that have lapsed and records that have expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.records import Claim, Guard, Idle, Records, Undecided, Update
from offpoll.testing.contracts.records_races import LAPSED, RecordsRaces
from offpoll.testing.contracts.submissions import new_submission

__all__ = ["RecordsContract"]

#: How far a lease may differ from the requested one, seconds: a store's time is known to about a second.
TOLERANCE = 3.0


class RecordsContract(RecordsRaces):
    """Subclass it and provide the fixture `records`. The races are part of it."""

    def test_absent(self, records: Records, submission: Submission) -> None:
        """An operation that nobody has claimed has no record."""
        update = self.run(records.get(submission.operation_id))
        assert (update.applied, update.record) == (False, None)
        assert abs(update.at - datetime.now(UTC)) < timedelta(minutes=1)

    def test_first_claim(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """The first claim makes the record: every fact of the submission, attempt 1, the token, the lease."""
        update = self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        record = _applied(update)
        assert record.submission == submission
        assert (record.attempt, record.token, record.outcome, record.finished_at, record.input) == (1, "t1", None, None, None)
        assert record.expires_at == expires_at
        assert record.started_at is not None
        assert abs((record.started_at - update.at).total_seconds()) <= TOLERANCE
        _lasts(update, 60.0)
        assert self.run(records.get(submission.operation_id)).record == record

    def test_submission_without_digest(self, records: Records, expires_at: datetime) -> None:
        """Another producer may give no digest and no base URL."""
        bare = new_submission(digest=None, base_url="")
        update = self.run(records.claim(bare, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        assert _applied(update).submission == bare

    def test_claim_of_a_live_lease(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """While a lease is live nobody else may claim; the refusal shows the current record."""
        held = self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at)).record
        for seen in (0, 1, 2):
            update = self.run(records.claim(submission, seen=seen, token="t2", lease=60.0, expires_at=expires_at))
            assert (update.applied, update.record) == (False, held)

    def test_claim_after_a_lapsed_lease(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After a lapse the next attempt begins, but only for a caller that saw the current one. Facts stay as first recorded."""
        first = _applied(self.run(records.claim(submission, seen=0, token="t1", lease=LAPSED, expires_at=expires_at)))
        for seen in (0, 2):
            assert not self.run(records.claim(submission, seen=seen, token="t2", lease=60.0, expires_at=expires_at)).applied
        other = new_submission(operation_id=submission.operation_id)
        update = self.run(records.claim(other, seen=1, token="t2", lease=60.0, expires_at=expires_at + timedelta(days=1)))
        record = _applied(update)
        assert (record.attempt, record.token, record.submission) == (2, "t2", submission)
        assert (record.started_at, record.expires_at) == (first.started_at, first.expires_at)

    def test_renew(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """The holder of the claim may renew it, even after its lease lapsed; nobody else may."""
        self.run(records.claim(submission, seen=0, token="t1", lease=LAPSED, expires_at=expires_at))
        for wrong in (Claim(attempt=1, token="t2"), Claim(attempt=2, token="t1"), Claim(attempt=0, token="t1")):
            assert not self.run(records.renew(submission.operation_id, held=wrong, lease=60.0)).applied
        _lasts(self.run(records.renew(submission.operation_id, held=Claim(attempt=1, token="t1"), lease=120.0)), 120.0)

    def test_renew_without_a_record(self, records: Records, submission: Submission) -> None:
        """A renewal never makes a record."""
        for verb in (
            records.renew(submission.operation_id, held=Claim(attempt=1, token="t1"), lease=60.0),
            records.release(submission.operation_id, held=Claim(attempt=1, token="t1"), backoff=60.0),
        ):
            update = self.run(verb)
            assert (update.applied, update.record) == (False, None)
        assert self.run(records.get(submission.operation_id)).record is None

    def test_release(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After a release nobody holds the operation, and nobody may claim it before the backoff ends."""
        held = Claim(attempt=1, token="t1")
        self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        update = self.run(records.release(submission.operation_id, held=held, backoff=600.0))
        record = _applied(update)
        assert (record.token, record.attempt) == (None, 1)
        _lasts(update, 600.0)
        assert not self.run(records.renew(submission.operation_id, held=held, lease=60.0)).applied
        assert not self.run(records.release(submission.operation_id, held=held, backoff=0.0)).applied
        assert not self.run(records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at)).applied

    def test_claim_after_the_backoff(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After the backoff the next attempt begins."""
        self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        self.run(records.release(submission.operation_id, held=Claim(attempt=1, token="t1"), backoff=LAPSED))
        update = self.run(records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at))
        assert _applied(update).attempt == 2

    @pytest.mark.parametrize(
        "outcome",
        [
            Outcome(status=Status.SUCCEEDED, result='{"price":"ü 漢 🙂","n":[1,2.5,null]}'),
            Outcome(status=Status.FAILED, error={"code": "out_of_stock", "message": "none left: ü", "left": 0, "more": {"a": [1.5]}}),
            Outcome(status=Status.CANCELED),
        ],
    )
    def test_decide(self, records: Records, submission: Submission, expires_at: datetime, outcome: Outcome) -> None:
        """The holder decides: the record keeps the outcome as given, and loses lease and token."""
        self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        failed = b'{"sku":"A1"}' if outcome.status is Status.FAILED else None
        update = self.run(records.decide(submission, outcome, guard=Claim(attempt=1, token="t1"), expires_at=expires_at, input=failed))
        record = _applied(update)
        assert record.outcome == outcome
        assert (record.token, record.lease_until, record.input, record.attempt) == (None, None, failed, 1)
        assert record.finished_at is not None
        assert self.run(records.get(submission.operation_id)).record == record

    def test_first_outcome_wins(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After an outcome nothing applies: no other outcome, claim, renewal or release. Each refusal shows the outcome."""
        held = Claim(attempt=1, token="t1")
        self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        done = self.run(records.decide(submission, Outcome(status=Status.CANCELED), guard=Undecided(), expires_at=expires_at)).record
        guards: tuple[Guard, ...] = (held, Idle(attempt=1), Idle(attempt=0), Undecided())
        for verb in (
            *(records.decide(submission, Outcome(status=Status.FAILED), guard=guard, expires_at=expires_at) for guard in guards),
            records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at),
            records.claim(submission, seen=0, token="t2", lease=60.0, expires_at=expires_at),
            records.renew(submission.operation_id, held=held, lease=60.0),
            records.release(submission.operation_id, held=held, backoff=0.0),
        ):
            update = self.run(verb)
            assert (update.applied, update.record) == (False, done)

    def test_fenced_attempt_cannot_decide(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """After the next claim the old attempt can no longer renew, release or decide."""
        old = Claim(attempt=1, token="t1")
        self.run(records.claim(submission, seen=0, token="t1", lease=LAPSED, expires_at=expires_at))
        self.run(records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at))
        for verb in (
            records.renew(submission.operation_id, held=old, lease=60.0),
            records.release(submission.operation_id, held=old, backoff=0.0),
            records.decide(submission, Outcome(status=Status.FAILED), guard=old, expires_at=expires_at),
        ):
            update = self.run(verb)
            assert not update.applied
            assert update.record is not None
            assert (update.record.attempt, update.record.token, update.record.outcome) == (2, "t2", None)

    def test_decide_under_idle(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """Idle holds only for the attempt that was seen, and only while no lease is live."""
        failed = Outcome(status=Status.FAILED, error={"code": "attempts_exhausted", "message": "no more"})
        self.run(records.claim(submission, seen=0, token="t1", lease=60.0, expires_at=expires_at))
        assert not self.run(records.decide(submission, failed, guard=Idle(attempt=1), expires_at=expires_at)).applied
        self.run(records.renew(submission.operation_id, held=Claim(attempt=1, token="t1"), lease=LAPSED))
        for attempt in (0, 2):
            assert not self.run(records.decide(submission, failed, guard=Idle(attempt=attempt), expires_at=expires_at)).applied
        assert self.run(records.decide(submission, failed, guard=Idle(attempt=1), expires_at=expires_at)).applied

    def test_decide_without_a_record(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """Only Idle(0) decides an operation that nobody has claimed; the record then has attempt 0 and never started."""
        canceled = Outcome(status=Status.CANCELED)
        guards: tuple[Guard, ...] = (Undecided(), Claim(attempt=1, token="t1"), Claim(attempt=0, token=""), Idle(attempt=1))
        for guard in guards:
            update = self.run(records.decide(submission, canceled, guard=guard, expires_at=expires_at))
            assert (update.applied, update.record) == (False, None)
        record = _applied(self.run(records.decide(submission, canceled, guard=Idle(attempt=0), expires_at=expires_at)))
        assert record.submission == submission
        assert (record.attempt, record.started_at, record.outcome) == (0, None, canceled)
        assert (record.expires_at, record.lease_until) == (expires_at, None)

    def test_expired_record_counts_as_absent(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """An expired record counts as absent: for reads, in refusals, and for every guard but Idle(0)."""
        past = expires_at - timedelta(days=15)
        _applied(self.run(records.claim(submission, seen=0, token="t1", lease=LAPSED, expires_at=past)))
        held = Claim(attempt=1, token="t1")
        for verb in (
            records.get(submission.operation_id),
            records.claim(submission, seen=1, token="t2", lease=60.0, expires_at=expires_at),
            records.renew(submission.operation_id, held=held, lease=60.0),
            records.release(submission.operation_id, held=held, backoff=0.0),
            records.decide(submission, Outcome(status=Status.FAILED), guard=Undecided(), expires_at=expires_at),
            records.decide(submission, Outcome(status=Status.FAILED), guard=held, expires_at=expires_at),
            records.decide(submission, Outcome(status=Status.FAILED), guard=Idle(attempt=1), expires_at=expires_at),
        ):
            refused = self.run(verb)
            assert (refused.applied, refused.record) == (False, None)

    def test_nothing_stays_of_an_expired_record(self, records: Records, submission: Submission, expires_at: datetime) -> None:
        """A claim or a decision over an expired record starts afresh: it keeps no outcome, input, times or digest of the old one."""
        past = expires_at - timedelta(days=15)
        failed = Outcome(status=Status.FAILED, error={"code": "old", "message": "old"})
        self.run(records.decide(submission, failed, guard=Idle(attempt=0), expires_at=past, input=b"old"))
        bare = new_submission(operation_id=submission.operation_id, digest=None)
        record = _applied(self.run(records.claim(bare, seen=0, token="t1", lease=60.0, expires_at=past)))
        assert record.submission == bare
        assert (record.outcome, record.finished_at, record.input, record.attempt) == (None, None, None, 1)
        canceled = Outcome(status=Status.CANCELED)
        record = _applied(self.run(records.decide(submission, canceled, guard=Idle(attempt=0), expires_at=expires_at)))
        assert record.submission == submission
        assert (record.token, record.lease_until, record.started_at, record.attempt) == (None, None, None, 0)


def _applied(update: Update) -> Record:
    """Return the record that an update made."""
    assert update.applied
    assert update.record is not None
    return update.record


def _lasts(update: Update, seconds: float) -> None:
    """Check that an update made a lease which ends `seconds` after it."""
    lease_until = _applied(update).lease_until
    assert lease_until is not None
    assert abs((lease_until - update.at).total_seconds() - seconds) <= TOLERANCE
