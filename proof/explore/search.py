"""Searches every run of a scenario, depth first, visiting no state twice.

Coroutines cannot be copied, so the search reaches a branch by running its choices again from the beginning. Two states are the same if the
world is the same, the same calls wait, and every actor has received the same answers since it was last at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from proof.explore.run import Choice, Run
from proof.explore.scenarios import Scenario

__all__ = ["Found", "explore"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The result of an exploration.

    Attributes:
        states: how many different states it visited.
        runs: how many runs ended.
        broken: the first broken rule, or None.
        lines: the run that broke it.
        whole: whether it explored the whole scenario.
    """

    states: int
    runs: int
    broken: str | None = None
    lines: tuple[str, ...] = ()
    whole: bool = True


def explore(scenario: Scenario, *, limit: int | None = None) -> Found:
    """Explore a scenario until a rule is broken, all states are seen, or `limit` states are."""
    seen: set[int] = set()
    left: list[tuple[Choice, ...]] = [()]
    runs = 0
    while left:
        prefix = left.pop()
        run = Run(scenario)
        try:
            for choice in prefix:
                run.take(choice)
            ended = _forward(run, prefix, seen, left)
            runs += ended
            if run.broken:
                return Found(states=len(seen), runs=runs, broken=run.broken, lines=tuple(run.timeline()))
        finally:
            run.close()
        if limit is not None and len(seen) >= limit:
            return Found(states=len(seen), runs=runs, whole=not left)
    return Found(states=len(seen), runs=runs)


def _forward(run: Run, prefix: tuple[Choice, ...], seen: set[int], left: list[tuple[Choice, ...]]) -> bool:
    """Take the first choice each time, and note the others for later. Tell whether the run came to its end."""
    while not run.broken:
        state = run.state()
        if state in seen:
            return False
        seen.add(state)
        choices = run.choices()
        if not choices:
            run.conclude()
            return True
        left += [(*prefix, other) for other in choices[1:]]
        prefix = (*prefix, choices[0])
        run.take(choices[0])
    return True
