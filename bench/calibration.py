"""Measures whether operations end when their 202 said they would, with the whole production code on virtual time.

M/G/c: orders and reports arrive at random (Poisson) at an API, and several workers take them. Only three things are simulated: time, the
stores (in memory, with S3's 30 ms in front of each creation), and the handlers, which sleep. An operation ends *inside* if its recorded end
lies between `earliest` and `latest` of the document that was created when the API accepted it: 80 % do if estimates are right.

The first `WARM_UP` operations of a run do not count, because nothing was known of them. "After doubling": from one operation on, every
handler takes twice as long, and only operations count that were accepted both 3 minutes and 200 completions after that. Arrivals halve at
the same time, so the load stays the same. In the last row they do not, and a load of 45 % becomes one of 90 %.

Takes `--quick` (less than 30 s) and `--json`, which prints one JSON object as the last line.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from bench.report import options

from offpoll import Offpoll
from offpoll.document import Estimate
from offpoll.settings import Settings
from offpoll.testing import System, system

__all__ = ["Ended", "Workload", "inside", "run", "run_doubled"]

LOADS = (0.70, 0.85, 0.95)

#: Three workers with four slots each.
WORKERS, SLOTS = 3, 4

#: By kind: the mean service time in seconds, and its standard deviation over the mean (log-normal). Two orders for each report.
KINDS = {"order": (10.0, 0.8), "report": (2.0, 1.2)}
SHARE_OF_ORDERS = 2 / 3

WARM_UP = 300

#: How long estimates may take to be right again after a change.
SETTLING, SETTLING_COMPLETIONS = timedelta(minutes=3), 200


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One operation: when it was accepted, the estimate in its 202, and when it ended."""

    accepted_at: datetime
    estimate: Estimate
    finished_at: datetime

    @property
    def place(self) -> str:
        """Whether it ended `early`, `inside` or `late`."""
        assert self.estimate.earliest is not None
        assert self.estimate.latest is not None
        if self.finished_at < self.estimate.earliest:
            return "early"
        return "inside" if self.finished_at <= self.estimate.latest else "late"


class Workload:
    """Draws random arrivals and service times, the same for the same seed.

    Args:
        seed: of this run.
        load: arriving work over the capacity of the slots.
    """

    def __init__(self, *, seed: int, load: float) -> None:
        self._arrivals, self._service = random.Random(seed), random.Random(seed + 1_000_000)
        mean = SHARE_OF_ORDERS * KINDS["order"][0] + (1 - SHARE_OF_ORDERS) * KINDS["report"][0]
        self._rate = load * WORKERS * SLOTS / mean
        self.slower = 1.0
        self.rarer = 1.0

    def pause(self) -> float:
        """Return the seconds to the next arrival."""
        return self._arrivals.expovariate(self._rate / self.rarer)

    def kind(self) -> str:
        """Return the kind of an arrival."""
        return "order" if self._arrivals.random() < SHARE_OF_ORDERS else "report"

    def service_time(self, kind: str) -> float:
        """Return how many seconds a handler takes."""
        mean, deviation = KINDS[kind]
        sigma = math.sqrt(math.log(1 + deviation**2))
        return self.slower * mean * self._service.lognormvariate(-(sigma**2) / 2, sigma)

    def app(self) -> Offpoll:
        """Return an app whose handlers sleep."""
        app = Offpoll()
        for kind in KINDS:
            app.operation(kind, timeout=7200.0)(self._handler(kind))
        return app

    def _handler(self, kind: str) -> Any:
        async def handle(number: int) -> int:
            await asyncio.sleep(self.service_time(kind))
            return number

        return handle


class _SlowStore:
    """A store whose `create` takes a while."""

    def __init__(self, target: Any, seconds: float) -> None:
        self._target, self._seconds = target, seconds

    async def create(self, key: str, body: bytes) -> Any:
        await asyncio.sleep(self._seconds)
        return await self._target.create(key, body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def _accept(made: System, work: Workload, count: int) -> list[tuple[datetime, Any]]:
    async def main() -> list[tuple[datetime, Any]]:
        tickets = []
        for number in range(count):
            await asyncio.sleep(work.pause())
            accepted_at = made.loop.now()
            tickets.append((accepted_at, await made.service.submit(work.kind(), number)))
        return tickets

    return made.run(main())


def _ends(made: System, tickets: Sequence[tuple[datetime, Any]]) -> Iterator[Ended]:
    """Let all queued operations end, and yield them."""
    while made.queue.peek():
        made.advance(5)
    for accepted_at, ticket in tickets:
        record = made.run(made.records.get(ticket.operation_id)).record
        assert record is not None
        assert record.finished_at is not None
        yield Ended(accepted_at=accepted_at, estimate=ticket.document.estimate, finished_at=record.finished_at)


def _system(work: Workload) -> Any:
    settings = Settings(secret="calibration" * 3, concurrency=SLOTS)
    return system(work.app(), settings=settings, workers=WORKERS)


def _slow_down(made: System) -> None:
    board = made.service.dependencies.board
    board.store = _SlowStore(board.store, 0.03)


def run(*, seed: int, load: float, operations: int) -> list[Ended]:
    """Return the operations of a run that count."""
    work = Workload(seed=seed, load=load)
    with _system(work) as made:
        _slow_down(made)
        tickets = _accept(made, work, WARM_UP + operations)
        return list(_ends(made, tickets))[WARM_UP:]


def run_doubled(*, seed: int, load: float, operations: int, rarer: float) -> list[Ended]:
    """Double all service times within a run, and return the operations accepted once estimates must be right again."""
    work = Workload(seed=seed, load=load)
    with _system(work) as made:
        _slow_down(made)
        before = _accept(made, work, WARM_UP)
        changed_at = made.loop.now()
        work.slower, work.rarer = 2.0, rarer
        ended = list(_ends(made, before + _accept(made, work, SETTLING_COMPLETIONS + operations)))
    after = sorted(each.finished_at for each in ended if each.finished_at > changed_at)
    settled_at = max(changed_at + SETTLING, after[SETTLING_COMPLETIONS - 1])
    return [each for each in ended if each.accepted_at >= settled_at]


def inside(ended: Sequence[Ended]) -> float:
    """Return the share that ended inside."""
    return sum(each.place == "inside" for each in ended) / len(ended)


def _row(label: str, runs: Sequence[Sequence[Ended]]) -> dict[str, Any]:
    every = [each for ended in runs for each in ended]
    shares = [inside(ended) for ended in runs]
    took = fmean((each.finished_at - each.accepted_at).total_seconds() for each in every)
    over = fmean((each.finished_at - each.estimate.mean).total_seconds() for each in every if each.estimate.mean)
    return {
        "label": label,
        "operations": len(every),
        "inside": inside(every),
        "early": sum(each.place == "early" for each in every) / len(every),
        "late": sum(each.place == "late" for each in every) / len(every),
        "least": min(shares),
        "most": max(shares),
        "took": took,
        "over": over,
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'load':<26} {'operations':>10} {'inside':>7} {'early':>6} {'late':>6}  {'by seed':<13} {'took':>8}  end - mean")
    for row in rows:
        print(
            f"{row['label']:<26} {row['operations']:>10} {row['inside']:>7.1%} {row['early']:>6.1%} {row['late']:>6.1%}  "
            f"{row['least']:.1%}-{row['most']:.1%}  {row['took']:>6.1f} s  {row['over']:+.2f} s"
        )


def main() -> None:
    """Measure and print."""
    given = options("Measure whether operations end when their 202 said they would.")
    seeds, operations = range(1, 1 + given.pick(5, 1)), given.pick(2000, 500)
    steady = [_row(f"{load:.0%}", [run(seed=seed, load=load, operations=operations) for seed in seeds]) for load in LOADS]
    doubled = []
    for load, rarer in [(0.85, 2.0), (0.45, 1.0)] if given.quick else [*((load, 2.0) for load in LOADS), (0.45, 1.0)]:
        label = f"{load:.0%}, doubled" + ("" if rarer > 1 else f" to {2 * load:.0%}")
        runs = [run_doubled(seed=seed, load=load, operations=operations, rarer=rarer) for seed in seeds]
        doubled.append(_row(label, runs))
    _print([*steady, *doubled])
    if given.json:
        print(
            json.dumps(
                {
                    "bench": "calibration",
                    "seeds": len(seeds),
                    "shares": {row["label"]: round(row["inside"], 4) for row in steady},
                    "after_doubling": {row["label"]: round(row["inside"], 4) for row in doubled},
                }
            )
        )


if __name__ == "__main__":
    main()
