"""Plays wave after wave, until all operations are done or a violation is found, and adds up the totals.

Each wave's seed is made of the run's seed and the wave's number, so that a wave can be played again alone.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import IO, get_args

from proof.simulate.ledger import Category, Ledger, Violation
from proof.simulate.wave import Wave, run_wave

__all__ = ["EVERY", "WAVE", "RunProgress", "Totals", "run", "timeline", "waves"]

#: Operations in a wave. Enough to spread the cost of its beginning and end: with half as many, an operation costs a fifth more; with four
#: times as many, it costs the same. Few enough that a faulty wave can soon be played again.
WAVE = 2_500

#: The least real seconds between two progress reports within a wave.
EVERY = 2.0


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        operations: begun so far.
        faults: so far.
        seconds: virtual ones.
        took: real seconds.
    """

    operations: int
    faults: int
    seconds: float
    took: float


@dataclass(kw_only=True)
class Totals:
    """The results of a run so far.

    Attributes:
        seed: of the run.
        operations: how many have been simulated.
        faults: how many of each kind.
        broken: for each category, the operations with a violation.
        first: the first violation.
        timeline: the log of its operation.
        seconds: virtual ones.
    """

    seed: int
    operations: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[str, set[str]] = field(default_factory=lambda: {category: set() for category in get_args(Category)})
    first: Violation | None = None
    timeline: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, number: int, operations: int, wave: Wave) -> None:
        """Add a wave."""
        self.operations += operations
        self.seconds += wave.seconds
        self.faults.update(wave.ledger.faults)
        for violation in wave.ledger.violations:
            self.broken[violation.category].add(f"{number}/{violation.operation_id}")
        if self.first is None and wave.ledger.violations:
            self.first = wave.ledger.violations[0]
            self.timeline = timeline(wave, self.first, seed=self.seed, number=number)

    @property
    def ok(self) -> bool:
        """Whether there was no violation."""
        return self.first is None

    def to_json(self) -> str:
        """Return the command's last line."""
        counts = {category: len(operations) for category, operations in self.broken.items()}
        faults = dict(sorted(self.faults.items()))
        return json.dumps({"operations": self.operations, "seed": self.seed, "faults": faults, **counts})


def waves(operations: int) -> int:
    """Return how many waves these operations take."""
    return -(-operations // WAVE)


def run(
    *, operations: int, seed: int, only: int | None, log: IO[str] | None, progress: Callable[[RunProgress], object]
) -> Iterator[Totals]:
    """Simulate, and yield the totals after each wave. The first wave with a violation is the last.

    Args:
        operations: how many.
        seed: the same seed gives the same run.
        only: the number of the only wave to play.
        log: receives every event.
        progress: called after each wave, and every few real seconds within one. It never affects the log.
    """
    totals = Totals(seed=seed)
    reporter = _ProgressReporter(totals, progress)
    for number, begin in enumerate(range(0, operations, WAVE)):
        if only is not None and number != only:
            continue
        count = min(WAVE, operations - begin)
        wave = _without_gc(f"{seed}/{number}", count, reporter.report_if_due)
        totals.add(number, count, wave)
        if log is not None:
            log.write(f"wave {number} of seed {seed}, {count} operations\n")
            log.writelines(f"{line}\n" for line in wave.ledger.lines())
        reporter.report()
        yield totals
        if not totals.ok:
            return


class _ProgressReporter:
    """Reports how far a run is. It measures real time, none of which shows in the log."""

    def __init__(self, totals: Totals, progress: Callable[[RunProgress], object]) -> None:
        self._totals, self._progress = totals, progress
        self._began = self._reported = perf_counter()

    def report_if_due(self, begun: int, ledger: Ledger) -> None:
        """Report how far the current wave is, if the last report is old enough."""
        if perf_counter() - self._reported >= EVERY:
            self.report(begun, sum(ledger.faults.values()), ledger.time())

    def report(self, begun: int = 0, faults: int = 0, seconds: float = 0.0) -> None:
        """Report the sum of the complete waves and of the current one, whose figures are given."""
        totals, self._reported = self._totals, perf_counter()
        self._progress(
            RunProgress(
                operations=totals.operations + begun,
                faults=sum(totals.faults.values()) + faults,
                seconds=totals.seconds + seconds,
                took=self._reported - self._began,
            )
        )


def _without_gc(seed: str, count: int, progress: Callable[[int, Ledger], object]) -> Wave:
    """Play a wave without the garbage collector, which would scan the whole log again and again."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        return run_wave(seed, count, progress=progress)
    finally:
        if was:
            gc.enable()


def timeline(wave: Wave, violation: Violation, *, seed: int, number: int) -> list[str]:
    """Tell the story of a violation: everything known of its operation, in order."""
    about = violation.operation_id
    if about is None:  # no operation is known: tell what happened shortly before
        story = [line for line in wave.ledger.lines() if violation.at - 1 <= float(line[:12]) <= violation.at][-40:]
    else:
        story = list(wave.ledger.lines(about))
    return [
        f"{violation.category}: {violation.text}",
        f"operation {about or '-'}, at {violation.at:.3f} s of wave {number}, seed {seed}; * is a fault, ! is what is wrong:",
        "",
        *story,
        "",
    ]
