"""Log records as JSON: one object a line, with the operation that it is about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest

from offpoll.log_lines import JsonLines, about


class Lines:
    """The test's logger, and the lines it wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonLines())
        self.log = logging.Logger("mine", logging.DEBUG)
        self.log.addHandler(self.handler)

    def take(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_line(lines: Lines) -> None:
    """A line has the time in UTC, the level, the logger, the whole message, and every `extra` field."""
    record = logging.makeLogRecord({"name": "mine", "levelname": "WARNING", "msg": "a %s\n%d", "args": ("b", 1), "created": 1893456000.25})
    record.sku = {"code": object}
    assert json.loads(JsonLines().format(record)) == {
        "timestamp": "2030-01-01T00:00:00.250Z",
        "level": "WARNING",
        "logger": "mine",
        "message": "a b\n1",
        "sku": {"code": "<class 'object'>"},
    }
    lines.log.info("first\nsecond")
    assert len(lines.take()) == 1


def test_an_exception(lines: Lines) -> None:
    """An exception's traceback is a field of the same line."""
    try:
        raise LookupError("x")
    except LookupError:
        lines.log.exception("failed", stack_info=True)
    (line,) = lines.take()
    assert line["exception"].endswith("LookupError: x")
    assert "test_an_exception" in line["stack"]


def test_about(lines: Lines) -> None:
    """The fields appear in every line written inside the block, in its tasks and threads too, and in no other line."""

    async def work(number: int) -> None:
        with about(operation_id=str(number)):
            await asyncio.sleep(0)
            lines.log.info("task")
            await asyncio.to_thread(lines.log.info, "thread")

    async def main() -> None:
        with about(requestId="r"):
            await asyncio.gather(work(1), work(2))
            lines.log.info("outside")

    asyncio.run(main())
    lines.log.info("after")
    seen = sorted((line["message"], line.get("operation_id", ""), line.get("requestId", "")) for line in lines.take())
    tasks = [(message, number, "r") for message in ("task", "thread") for number in ("1", "2")]
    assert seen == sorted([("after", "", ""), ("outside", "", "r"), *tasks])
