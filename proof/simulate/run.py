"""Wave after wave, until all operations are done or something is wrong. Decides what is summed up and how it is said.

Each wave has a seed of its own, made of the run's and its number, so that one wave can be run again alone.
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

__all__ = ["EVERY", "WAVE", "Standing", "Totals", "run", "timeline", "waves"]

#: Operations in a wave: enough to spread what its beginning and end cost (with half as many, an operation costs a fifth more; with four
#: times as many, as much), few enough that one in which something is wrong is soon run again.
WAVE = 2_500

#: Real seconds between two looks at how far a wave is, at least: whoever watches wants to see it live.
EVERY = 2.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a run is: operations that were begun, faults, virtual seconds, and real ones."""

    operations: int
    faults: int
    seconds: float
    took: float


@dataclass(kw_only=True)
class Totals:
    """What came of a run so far.

    Attributes:
        seed: of the run. operations: that have been simulated.
        faults: how many of each kind.
        broken: for each category, the operations it was seen at.
        first: the first violation; `timeline`: the log of its operation.
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
        """Whether nothing was wrong."""
        return self.first is None

    def to_json(self) -> str:
        """Return the last line."""
        counts = {category: len(operations) for category, operations in self.broken.items()}
        faults = dict(sorted(self.faults.items()))
        return json.dumps({"operations": self.operations, "seed": self.seed, "faults": faults, **counts})


def waves(operations: int) -> int:
    """Return in how many waves so many operations are run."""
    return -(-operations // WAVE)


def run(*, operations: int, seed: int, only: int | None, log: IO[str] | None, progress: Callable[[Standing], object]) -> Iterator[Totals]:
    """Simulate, and give the totals after each wave; it ends with the first one in which something is wrong.

    Args:
        operations: how many. seed: the same one, the same run.
        only: the number of the one wave to run.
        log: where every event goes.
        progress: told after each wave, and within one every few real seconds. Nothing of what it is told goes into the log.
    """
    totals = Totals(seed=seed)
    teller = _Teller(totals, progress)
    for number, begin in enumerate(range(0, operations, WAVE)):
        if only is not None and number != only:
            continue
        count = min(WAVE, operations - begin)
        wave = _without_pauses(f"{seed}/{number}", count, teller.look)
        totals.add(number, count, wave)
        if log is not None:
            log.write(f"wave {number} of seed {seed}, {count} operations\n")
            log.writelines(f"{line}\n" for line in wave.ledger.lines())
        teller.tell()
        yield totals
        if not totals.ok:
            return


class _Teller:
    """Tells how far a run is. Real time is its own affair: nothing that it does shows in the log."""

    def __init__(self, totals: Totals, progress: Callable[[Standing], object]) -> None:
        self._totals, self._progress = totals, progress
        self._began = self._told_at = perf_counter()

    def look(self, begun: int, ledger: Ledger) -> None:
        """Tell how far a wave is, if the last time was long enough ago."""
        if perf_counter() - self._told_at >= EVERY:
            self.tell(begun, sum(ledger.faults.values()), ledger.time())

    def tell(self, begun: int = 0, faults: int = 0, seconds: float = 0.0) -> None:
        """Tell what the waves that are complete and the one that runs come to."""
        totals, self._told_at = self._totals, perf_counter()
        self._progress(
            Standing(
                operations=totals.operations + begun,
                faults=sum(totals.faults.values()) + faults,
                seconds=totals.seconds + seconds,
                took=self._told_at - self._began,
            )
        )


def _without_pauses(seed: str, count: int, look: Callable[[int, Ledger], object]) -> Wave:
    """Run a wave without the garbage collector, which would look at the whole log again and again."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        return run_wave(seed, count, look=look)
    finally:
        if was:
            gc.enable()


def timeline(wave: Wave, violation: Violation, *, seed: int, number: int) -> list[str]:
    """Tell the story of a violation: everything that is known of its operation, in order."""
    about = violation.operation_id
    if about is None:  # no operation's: what happened shortly before
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
