"""What a worker's log says of an operation: when an attempt begins and ends, whether it is tried again, and who had it before."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.lab import Lab, lab, single

from offpoll.errors import Fail
from offpoll.log_lines import about, handler
from offpoll.operation import Record
from offpoll.queue import Envelope
from offpoll.work.job import Ambient
from offpoll.work.operation_log import MOST_LINES, SILENCE, Seldom


class Log:
    """The lines of `offpoll.work`, as a terminal and as a collector get them."""

    def __init__(self) -> None:
        self._text, self._json = io.StringIO(), io.StringIO()
        self.handlers = [handler(self._text, form="text", text="%(levelname)s %(message)s"), handler(self._json, form="json")]

    def text(self, operation_id: str = "") -> list[str]:
        """Return the lines that have this id, with `ID` for it."""
        lines = [line for line in self._text.getvalue().splitlines() if operation_id in line]
        return [line.replace(operation_id, "ID") if operation_id else line for line in lines]

    def fields(self, phrase: str) -> dict[str, Any]:
        """Return the one JSON line with this phrase."""
        (line,) = [each for each in map(json.loads, self._json.getvalue().splitlines()) if phrase in each["message"]]
        return dict(line)


@pytest.fixture
def log() -> Iterator[Log]:
    made, logger = Log(), logging.getLogger("offpoll.work")
    level = logger.level
    logger.setLevel(logging.INFO)
    for each in made.handlers:
        logger.addHandler(each)
    yield made
    for each in made.handlers:
        logger.removeHandler(each)
    logger.setLevel(level)


async def three_seconds(number: int) -> int:
    await asyncio.sleep(3)
    return number


def test_an_operation_that_succeeds(log: Log) -> None:
    """One line when it begins, one when it ends; nothing in them is said twice."""
    with lab(single(three_seconds)) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
    assert log.text(operation_id) == [
        "INFO operation ID (order): attempt 1 of 3 begins, waited 0.000 s",
        "INFO operation ID (order): succeeded after 3.000 s, attempt 1",
    ]
    begins, ended = log.fields("begins"), log.fields("succeeded")
    assert begins | {"operation_id": operation_id, "kind": "order", "attempt": 1, "attempts": 3, "waited": 0.0} == begins
    assert ended | {"operation_id": operation_id, "kind": "order", "status": "succeeded", "attempt": 1, "duration": 3.0} == ended


def fail(number: int) -> None:
    raise Fail("out_of_stock", "none of my secrets")


def burst(number: int) -> None:
    raise KeyError("none of my secrets")


async def too_long(number: int) -> None:
    await asyncio.sleep(100)


@pytest.mark.parametrize(
    ("handler", "limits", "lines"),
    [
        (fail, {}, ["WARNING operation ID (order): failed with out_of_stock after 0.000 s, attempt 1"]),
        (too_long, {"timeout": 10}, ["WARNING operation ID (order): failed with timed_out after 10.000 s, attempt 1"]),
        (burst, {"attempts": 1}, ["WARNING operation ID (order): failed with attempts_exhausted (KeyError) after 0.000 s, attempt 1"]),
        (
            burst,
            {"attempts": 2},
            [
                "WARNING operation ID (order): attempt 1 of 2 ended with KeyError after 0.000 s; the next one begins in N s …",
                "INFO operation ID (order): attempt 2 of 2 begins, accepted N s ago",
                "WARNING operation ID (order): failed with attempts_exhausted (KeyError) after 0.000 s, attempt 2",
            ],
        ),
    ],
)
def test_operations_that_fail(log: Log, handler: Any, limits: dict[str, Any], lines: list[str]) -> None:
    """A failure is a warning with its code, and says whether another attempt follows."""
    with lab(single(handler, **limits)) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
    said = [line for line in log.text(operation_id) if " raised" not in line][1:]
    cut = [line.replace(" at the earliest", " …") for line in said]
    assert [re.sub(r"(begins in|accepted) [\d.]+ s", r"\1 N s", line) for line in cut] == lines
    assert not [line for line in said if "secret" in line]


def test_an_operation_that_waits(log: Log) -> None:
    """The line says how long an operation waited for a worker."""
    with lab(single(three_seconds), workers=0) as one:
        operation_id = one.submit()
        one.system.advance(61)
        one.system.start_worker()
        one.until_done(operation_id)
    assert "waited 61.000 s" in log.text(operation_id)[0]


def taken_over(one: Lab, *, token: str) -> str:
    """Let a worker die in its first attempt, and another one go on. Return the operation's id."""
    operation_id = one.submit()
    record = one.system.run(claim(one, operation_id, token))
    assert record is not None
    one.system.start_worker()
    one.until_done(operation_id, within=200)
    return operation_id


async def claim(one: Lab, operation_id: str, token: str) -> Record | None:
    (delivery,) = await one.system.queue.receive(limit=1, wait=0)
    board, records = one.system.service.dependencies.board, one.system.records
    stored = await board.read(board.key(operation_id, owner="public"))
    assert stored is not None
    submission = board.submission_of(stored.document, owner="public")
    await one.system.queue.hide(delivery, seconds=0)
    claimed = await records.claim(submission, seen=0, token=token, lease=30, expires_at=one.system.loop.now().replace(year=2031))
    return claimed.record


@pytest.mark.parametrize(("token", "name"), [("a" * 32 + "@web-7:4711", "web-7:4711"), ("a" * 32, "another worker")])
def test_an_operation_that_is_taken_over(log: Log, token: str, name: str) -> None:
    """While a worker that died holds the lease, and when another takes over, the log names it."""
    with lab(single(three_seconds), workers=0) as one:
        operation_id = taken_over(one, token=token)
    said = log.text(operation_id)
    assert re.match(rf"INFO operation ID \(order\): {name}( holds it|.*); its message comes back in 31 s", said[0])
    assert re.search(rf"attempt 2 of 3 begins, accepted 3\d.\d+ s ago; taken over: the lease of {name} lapsed$", said[1])
    assert log.fields("begins")["taken_over_from"] == ("" if "@" not in token else name)


def test_an_operation_whose_worker_stops(log: Log) -> None:
    """A handler that is stopped with its worker leaves a warning that says who goes on."""
    with lab(single(too_long, attempts=2)) as one:
        operation_id = one.submit()
        one.system.advance(3)
        one.system._workers[0][0].stop()
        one.system.advance(6)
        one.system.start_worker()
        one.system.advance(2)
        one.system._workers[1][0].stop()
        one.system.advance(6)
    stopped = [line.partition(": ")[2] for line in log.text(operation_id) if "stopped" in line]
    assert stopped == [
        "attempt 1 of 2 stopped with its worker after 3.000 s; another worker may begin the next one",
        "attempt 2 of 2 stopped with its worker after 2.000 s; no attempt is left, and the next delivery ends it",
    ]


def test_unknown_kinds_are_counted(log: Log) -> None:
    """Messages of a kind without a handler make a line a minute with their number, however often they come."""
    attributes = {"kind": "parcel", "operation_id": "b" * 32, "owner": "public", "status_key": "k", "version": "1"}
    message = Envelope(body="1", attributes={**attributes, "created_at": "2030-01-01T00:00:00.000Z"})
    with lab(single(three_seconds)) as one:
        for _ in range(20):
            one.system.run(one.system.queue.send(message))
        one.system.advance(65)
        said = [line for line in log.text() if "no handler for kind 'parcel'" in line]
    assert len(said) == 2
    assert "(1 in the last minute or more)" in said[0]
    assert "(40 in the last minute or more)" in said[1]


def test_seldom() -> None:
    """A line comes at once, then once a minute with the number of those since; what is counted is bounded."""
    now = 0.0
    seldom = Seldom(lambda: now)
    assert [seldom.count("a"), seldom.count("a"), seldom.count("b"), seldom.count("a")] == [1, 0, 1, 0]
    now = SILENCE
    assert [seldom.count("a"), seldom.count("a")] == [3, 0]
    for number in range(3 * MOST_LINES):
        seldom.count(str(number))
    assert len(seldom._said) <= MOST_LINES


def test_a_token_names_its_process_and_fences() -> None:
    """Tokens differ in 128 random bits; behind them stands who holds the claim, for people."""
    ambient = Ambient()
    one, other = ambient.token(), ambient.token()
    assert one.partition("@")[2] == other.partition("@")[2]
    assert re.fullmatch(r".+:\d+", one.partition("@")[2])
    assert one.partition("@")[0] != other.partition("@")[0]
    assert all(re.fullmatch("[0-9a-f]{32}", each.partition("@")[0]) for each in (one, other))


def test_two_lines_are_cheap() -> None:
    """The two lines of an operation, switched off, cost next to nothing: they are not put together."""
    logger = logging.getLogger("offpoll.work.delivery")
    assert not logger.isEnabledFor(logging.INFO)
    from offpoll.work import operation_log

    class Untouched:
        record = property(lambda self: self)

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    operation_log.begins(logger, Untouched(), None, now=None)  # type: ignore[arg-type]


def test_lines_of_a_handler_are_about_its_operation() -> None:
    """A line of another library inside a handler ends with operation, kind and attempt."""
    stream = io.StringIO()
    made = handler(stream, form="text")
    with about(operation_id="ab" * 16, kind="order", attempt=2):
        record = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "packing", "created": 0.0})
        made.handle(record)
    assert stream.getvalue() == f"1970-01-01T00:00:00Z INFO shop: packing [operation_id={'ab' * 16} kind=order attempt=2]\n"
