"""Errors of commands: one paragraph on stderr, no traceback, and exit code 2 for mistakes of the operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def refused(ended: Any, *texts: str) -> None:
    """Assert that a command was refused, in one paragraph that contains these texts."""
    assert ended.code == 2, ended.err
    assert ended.err.startswith("offpoll: configuration error: ")
    assert ended.err.count("\n") == 1 or "cannot be imported" in ended.err, ended.err
    for text in texts:
        assert text in ended.err


@pytest.mark.parametrize("command", ["serve", "work", pytest.param("dev", marks=pytest.mark.ministack)])
@pytest.mark.parametrize(
    ("reference", "texts"),
    [
        ("nothing:app", ("no module 'nothing'",)),
        ("shop", ("write module:attribute", "orders:app")),
        ("shop:nope", ("shop:nope is nothing", "nope = Offpoll()")),
        ("shop:Order", ("shop:Order is a",)),
        ("broken:app", ("broken cannot be imported", "ZeroDivisionError", 'broken.py", line 1', "1 / 0")),
        ("empty:app", ("no operations", "@app.operation")),
    ],
)
def test_a_reference_that_is_no_app(offpoll: Run, folder: Path, command: str, reference: str, texts: tuple[str, ...]) -> None:
    """Each command says what is wrong with the reference and what it should be."""
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "empty.py").write_text("from offpoll import Offpoll\napp = Offpoll()\n")
    queues = {
        f"OFFPOLL_{each}QUEUE_URL": f"https://sqs.eu-west-1.amazonaws.com/123456789012/q{each}" for each in ("", "DEAD_LETTER_", "PARKING_")
    }
    environ = {"OFFPOLL_BUCKET": "orders", "OFFPOLL_RECORDS_TABLE": "operations", **queues}
    given = {} if command == "dev" else {**environ, "OFFPOLL_SECRET": "s" * 32, "AWS_REGION": "eu-west-1"}
    refused(offpoll(command, reference, **given), *texts)


def test_missing_settings_are_listed(offpoll: Run) -> None:
    """All missing settings are listed at once; a worker needs no secret."""
    refused(offpoll("serve", "shop:app"), "OFFPOLL_SECRET", "OFFPOLL_BUCKET", "OFFPOLL_RECORDS_TABLE", "offpoll config")
    ended = offpoll("work", "shop:app")
    refused(ended, "OFFPOLL_QUEUE_URL")
    assert "OFFPOLL_SECRET" not in ended.err


@pytest.mark.parametrize("command", ["serve", "work", "dev"])
def test_an_invalid_setting(offpoll: Run, command: str) -> None:
    """The error names the variable and says what it needs."""
    refused(offpoll(command, "shop:app", OFFPOLL_LEASE="soon"), "OFFPOLL_LEASE='soon'", "a number is needed")


def test_usage_is_shown_with_the_mistake(offpoll: Run) -> None:
    """An option out of range, or two that exclude each other, shows the usage."""
    for arguments, text in (
        (("dev", "shop:app", "--port", "99999"), "--port"),
        (("work", "shop:app", "--concurrency", "2", "--processes", "2"), "leave out --concurrency"),
        (("serve", "shop:app", "--log-level", "loud"), "one of debug, info, warning, error"),
        (("polish",), "No such command"),
    ):
        ended = offpoll(*arguments)
        assert ended.code == 2
        assert text in ended.err
