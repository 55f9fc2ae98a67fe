"""What a handler knows of its operation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from offpoll.context import Operation
from offpoll.document import Progress
from offpoll.errors import HandlerStopped


def operation(**functions: Any) -> Operation:
    return Operation(id="a" * 32, kind="order", owner="public", created_at=datetime(2030, 1, 1, tzinfo=UTC), **functions)


@pytest.mark.parametrize(("given", "kept"), [(0.5, 0.5), (-1, 0.0), (7, 1.0), (float("inf"), 1.0), (True, 1.0), (None, None)])
def test_fractions_are_cut(given: Any, kept: float | None) -> None:
    """What is outside of 0 to 1 is cut."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(given, "x")
    assert reported == [Progress(fraction=kept, message="x")]


def test_nan_is_refused() -> None:
    """What is not a number is the handler's mistake, and said where it is made."""
    with pytest.raises(ValueError, match="not a number"):
        operation().progress(float("nan"))


def test_a_message_becomes_text() -> None:
    """An object given as message is published as its text: nothing that JSON does not know gets into a document."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(message=datetime(2030, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    assert reported[0].message == "2030-01-01 00:00:00+00:00"


def test_a_stopped_handler_reports_nothing() -> None:
    """Where the handler has to stop, `progress` raises and reports nothing."""
    reported: list[Progress] = []

    def stop() -> None:
        raise HandlerStopped

    with pytest.raises(HandlerStopped):
        operation(_report=reported.append, _checkpoint=stop).progress(0.5)
    assert reported == []
