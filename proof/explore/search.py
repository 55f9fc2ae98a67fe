"""Every run of a scenario: depth first, and no state twice.

Coroutines cannot be copied, so a branch is reached by running its choices again from the beginning. Two states are the same where the
world is, where every actor waits at the same calls, and has been answered the same since it was last at rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proof.explore.run import Choice, Run, Scenario

__all__ = ["Found", "explore"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an exploration found.

    Attributes:
        states: how many different ones.
        runs: how many ended.
        broken: the first rule that was broken, or None.
        lines: the run that broke it.
        whole: whether all of the scenario was explored.
    """

    states: int
    runs: int
    broken: str | None = None
    lines: tuple[str, ...] = ()
    whole: bool = True


def explore(scenario: Scenario, *, limit: int | None = None, progress: Callable[[int, int], None] = lambda states, left: None) -> Found:
    """Explore a scenario until a rule is broken, all is seen, or there are `limit` states."""
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
        progress(len(seen), len(left))
        if limit is not None and len(seen) >= limit:
            return Found(states=len(seen), runs=runs, whole=not left)
    return Found(states=len(seen), runs=runs)


def _forward(run: Run, prefix: tuple[Choice, ...], seen: set[int], left: list[tuple[Choice, ...]]) -> bool:
    """Go on with the first choice each time, and note the others for later; tell whether the run came to its end."""
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
