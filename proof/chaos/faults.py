"""Draws faults from the seed and applies them to the processes.

The plan depends on the seed alone; what a fault hits depends on the machine, since the processes are real. A fault is skipped, and not
counted, if too many of its possible victims are already suffering another.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from proof.chaos.chronicle import Chronicle
from proof.chaos.deployment import Deployment, Member

__all__ = ["Chaos", "Fault", "draw"]

#: Relative frequency of each fault.
WEIGHTS: Mapping[str, int] = {
    "sigkill_worker": 6,
    "sigstop_worker": 4,
    "sigstop_worker_over_lease": 4,
    "sigkill_api": 2,
    "sigstop_api": 1,
    "sigstop_store": 2,
    "garbage_message": 1,
}

#: Seconds between two faults.
GAP = (0.5, 3.0)

#: How long a process stays frozen or dead, in leases.
LENGTHS: Mapping[str, tuple[float, float]] = {
    "sigkill_worker": (0.1, 0.5),
    "sigstop_worker": (0.1, 0.8),
    "sigstop_worker_over_lease": (1.1, 2.5),
    "sigkill_api": (0.1, 0.5),
    "sigstop_api": (0.1, 1.0),
    "sigstop_store": (0.1, 1.2),
    "garbage_message": (0.0, 0.0),
}

#: Most workers that suffer at a time. One always works; otherwise a slow machine would do nothing but start processes.
MOST_WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of the plan.

    Attributes:
        gap: seconds after the previous fault.
        kind: a key of `WEIGHTS`.
        pick: from 0 to 1: chooses among several processes.
        seconds: how long it lasts.
    """

    gap: float
    kind: str
    pick: float
    seconds: float


#: Applies a fault to a victim that is already chosen.
Act = Callable[[Fault], Awaitable[None]]


def draw(random: Random, *, lease: float) -> Iterator[Fault]:
    """Draw faults without end."""
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    while True:
        kind = random.choices(kinds, weights)[0]
        low, high = LENGTHS[kind]
        yield Fault(gap=random.uniform(*GAP), kind=kind, pick=random.random(), seconds=lease * random.uniform(low, high))


@dataclass(kw_only=True)
class Chaos:
    """Applies faults to a deployment.

    Args:
        deployment: whose processes suffer.
        plan: the faults.
        chronicle: records each fault.
        garbage: sends an unreadable message.
        counts: how many of each kind were applied.
    """

    deployment: Deployment
    plan: Iterator[Fault]
    chronicle: Chronicle
    garbage: Callable[[], Awaitable[None]]
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(WEIGHTS, 0)))
    _suffering: set[str] = field(default_factory=set)

    async def run(self, *, seconds: float) -> None:
        """Apply faults for this long, then wait until everything is up again."""
        async with asyncio.TaskGroup() as tasks:
            try:
                async with asyncio.timeout(seconds):
                    for fault in self.plan:
                        await asyncio.sleep(fault.gap)
                        self._begin(fault, tasks)
            except TimeoutError:
                pass  # the time is up
        self.chronicle.note("no more faults: everything is up")

    def _begin(self, fault: Fault, tasks: asyncio.TaskGroup) -> None:
        chosen = self._choose(fault)
        if chosen is not None:
            target, act = chosen
            self.counts[fault.kind] += 1
            self._suffering.add(target)
            tasks.create_task(self._apply(target, act, fault))

    async def _apply(self, target: str, act: Act, fault: Fault) -> None:
        try:
            await act(fault)
        finally:
            self._suffering.discard(target)

    def _choose(self, fault: Fault) -> tuple[str, Act] | None:
        """Return the victim's name and what to do to it; None if no victim is free."""
        if fault.kind == "garbage_message":
            return fault.kind, self._send_garbage
        if fault.kind == "sigstop_store":
            return None if "store" in self._suffering else ("store", self._freeze_store)
        candidates = [self.deployment.members["api"]] if fault.kind.endswith("_api") else self.deployment.workers
        free = [each for each in candidates if each.name not in self._suffering]
        if not free or len(candidates) - len(free) >= MOST_WORKERS:
            return None
        member = free[int(fault.pick * len(free))]
        return member.name, partial(self._kill if fault.kind.startswith("sigkill") else self._freeze, member)

    async def _kill(self, member: Member, fault: Fault) -> None:
        self.chronicle.note(f"SIGKILL {member.process}")
        await member.kill()
        await asyncio.sleep(fault.seconds)
        await member.clear()
        await member.start()
        self.chronicle.note(f"{member.process} is up")

    async def _freeze(self, member: Member, fault: Fault) -> None:
        self.chronicle.note(f"SIGSTOP {member.process} for {fault.seconds:.1f} s")
        member.freeze()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            member.resume()
            self.chronicle.note(f"SIGCONT {member.process}")

    async def _freeze_store(self, fault: Fault) -> None:
        self.chronicle.note(f"SIGSTOP the embedded AWS for {fault.seconds:.1f} s")
        self.deployment.signal_store(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self.deployment.signal_store(signal.SIGCONT)
            self.chronicle.note("SIGCONT the embedded AWS")

    async def _send_garbage(self, _: Fault) -> None:
        self.chronicle.note("an unreadable message is sent")
        await self.garbage()
