"""Publishing follows the readers: what is written, when, and how often."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.lab import lab, single

from offpoll.document import Document, PollHint, queued
from offpoll.operation import Operation, Progress, Submission
from offpoll.work.publish import LEAD, next_due

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def reporting(*, seconds: float, every: float = 1.0, message: str | None = None) -> Any:
    """Return a handler that reports progress for `seconds`."""

    async def handle(number: int, operation: Operation) -> int:
        steps = int(seconds / every)
        for step in range(steps):
            operation.progress(step / steps, message)
            await asyncio.sleep(every)
        return number

    return handle


def test_a_short_operation_costs_two_writes() -> None:
    """An operation that ends before its first planned poll costs two writes, whatever progress it reported."""
    with lab(single(reporting(seconds=2, every=0.1))) as one:
        operation_id = one.submit()
        hint = one.document(operation_id).poll
        assert hint is not None
        assert hint.not_before > NOW + timedelta(seconds=3)
        assert one.until_done(operation_id).revision == 2
        assert one.writes == 2


def test_a_long_operation_costs_few_writes() -> None:
    """A long operation is written at most once for each time that its readers look, shortly before that."""
    with lab(single(reporting(seconds=120))) as one:
        operation_id = one.submit()
        written, hints, writes = [], [one.document(operation_id).poll], 1
        while not one.document(operation_id).done:
            one.system.advance(0.05)
            if one.writes > writes:
                writes = one.writes
                written.append(one.time)
                hints.append(one.document(operation_id).poll)
        assert 3 <= len(written) - 1 <= 25
        for at, hint in zip(written[:-1], hints, strict=False):
            assert hint is not None
            due = (hint.not_before - NOW).total_seconds()
            late = max(0.0, at - due) % hint.interval
            assert due - LEAD - 0.3 <= at or hint.interval - late <= LEAD + 0.3, (
                f"written at {at}, looked at {due} and every {hint.interval}"
            )


def test_nothing_new_is_not_written() -> None:
    """A running operation that reports nothing is written once, as running, and not again until it ends."""

    async def handle(number: int) -> int:
        await asyncio.sleep(300)
        return number

    with lab(single(handle), expected_service_time=1000.0) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
        assert one.writes == 3


def test_an_overrun_estimate_is_replaced() -> None:
    """An operation that overruns its estimate publishes a later one, each time before its readers would look in vain.

    Such documents become rarer the longer it takes: from the 10 s expected to 640 s are six doublings.
    """

    async def handle(number: int) -> int:
        await asyncio.sleep(640)
        return number

    with lab(single(handle)) as one:
        operation_id = one.submit()
        latest: list[float] = []
        while not (document := one.document(operation_id)).done:
            assert document.estimate is not None
            assert document.estimate.latest is not None
            said = (document.estimate.latest - document.created_at).total_seconds()
            if said not in latest:
                latest.append(said)
            # an overrun estimate lasts no longer than until the readers' next look
            assert document.poll is not None
            assert one.time <= said + document.poll.interval + 1.0
            one.system.advance(0.25)
        assert latest == sorted(latest)
        assert 4 <= len(latest) <= 8
        assert one.writes == len(latest) + 1


def test_the_same_progress_is_not_new() -> None:
    """A message that the document shows shortened is not taken for a new one every time."""

    async def constant(number: int, operation: Operation) -> int:
        for _ in range(300):
            operation.progress(1 / 3, "é" * 300)
            await asyncio.sleep(1)
        return number

    with lab(single(constant), expected_service_time=1000.0) as one:
        one.until_done(one.submit())
        assert one.writes == 3


def test_cap_on_updates() -> None:
    """However long an operation runs and however much it reports, it publishes at most `max_updates` times."""
    with lab(single(reporting(seconds=800)), max_updates=4) as one:
        one.until_done(one.submit())
        assert one.writes == 2 + 4


def test_the_cap_holds_for_all_attempts_together() -> None:
    """The cap counts the document's revisions, so a further attempt does not begin a new count."""

    async def handle(number: int, operation: Operation) -> int:
        for step in range(200):
            operation.progress(step / 200)
            await asyncio.sleep(1)
        if operation.attempt < 3:
            raise RuntimeError
        return number

    with lab(single(handle), max_updates=4) as one:
        document = one.until_done(one.submit())
        assert (document.status, document.attempt) == ("succeeded", 3)
        assert one.writes == 2 + 4


def test_one_read() -> None:
    """However long an operation runs, its document is read once; each write, even the last, builds on the one before."""
    with lab(single(reporting(seconds=120))) as one:
        one.until_done(one.submit())
        assert one.writes > 4
        assert one.on_store.count("read") == 1


def test_a_missing_document_is_looked_for_once() -> None:
    """If the document is gone, a running operation does not ask for it again and again."""
    with lab(single(reporting(seconds=60))) as one:
        one.submit()
        one.system.store._objects.clear()
        one.system.advance(50)
        assert one.on_store.count("read") == 1


def test_no_updates_at_all() -> None:
    """With a cap of 0, every operation costs two writes."""
    with lab(single(reporting(seconds=200)), max_updates=0) as one:
        one.until_done(one.submit())
        assert one.writes == 2


def test_progress_is_shown() -> None:
    """The document shows the newest fraction and the newest message, and an estimate that follows from them."""

    async def handle(number: int, operation: Operation) -> int:
        operation.progress(0.25, "packing")
        operation.progress(0.5)
        operation.progress(message="shipping")
        await asyncio.sleep(60)
        return number

    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.system.advance(30)
        document = one.document(operation_id)
        assert (document.status, document.progress) == ("running", Progress(fraction=0.5, message="shipping"))
        assert document.estimate is not None
        assert document.estimate.mean is not None
        assert document.poll is not None


def test_a_second_attempt_starts_without_progress() -> None:
    """The progress of a failed attempt is not shown for the next one."""

    async def handle(number: int, operation: Operation) -> int:
        if operation.attempt == 1:
            operation.progress(0.9, "nearly")
            await asyncio.sleep(60)
            raise RuntimeError
        await asyncio.sleep(100)
        return number

    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.system.advance(59)
        assert one.document(operation_id).progress == Progress(fraction=0.9, message="nearly")
        one.system.advance(60)
        document = one.document(operation_id)
        assert (document.attempt, document.progress) == (2, None)


def test_a_short_store_outage_does_not_end_progress() -> None:
    """A failed publish is tried again later, and an outage of a minute does not use up the updates."""
    with lab(single(reporting(seconds=600))) as one:
        operation_id = one.submit()
        one.system.advance(20)
        one.on_store.down()
        tries = one.writes
        one.system.advance(60)
        assert one.writes - tries <= 15
        one.on_store.up()
        one.system.advance(60)
        progress = one.document(operation_id).progress
        assert progress is not None
        assert (progress.fraction or 0) > 0.1


def test_a_slow_store_does_not_cost_the_lease() -> None:
    """A publish that hangs longer than the lease does not delay the renewals."""

    async def hang() -> None:
        await asyncio.sleep(100)

    with lab(single(reporting(seconds=60))) as one:
        one.on_store.meanwhile("replace", hang)
        operation_id = one.submit()
        assert one.until_done(operation_id).attempt == 1
        assert one.on_records.count("claim") == 1


def test_progress_does_not_create_a_missing_document() -> None:
    """If the document is gone, progress does not bring it back, but the outcome does."""
    with lab(single(reporting(seconds=60))) as one:
        operation_id = one.submit()
        one.system.store._objects.clear()
        one.system.advance(50)
        assert not one.system.store._objects
        one.system.advance(20)
        assert one.document(operation_id).status == "succeeded"


def written(*, at: datetime, poll: PollHint) -> Document:
    submission = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=at)
    return queued(submission, estimate=None, poll=poll, expires_at=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("late", "interval", "due"),
    [(-5, 2, 5), (0, 2, 0), (1, 2, 1), (2, 2, 0), (2.5, 2, 1.5), (7, 0, 0), (7, float("nan"), 0), (7, 1e-300, 0), (7, float("inf"), 0),
     (7, 1e300, 0), (7, -1, 0)],
)  # fmt: skip
def test_next_due(late: float, interval: float, due: float) -> None:
    """The next look is at `not_before`, then every interval; nonsense in a stored document means now, and raises nothing."""
    document = written(at=NOW - timedelta(seconds=60), poll=PollHint(not_before=NOW, interval=interval))
    now = NOW + timedelta(seconds=late)
    assert next_due(document, now) == now + timedelta(seconds=due)
