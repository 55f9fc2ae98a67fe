"""The five hardest races, end to end, as docs/protocol.md draws them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.freezable_worker import freezable_worker
from tests.support.lab import Lab, lab, single
from tests.support.scripted_handler import ScriptedHandler

from offpoll.errors import DependencyUnavailable, KeyReused, NotCancelable
from offpoll.operation import Operation


class Attempts:
    """A handler whose attempts take these seconds, and which returns the attempt."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.began: list[int] = []
        self.ended: list[tuple[int, str]] = []

    def function(self) -> Any:
        async def handle(number: int, operation: Operation) -> int:
            self.began.append(operation.attempt)
            operation.progress(operation.attempt / 10)
            try:
                await asyncio.sleep(self.seconds[operation.attempt - 1])
            except asyncio.CancelledError:
                self.ended.append((operation.attempt, "cancelled"))
                raise
            self.ended.append((operation.attempt, "ended"))
            return operation.attempt

        return handle


def attempt_of(one: Lab, operation_id: str) -> int:
    record = one.record(operation_id)
    return 0 if record is None else record.attempt


# --- 1. a frozen worker wakes up after its lease was taken over ----------------------------------


@pytest.mark.parametrize(
    ("seconds", "end", "tried"),
    [(8, "ended", ["decide"]), (1000, "cancelled", ["renew", "replace"])],
    ids=["it has a result", "its handler still runs"],
)
@pytest.mark.parametrize("uncounted", [False, True], ids=["its clock counts the freeze", "only its wall clock does"])
def test_a_frozen_worker_wakes_up(seconds: float, end: str, tried: list[str], *, uncounted: bool) -> None:
    """A worker that was taken over has its result refused, overwrites nothing, deletes nothing, and stops its handler."""
    handler = Attempts(seconds, 60)
    with lab(single(handler.function()), workers=0) as one, freezable_worker(one, uncounted=uncounted) as worker:
        operation_id = one.submit()
        one.system.advance(5)
        worker.freeze()
        one.system.start_worker()
        one.system.advance(50)
        before = one.document(operation_id)
        assert (before.attempt, before.status, attempt_of(one, operation_id)) == (2, "running", 2)
        calls = len(one.on_records.calls), len(one.on_store.calls)
        worker.resume()
        one.system.advance(0.5)
        made = one.on_records.calls[calls[0] :] + one.on_store.calls[calls[1] :]
        assert [call for call in made if call in {"decide", "renew", "replace"}] == tried  # each was refused
        assert one.document(operation_id) == before
        assert handler.ended == [(1, end)]
        assert (one.on_queue.count("delete"), one.messages) == (0, 1)
        assert one.until_done(operation_id).attempt == 2
        assert (one.outcome(operation_id).result, handler.began) == ("2", [1, 2])
        one.assert_settled(operation_id)


def test_a_worker_that_freezes_between_decide_and_publish() -> None:
    """The next delivery publishes the frozen worker's outcome; when that worker wakes up, it finds this and writes nothing."""
    handler = Attempts(5)
    with lab(single(handler.function()), workers=0) as one, freezable_worker(one) as worker:

        async def freeze() -> None:
            worker.freeze()

        one.on_records.meanwhile("decide", freeze, after=True)
        operation_id = one.submit()
        one.system.advance(6)
        assert not one.document(operation_id).done
        one.system.start_worker()
        shown = one.until_done(operation_id, within=60)
        worker.resume()
        one.system.advance(5)
        assert (one.document(operation_id), shown.status, handler.began) == (shown, "succeeded", [1])
        one.assert_settled(operation_id)


# --- 2. a submit dies between document and message -----------------------------------------------


def test_a_submit_dies_between_its_steps() -> None:
    """Another body under the key is refused and never handled; the same body is enqueued, with its age, and handled once."""
    inputs: list[int] = []

    def handle(number: int) -> int:
        inputs.append(number)
        return number

    with lab(single(handle)) as one:
        one.on_queue.fail("send")
        with pytest.raises(DependencyUnavailable):
            one.submit(1, key="k")
        one.system.advance(3600)
        with pytest.raises(KeyReused):
            one.submit(2, key="k")
        operation_id = one.submit(1, key="k")
        document = one.until_done(operation_id)
        assert (document.created_at - one.system.loop.now()).total_seconds() < -3600
        with pytest.raises(KeyReused):
            one.submit(2, key="k")
        one.system.advance(60)
        assert inputs == [1]
        one.assert_settled(operation_id)


# --- 3. a cancel races the completion ------------------------------------------------------------


@pytest.mark.parametrize("began", [False, True], ids=["queued", "running"])
def test_a_canceller_dies_before_it_publishes(began: bool) -> None:
    """If a canceller dies between record and document, the worker learns of the cancel at claim or renewal and publishes it."""
    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function()), workers=int(began)) as one:
        operation_id = one.submit()
        one.system.advance(5)
        one.on_store.fail("replace")
        with pytest.raises(DependencyUnavailable):
            one.cancel(operation_id)
        assert (one.document(operation_id).done, one.outcome(operation_id).status) == (False, "canceled")
        if not began:
            one.system.start_worker()
        assert one.until_done(operation_id, within=12).status == "canceled"
        one.system.advance(1)
        assert (handler.began, handler.ended) == (([1], ["cancelled"]) if began else ([], []))
        one.assert_settled(operation_id)


# --- 4. answers get lost -------------------------------------------------------------------------


def test_the_answers_of_an_end_are_lost() -> None:
    """If the answers to decide and publish are lost, neither takes effect twice, and a cancel in between is too late."""
    handler = ScriptedHandler(seconds=2)
    with lab(single(handler.function())) as one:
        one.on_records.fail("decide", times=2, after=True)
        one.on_store.fail("replace", times=2, after=True)
        operation_id = one.submit()
        one.system.advance(2.2)
        assert (one.messages, one.document(operation_id).done, one.outcome(operation_id).status) == (1, False, "succeeded")
        with pytest.raises(DependencyUnavailable):  # its publish repairs the document, and loses its answer too
            one.cancel(operation_id)
        shown = one.document(operation_id)
        assert (shown.status, shown.revision) == ("succeeded", 2)
        with pytest.raises(NotCancelable):
            one.cancel(operation_id)
        one.system.advance(8)  # long before the message would come again
        assert (one.document(operation_id), handler.began) == (shown, [1])
        one.assert_settled(operation_id)


# --- 5. the last attempt -------------------------------------------------------------------------


def test_give_backs_use_up_the_receives_of_the_last_attempt() -> None:
    """A copy that is given back until it is a dead letter waits there for the lease, because the record counts the attempts."""
    handler = ScriptedHandler(seconds=400)
    with lab(single(handler.function(), attempts=1), workers=2) as one:
        operation_id = one.submit(key="k")
        one.system.advance(1)
        assert one.submit(key="k") == operation_id
        one.system.advance(300)
        assert len(one.system.dead_letters.peek()) == 1
        assert not one.document(operation_id).done
        assert one.until_done(operation_id).status == "succeeded"
        one.system.advance(60)
        assert handler.began == [1]
        one.assert_settled(operation_id)


def test_a_frozen_last_attempt_is_given_up() -> None:
    """After the last attempt's lease lapses, `failed` is recorded and stays: a result that comes later is refused silently."""
    handler = Attempts(8)
    with lab(single(handler.function(), attempts=1), workers=0) as one, freezable_worker(one) as worker:
        operation_id = one.submit()
        one.system.advance(5)
        worker.freeze()
        one.system.start_worker()
        shown = one.until_done(operation_id, within=60)
        assert (shown.status, (shown.error or {}).get("code")) == ("failed", "attempts_exhausted")
        worker.resume()
        one.system.advance(20)
        assert (one.document(operation_id), handler.ended) == (shown, [(1, "ended")])
        assert one.outcome(operation_id).status == "failed"
        one.assert_settled(operation_id)
