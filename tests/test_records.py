"""The guards of records, and the records in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from offpoll.operation import Outcome, Status, Submission
from offpoll.records import Claim, Idle, MemoryRecords, Undecided
from offpoll.testing import run_virtual

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATE = NOW + timedelta(days=14)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=NOW)
DONE = Outcome(status=Status.SUCCEEDED, result="1")


class Store:
    """Records, and a clock that the test turns."""

    def __init__(self) -> None:
        self.now = NOW
        self.records = MemoryRecords(clock=lambda: self.now)

    async def claim(self, seen: int, token: str = "t") -> bool:
        return (await self.records.claim(SUBMISSION, seen=seen, token=token, lease=60, expires_at=LATE)).applied

    async def decide(self, guard: Claim | Idle | Undecided) -> bool:
        return (await self.records.decide(SUBMISSION, DONE, guard=guard, expires_at=LATE)).applied

    async def renew(self, attempt: int, token: str = "t") -> bool:
        return (await self.records.renew("a" * 32, held=Claim(attempt=attempt, token=token), lease=60)).applied

    async def release(self, attempt: int, token: str = "t", backoff: float = 0.0) -> bool:
        return (await self.records.release("a" * 32, held=Claim(attempt=attempt, token=token), backoff=backoff)).applied


def test_only_one_first_claim() -> None:
    """The first claim wins; a second one learns about it."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        refused = await store.records.claim(SUBMISSION, seen=0, token="u", lease=60, expires_at=LATE)
        assert not refused.applied
        assert refused.record is not None
        assert (refused.record.attempt, refused.record.token, refused.record.lease_until) == (1, "t", NOW + timedelta(seconds=60))

    run_virtual(main())


def test_the_next_claim_waits_for_the_lease() -> None:
    """A claim succeeds for the attempt that was read once its lease has ended, and never for an earlier attempt."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        assert not await store.claim(1, "u")
        store.now += timedelta(seconds=60)
        assert await store.claim(1, "u")
        store.now += timedelta(seconds=60)
        assert not await store.claim(1, "v")

    run_virtual(main())


def test_an_old_attempt_is_fenced() -> None:
    """After the next claim the old one can neither renew, release nor decide, not even its token with the new attempt's number."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        store.now += timedelta(seconds=61)
        assert await store.claim(1, "u")
        for attempt, token in ((1, "t"), (2, "t"), (1, "u")):
            assert not await store.renew(attempt, token)
            assert not await store.release(attempt, token)
            assert not await store.decide(Claim(attempt=attempt, token=token))
        assert await store.decide(Claim(attempt=2, token="u"))

    run_virtual(main())


def test_a_lapsed_claim_that_nobody_took_still_decides() -> None:
    """Safety never depends on clocks: the holder may renew or decide late, as long as nobody else has claimed."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        store.now += timedelta(hours=1)
        assert await store.renew(1)
        store.now += timedelta(hours=1)
        assert await store.decide(Claim(attempt=1, token="t"))

    run_virtual(main())


def test_release_holds_others_off() -> None:
    """A released operation has no token, and nobody may claim it before its backoff ends."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        assert await store.release(1, backoff=30)
        assert not await store.renew(1)
        assert not await store.claim(1, "u")
        store.now += timedelta(seconds=30)
        assert await store.claim(1, "u")

    run_virtual(main())


def test_the_first_outcome_wins() -> None:
    """After the first decision no other guard holds, and no claim succeeds."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        assert await store.decide(Undecided())
        for guard in (Claim(attempt=1, token="t"), Idle(attempt=1), Undecided()):
            assert not await store.decide(guard)
        assert not await store.claim(1)
        record = (await store.records.get("a" * 32)).record
        assert record is not None
        assert (record.token, record.lease_until, record.finished_at) == (None, None, NOW)

    run_virtual(main())


def test_exhaustion_is_not_decided_under_a_live_lease() -> None:
    """The guard for giving up fails while an attempt holds a lease, and for any other attempt."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        assert not await store.decide(Idle(attempt=1))
        store.now += timedelta(seconds=60)
        assert not await store.decide(Idle(attempt=0))
        assert not await store.decide(Idle(attempt=2))
        assert await store.decide(Idle(attempt=1))

    run_virtual(main())


def test_an_undecided_guard_needs_a_record() -> None:
    """A canceller who saw a record does not create a new one."""

    async def main() -> None:
        store = Store()
        assert not await store.decide(Undecided())
        assert await store.decide(Idle(attempt=0))

    run_virtual(main())


def test_an_expired_record_is_absent() -> None:
    """From `expires_at` on, every verb treats a record as absent, and a new first claim keeps nothing of it."""

    async def main() -> None:
        store = Store()
        assert await store.claim(0)
        assert await store.decide(Claim(attempt=1, token="t"))
        store.now = LATE
        assert (await store.records.get("a" * 32)).record is None
        assert not await store.renew(1)
        renewed = replace(SUBMISSION, created_at=LATE)
        update = await store.records.claim(renewed, seen=0, token="n", lease=60, expires_at=LATE + timedelta(days=1))
        assert update.record is not None
        assert (update.record.attempt, update.record.outcome, update.record.started_at) == (1, None, LATE)

    run_virtual(main())
