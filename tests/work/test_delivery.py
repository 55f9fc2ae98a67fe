"""One delivery, from claim to deletion: every way in which a handler can end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.lab import lab, single
from tests.support.scripted_handler import ScriptedHandler

from offpoll.errors import Fail
from offpoll.operation import Operation


def test_success() -> None:
    """A result is recorded and published, the service returns it, and the message is deleted."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        operation_id = one.submit(7)
        document = one.until_done(operation_id)
        assert (document.status, document.attempt, document.revision) == ("succeeded", 1, 2)
        assert one.outcome(operation_id).result == "7"
        assert one.system.run(one.system.service.get("order", operation_id)).result == "7"
        one.assert_settled(operation_id)


def test_fail_is_final() -> None:
    """`Fail` ends the operation at once. A failed record keeps the input, a succeeded one does not."""
    handler = ScriptedHandler(Fail("out_of_stock", "There is none left.", sku="A1"))
    with lab(single(handler.function())) as one:
        operation_id, other = one.submit(1), one.submit(2)
        document = one.until_done(operation_id)
        one.until_done(other)
        assert document.error == {"code": "out_of_stock", "message": "There is none left.", "sku": "A1"}
        record, kept = one.record(operation_id), one.record(other)
        assert record is not None
        assert kept is not None
        assert (record.input, kept.input) == (b"1", None)
        assert handler.began == [1, 1]


@pytest.mark.parametrize(
    "members",
    [{"at": object()}, {"n": float("nan")}, {"big": "x" * 1_000_000}, {"loop": {1: {2, 3}}}, {"sub": {"é" * 900: 1}}],
    ids=lambda members: next(iter(members)),
)
def test_fail_with_odd_members(members: dict[str, Any]) -> None:
    """Whatever a handler puts into its `Fail`, the operation ends with that code, in JSON that fits record and document."""
    with lab(single(ScriptedHandler(Fail("odd", "It is odd.", **members)).function())) as one:
        operation_id = one.submit()
        error = one.until_done(operation_id).error
        assert error is not None
        assert (error["code"], error["message"]) == ("odd", "It is odd.")
        one.assert_settled(operation_id)


def test_an_exception_gets_another_attempt_after_a_backoff() -> None:
    """An exception releases the claim; the next attempt begins after its backoff, which doubles."""
    handler = ScriptedHandler(RuntimeError("secret text"), RuntimeError(), seconds=0.0)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(1.9)  # the first backoff lasts 2 to 4 s
        assert handler.began == [1]
        record = one.record(operation_id)
        assert record is not None
        assert (record.token, record.attempt) == (None, 1)
        one.system.advance(4)
        assert handler.began == [1, 2]
        document = one.until_done(operation_id, within=12)
        assert (document.status, document.attempt, handler.began) == ("succeeded", 3, [1, 2, 3])
        one.assert_settled(operation_id)


def test_attempts_exhausted() -> None:
    """The last attempt's exception fails the operation, with the error's name and without its text."""
    handler = ScriptedHandler(*[ValueError("secret text")] * 3)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        error = one.until_done(operation_id).error
        assert error is not None
        assert (error["code"], error["cause"], error["attempts"]) == ("attempts_exhausted", "ValueError", 3)
        assert "secret text" not in str(error)
        assert handler.began == [1, 2, 3]
        one.assert_settled(operation_id)


def test_result_too_large() -> None:
    """A result over the limit fails the operation without a second attempt."""
    handler = ScriptedHandler("x" * 100)
    with lab(single(handler.function()), result_limit=100) as one:
        error = one.until_done(one.submit()).error
        assert error is not None
        assert error["code"] == "result_too_large"
        assert handler.began == [1]


def test_a_result_is_measured_in_bytes() -> None:
    """The limit counts the bytes that are stored, in UTF-8, so a text with fewer characters can exceed it too."""
    handler = ScriptedHandler("é" * 60, "é" * 45)
    with lab(single(handler.function()), result_limit=100) as one:
        error = one.until_done(one.submit()).error
        assert error is not None
        assert (error["code"], error["message"]) == ("result_too_large", "The result has 122 bytes, the limit is 100.")
        assert one.until_done(one.submit()).status == "succeeded"
        assert handler.began == [1, 1]


def test_result_of_another_type() -> None:
    """A result that does not fit the handler's annotation fails the operation without a second attempt."""
    runs = []

    async def handle(number: int) -> int:
        runs.append(number)
        return "many"  # type: ignore[return-value]

    with lab(single(handle)) as one:
        error = one.until_done(one.submit()).error
        assert error is not None
        assert error["code"] == "invalid_result"
        assert runs == [1]


def test_input_of_another_type() -> None:
    """An invalid input, from a producer that did not check it, fails the operation, and the handler never runs."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        for held in one.system.queue._held.values():
            held.envelope = type(held.envelope)(body='"many"', attributes=held.envelope.attributes)
        one.system.start_worker()
        error = one.until_done(operation_id).error
        assert error is not None
        assert error["code"] == "invalid_input"
        assert handler.began == []


def test_timeout() -> None:
    """An attempt over its timeout is stopped, and the operation fails for good."""
    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function(), timeout=20)) as one:
        operation_id = one.submit()
        error = one.until_done(operation_id, within=22).error
        assert error is not None
        assert error["code"] == "timed_out"
        assert (handler.began, handler.ended) == ([1], ["cancelled"])
        one.assert_settled(operation_id)


def test_a_plain_function() -> None:
    """A plain function can be a handler too."""

    def handle(number: int, operation: Operation) -> int:
        operation.progress(0.5)
        return number + 1

    with lab(single(handle)) as one:
        operation_id = one.submit(1)
        one.until_done(operation_id)
        assert one.outcome(operation_id).result == "2"
