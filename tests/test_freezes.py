"""Time that counts freezes, whatever the two clocks do."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll import freezes
from offpoll.freezes import JITTER, LEAST, NAP, FreezeCounter

START = datetime(2030, 1, 1, tzinfo=UTC)


class Machine:
    """A machine that runs, freezes, and has its wall clock set."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = 0.0
        self.counter = FreezeCounter(monotonic=lambda: self.monotonic, clock=lambda: START + timedelta(seconds=self.wall))

    def run(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def freeze(self, seconds: float) -> None:
        self.wall += seconds


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(LEAST + 0.01, 1e6))))
def test_freezes_count(lives: list[tuple[float, float]]) -> None:
    """The time is what passed while the machine ran, and all of its freezes of a second or more."""
    machine = Machine()
    for ran, frozen in lives:
        machine.run(ran)
        machine.freeze(frozen)
        machine.counter.time()
    passed = sum(ran + frozen for ran, frozen in lives)
    assert machine.counter.time() == pytest.approx(1000.0 + passed, abs=1e-3)
    assert machine.counter.missed() == pytest.approx(sum(frozen for _, frozen in lives), abs=1e-3)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1e6, 1e6))))
def test_it_never_goes_back_or_stands_still(steps: list[tuple[float, float]]) -> None:
    """However the wall clock is set, the time grows by at least what the monotonic clock counts."""
    machine = Machine()
    for ran, step in steps:
        before = machine.counter.time()
        machine.run(ran)
        machine.wall += step
        assert machine.counter.time() >= before + ran - 1e-9


@given(st.floats(-1e6, -0.001), st.floats(LEAST + 2 * JITTER, 1e6))
def test_a_freeze_after_the_clock_was_set_back(step: float, frozen: float) -> None:
    """A wall clock that was set back shows later freezes all the same, but for a step too small to be seen."""
    machine = Machine()
    machine.wall += step
    machine.counter.time()
    machine.freeze(frozen)
    assert machine.counter.time() == pytest.approx(1000.0 + frozen, abs=JITTER + 1e-3)


def test_many_short_freezes() -> None:
    """Freezes that are too short to be seen alone are counted as soon as they add up to a second."""
    machine = Machine()
    for _ in range(1000):
        machine.run(0.01)
        machine.freeze(0.3)
        machine.counter.time()
    assert machine.counter.missed() == pytest.approx(300.0, abs=LEAST + 0.01)


def test_threads_count_a_freeze_once() -> None:
    """Threads that see the same freeze at once count it once."""
    machine, threads = Machine(), 8
    together = threading.Barrier(threads)

    def look() -> None:
        together.wait()
        machine.counter.time()

    machine.freeze(600.0)
    looking = [threading.Thread(target=look) for _ in range(threads)]
    for each in looking:
        each.start()
    for each in looking:
        each.join()
    assert machine.counter.missed() == pytest.approx(600.0)


def test_a_sleep_ends_soon_after_a_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleeper whose machine is suspended wakes at most one nap after it: suspended time counts as slept."""
    machine, naps = Machine(), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        machine.run(seconds)
        if len(naps) == 3:
            machine.freeze(36_000.0)

    monkeypatch.setattr(freezes, "THIS_PROCESS", machine.counter)
    monkeypatch.setattr("time.sleep", nap)
    freezes.sleep(3600.0)
    assert naps == [NAP] * 3


def test_a_sleep_without_a_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep lasts as long as it should, to the end."""
    machine, naps = Machine(), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        machine.run(seconds)

    monkeypatch.setattr(freezes, "THIS_PROCESS", machine.counter)
    monkeypatch.setattr("time.sleep", nap)
    for seconds in (0.0, 1.5, 12.25):
        naps.clear()
        freezes.sleep(seconds)
        assert sum(naps) == pytest.approx(seconds)
