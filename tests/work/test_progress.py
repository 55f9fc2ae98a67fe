"""What a handler reports never decides over its work: neither strange values, nor reports from threads, nor those after the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.support.lab import lab, single

from offpoll.operation import Operation

STRANGE: dict[str, tuple[Any, Any]] = {
    "nothing": (None, None),
    "NaN": (float("nan"), None),
    "infinite": (float("inf"), "working"),
    "negative": (-1, "working"),
    "per cent": (20, "working"),
    "huge": (10**400, "working"),
    "text": ("x", "working"),
    "bool": (True, "working"),
    "list": ([1], ["working"]),
    "long": (0.5, "x" * 1_000_000),
    "emoji": (0.5, "\U0001f600" * 5000),
    "number as message": (0.5, 7),
    "bytes": (0.5, b"\xff"),
    "controls": (0.5, "a\x00\x1b[31m\r\n\x85"),
    "surrogate": (0.5, "\ud800x"),
}


def plain(name: str, operation: Operation) -> int:
    operation.progress(*STRANGE[name])
    return operation.attempt


async def coroutine(name: str, operation: Operation) -> int:
    operation.progress(*STRANGE[name])
    await asyncio.sleep(30)  # long enough for a publish
    return operation.attempt


@pytest.mark.parametrize("handler", [plain, coroutine])
def test_strange_values(handler: Any) -> None:
    """Each operation succeeds with its first attempt, whatever its handler reports."""
    with lab(single(handler, attempts=2), lateness_weight=4.0) as one:
        ids = {name: one.submit(name) for name in STRANGE}
        ended = {name: one.until_done(operation_id) for name, operation_id in ids.items()}
        assert {name: (each.status, each.attempt) for name, each in ended.items()} == dict.fromkeys(STRANGE, ("succeeded", 1))
        for operation_id in ids.values():
            one.assert_settled(operation_id)


def test_a_report_from_a_thread_and_after_the_end() -> None:
    """A handler may report from its own threads; a report after the end changes nothing."""
    kept: list[Operation] = []

    def handle(number: int, operation: Operation) -> int:
        thread = threading.Thread(target=operation.progress, args=(0.5, "from a thread"))
        thread.start()
        thread.join()
        kept.append(operation)
        return number

    with lab(single(handle)) as one:
        operation_id = one.submit(1)
        document = one.until_done(operation_id)
        kept[0].progress(0.1, "late")
        one.system.advance(60)
        assert one.document(operation_id) == document
        assert document.status == "succeeded"
