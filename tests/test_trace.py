"""What of a caller's trace is carried along."""

from __future__ import annotations

import pytest

from offpoll.trace import carried

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace() -> None:
    """A trace travels as it came; its state only beside it."""
    assert carried(PARENT, "v=1,rojo=00f067") == (PARENT, "v=1,rojo=00f067")
    assert carried(PARENT, "") == (PARENT, "")
    assert carried("", "v=1") == ("", "")


@pytest.mark.parametrize("parent", ["00-aa-bb-01", PARENT.upper(), PARENT + "\n", PARENT + "-x", "z" * 300_000])
def test_what_is_no_trace(parent: str) -> None:
    """What is no `traceparent` is dropped, and its state with it."""
    assert carried(parent, "v=1") == ("", "")


@pytest.mark.parametrize("state", ["v" * 513, "v=\n", "v=\x7f", "v=é"])
def test_what_is_no_state(state: str) -> None:
    """A `tracestate` that is too long or not printable ASCII is dropped, the trace stays."""
    assert carried(PARENT, state) == (PARENT, "")
