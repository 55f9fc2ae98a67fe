"""What an operation waits for, and what its operator can do about it."""

from __future__ import annotations

import pytest
from tests.support.inspections import claim, handle, look, said, text
from tests.support.lab import lab, single

from offpoll.cli.inspect import _fields, _lines


def test_not_claimed_yet() -> None:
    """A queued operation without a record waits for a delivery; if its message is missing, repeating the POST sends one."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        found = look(one, operation_id)
        assert (said(found), found.kind, found.faults) == ((True, "delivery"), "order", ())
        assert found.record is None
        assert found.queue is not None
        assert (found.queue.visible, found.no_message) == (1, False)
        assert "begins attempt 1" in text(found)
        assert "the same POST with the same Idempotency-Key" in found.advice


def test_a_submit_that_died_before_its_message() -> None:
    """If no queue holds any message, the inspection sees that, and following its advice finishes the operation."""
    with lab(single(handle)) as one:
        one.on_queue.fail("send")
        with pytest.raises(Exception, match="injected"):
            one.submit(3, key="k")
        (key,) = one.system.store._objects
        found = look(one, key.rpartition("/")[2])
        assert (said(found), found.no_message) == ((True, "delivery"), True)
        assert "the same POST with the same Idempotency-Key" in found.advice
        assert one.until_done(one.submit(3, key="k")).status == "succeeded"


def test_a_worker_holds_it() -> None:
    """An operation that a worker holds waits until its lease ends; its document may still say `queued`."""
    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.system.advance(1)
        found, record = look(one, operation_id), one.record(operation_id)
        assert record is not None
        assert said(found) == (True, "lease")
        assert found.waits is not None
        assert found.waits.until == record.lease_until
        assert "received by that worker" in found.waits.message
        assert found.advice == ""


def test_a_backoff() -> None:
    """After an exception the operation waits for its backoff to end, and no worker holds it meanwhile."""
    with lab(single(handle), backoff=100) as one:
        operation_id = one.submit(-1)
        one.system.advance(6)
        found, record = look(one, operation_id), one.record(operation_id)
        assert record is not None
        assert said(found) == (True, "backoff")
        assert found.waits is not None
        assert found.waits.until == record.lease_until
        assert "given back" in found.waits.message


def test_a_lapsed_lease() -> None:
    """After a lapsed lease the next delivery begins the next attempt, and the message becomes visible by itself."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.advance(31)
        found = look(one, operation_id)
        assert said(found) == (True, "delivery")
        assert found.waits is not None
        assert "let its lease lapse" in found.waits.message
        assert "begins attempt 2, unless the attempts of its kind are spent" in found.waits.text
        assert "begins attempt 2" in text(look(one, operation_id, known=True))
        assert "unless" not in text(look(one, operation_id, known=True))


def test_the_worker_that_holds_it() -> None:
    """Inspect names the worker that holds an operation, and the one that let its lease lapse, but never shows the token."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id, token="f" * 32 + "@web-7:4711")
        found = look(one, operation_id)
        assert "the worker web-7:4711 that holds attempt 1" in text(found)
        lines = "\n".join(_lines(found, show_result=False))
        assert "running, attempt 1, held by web-7:4711, lease until 2030-01-01T00:00:30" in lines
        record = _fields(found, show_result=False)["record"]
        assert (record["held"], record["holder"]) == (True, "web-7:4711")
        assert "f" * 32 not in f"{lines}{record}"
        one.system.advance(31)
        found = look(one, operation_id)
        assert found.waits is not None
        assert "with a worker web-7:4711 that let its lease lapse" in found.waits.message


def test_spent_attempts() -> None:
    """If the inspector knows the kind, it also knows that no attempt is left."""
    with lab(single(handle, attempts=1), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.advance(31)
        assert "decides that it failed (attempts_exhausted)" in text(look(one, operation_id, known=True))


def test_an_operation_that_is_too_old() -> None:
    """An operation that waited longer than the message window fails as expired at its next delivery."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.system.advance(11 * 86_400)
        assert "decides that it failed (expired)" in text(look(one, operation_id))


@pytest.mark.parametrize(
    ("shown", "advised"), [("queued", "the same POST with the same Idempotency-Key"), ("running", "cancel it at the API")]
)
def test_a_lost_message(shown: str, advised: str) -> None:
    """A repeated submit sends the message again only while the document is queued; after that only a cancel ends the operation."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        record = claim(one, operation_id)
        if shown == "running":
            one.system.run(one.system.service.dependencies.board.show(record))
        one.system.queue._held.clear()
        one.system.advance(31)
        found = look(one, operation_id)
        assert (said(found), found.no_message) == ((True, "delivery"), True)
        assert advised in found.advice


@pytest.mark.parametrize("where", ["queue", "dead_letters"])
def test_a_message_may_be_anywhere(where: str) -> None:
    """Any message in either queue, visible, hidden or delayed, may be the operation's: the inspection does not call it lost."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        record = claim(one, operation_id)
        one.system.run(one.system.service.dependencies.board.show(record))
        (envelope,) = one.system.queue.peek()
        one.system.queue._held.clear()
        queue = getattr(one.system, where)
        one.system.run(queue.send(envelope, delay=60))
        assert (look(one, operation_id).no_message, look(one, operation_id).advice) == (False, "")
        one.system.advance(61)
        assert one.system.run(queue.receive(limit=1, wait=0))
        assert (look(one, operation_id).no_message, look(one, operation_id).advice) == (False, "")


@pytest.mark.parametrize(("number", "status", "advised"), [(1, "succeeded", ""), (-1, "failed", "offpoll resubmit")])
def test_an_end(number: int, status: str, advised: str) -> None:
    """An ended operation waits for nothing; the advice for a failed one is to resubmit it."""
    with lab(single(handle)) as one:
        operation_id = one.submit(number)
        one.until_done(operation_id)
        found = look(one, operation_id)
        assert said(found) == (True, "nothing")
        assert found.record is not None
        assert found.record.status == status
        assert advised in found.advice
        assert bool(found.advice) == bool(advised)


def test_an_operation_whose_record_has_expired() -> None:
    """The document outlives the record by two days: that is no fault, and the operation waits for nothing."""
    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
        one.system._workers[0][0].drain()
        one.system.advance(15 * 86_400)
        assert said(look(one, operation_id)) == (True, "nothing")
