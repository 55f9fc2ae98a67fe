"""Operations: statuses and their order, valid names, outcomes and records, and the progress that a handler reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from offpoll.errors import HandlerStopped
from offpoll.operation import (
    TERMINAL,
    TRANSITIONS,
    Operation,
    Outcome,
    Progress,
    Record,
    Status,
    Submission,
    is_kind,
    is_operation_id,
    is_owner,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest=None, base_url="", created_at=NOW)


def test_terminal_statuses_have_no_successor() -> None:
    """Nothing follows succeeded, failed or canceled; every other status leads to each of them."""
    assert {"succeeded", "failed", "canceled"} == TERMINAL
    assert all(after >= TERMINAL for status, after in TRANSITIONS.items() if status not in TERMINAL)


def test_every_status_is_in_the_table() -> None:
    """The table has all five statuses, and nothing returns to queued."""
    assert set(TRANSITIONS) == set(Status)
    assert not any(Status.QUEUED in after for after in TRANSITIONS.values())


@pytest.mark.parametrize("text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "\u0660" * 32])
def test_texts_that_are_no_operation_id(text: str) -> None:
    """Only 32 lowercase hex digits are an operation's id."""
    assert not is_operation_id(text)


@pytest.mark.parametrize(("text", "valid"), [("order", True), ("a", True), ("a-b_2", True), ("a" * 64, True), ("a" * 65, False),
                                             ("", False), ("Order", False), ("2a", False), ("a/b", False), ("a\n", False)])  # fmt: skip
def test_kinds(text: str, valid: bool) -> None:
    """A kind is a lowercase letter followed by letters, digits, `_` and `-`."""
    assert is_kind(text) is valid


@pytest.mark.parametrize(("text", "valid"), [("x", True), ("Zoë@example.com / 7", True), ("o" * 256, True), ("o" * 257, False), ("", False),
                                             ("a\x00", False), ("a\n", False), ("\ud800", False), ("\uffff", False)])  # fmt: skip
def test_owners(text: str, valid: bool) -> None:
    """An owner is 1 to 256 characters that fit into a message attribute."""
    assert is_owner(text) is valid


def test_an_outcome_is_terminal() -> None:
    """An outcome needs a terminal status."""
    with pytest.raises(ValueError, match="not terminal"):
        Outcome(status=Status.RUNNING)


def test_a_records_status() -> None:
    """A record is queued before its first claim, running after it, and then has its outcome's status."""
    assert Record(submission=SUBMISSION, expires_at=NOW).status is Status.QUEUED
    assert Record(submission=SUBMISSION, expires_at=NOW, attempt=1).status is Status.RUNNING
    done = Record(submission=SUBMISSION, expires_at=NOW, attempt=1, outcome=Outcome(status=Status.CANCELED))
    assert (done.status, done.done) == (Status.CANCELED, True)


def operation(**functions: Any) -> Operation:
    return Operation(id="a" * 32, kind="order", owner="public", created_at=datetime(2030, 1, 1, tzinfo=UTC), **functions)


class Unwritable:
    def __str__(self) -> str:
        raise KeyError("secret")

    __float__ = __str__  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0.5, 0.5), (0, 0.0), (1, 1.0), (-0.0001, 0.0), (1.0000001, 1.0), (None, None), (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25)],
)
def test_fractions(given: Any, kept: float | None, caplog: pytest.LogCaptureFixture) -> None:
    """Any number from 0 to 1 is a fraction, and so is one that rounding has moved just outside."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(given, "x")
    assert reported == [Progress(fraction=kept, message="x")]
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (20, "for 20 per cent, report 0.2"),
        (1.5, "for 1.5 per cent, report 0.015"),
        (100.0, "for 100 per cent, report 1"),
        (101, "not from 0 to 1"),
        (-1, "not from 0 to 1"),
        (float("inf"), "not from 0 to 1"),
        (float("-inf"), "not from 0 to 1"),
        (float("nan"), "not a number"),
        (10**400, "OverflowError"),
        (1j, "TypeError"),
        ([1], "TypeError"),
        (Unwritable(), "KeyError"),
        (True, "is a bool"),
        ("x", "is a str"),
        ("0.5", "is a str"),
        (b"0.5", "is a bytes"),
    ],
)
def test_no_fraction_fails_the_work(given: Any, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is no fraction is left out and its message shown; the log says once what is wrong, without an object's own text."""
    reported: list[Progress] = []
    one = operation(_report=reported.append)
    for _ in range(2):
        one.progress(given, "packing")
        one.progress(given)
    assert reported == [Progress(message="packing")] * 2
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert why in caplog.text
    assert one.id in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "given", ["x" * 10_000_000, "\U0001f600" * 5000, 7, b"\xff", "a\x00\x1b[31m\r\n\x85", "\ud800x", [1], "", Unwritable()]
)
def test_no_message_fails_the_work(given: Any) -> None:
    """Whatever comes as a message, the fraction is kept, and what is kept of the message has a document's form and a small size."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(0.5, given)
    kept = reported[0]
    assert kept.fraction == 0.5
    assert len(kept.message or "") < 1000
    assert len(json.dumps(kept.fitted().message, ensure_ascii=False).encode()) <= 202
    assert (kept.message is None) is isinstance(given, Unwritable)


@pytest.mark.parametrize("given", [float("nan"), "x", 20, [1], True, Unwritable()])
def test_what_a_worker_of_ones_own_publishes(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A Progress that somebody else makes is shown by the same rules, with a warning."""
    shown = Progress(fraction=given, message="packing").fitted()
    assert shown == Progress(message="packing")
    assert "progress is left out" in caplog.text


def test_a_message_becomes_text() -> None:
    """Any object passed as message is published as text, so that everything in a document has a JSON form."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(message=datetime(2030, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    assert reported[0].message == "2030-01-01 00:00:00+00:00"


def test_a_stopped_handler_reports_nothing() -> None:
    """Once the handler has to stop, `progress` raises and reports nothing."""
    reported: list[Progress] = []

    def stop() -> None:
        raise HandlerStopped

    with pytest.raises(HandlerStopped):
        operation(_report=reported.append, _checkpoint=stop).progress(0.5)
    assert reported == []
