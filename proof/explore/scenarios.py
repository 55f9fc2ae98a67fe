"""Lists the scenarios to explore: small casts with small budgets, which together exercise every rule of the protocol.

One operation is enough, since no rule relates two. Two workers are enough: a third could only repeat what the second does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proof.explore.actors import ATTEMPTS

__all__ = ["SCENARIOS", "Scenario"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Who takes part, and how much may go wrong.

    Attributes:
        name: for people.
        submitted: whether the first submit ends before anyone else acts.
        other: whether another submitter uses the same key for another body.
        retry: whether a submit that failed or crashed is repeated.
        cancel, dead: whether a canceller and a dead-letter consumer take part.
        workers: how many.
        max_receives: deliveries before a message becomes a dead letter.
        budget: how often each of these may happen: `crash`, `lost`, `fail`, `jump` (all leases and timeouts end), `duplicate` (a delivered
            message becomes visible again), `error` (a handler raises), `beat` (a renewal while it runs), `progress` (published while it
            runs), `delete` (the bucket's lifecycle deletes the document).
    """

    name: str = ""
    submitted: bool = False
    other: bool = False
    retry: bool = False
    cancel: bool = False
    dead: bool = False
    workers: int = 1
    max_receives: int = ATTEMPTS + 5
    budget: Mapping[str, int] = field(default_factory=dict)


SCENARIOS = (
    Scenario(name="submit", other=True, retry=True, budget={"crash": 1, "lost": 1, "fail": 1}),
    Scenario(name="submit beside cancel", retry=True, cancel=True, budget={"crash": 1, "fail": 1}),
    Scenario(name="two deliveries", submitted=True, workers=2, budget={"crash": 1, "jump": 1, "duplicate": 1}),
    Scenario(name="overtaken twice", submitted=True, workers=2, budget={"jump": 2}),
    Scenario(name="renewals", submitted=True, workers=2, budget={"jump": 1, "beat": 1}),
    Scenario(name="errors", submitted=True, workers=2, budget={"error": 2, "duplicate": 1, "jump": 1}),
    Scenario(name="lost answers", submitted=True, budget={"lost": 2, "fail": 1, "jump": 1, "duplicate": 1}),
    Scenario(name="lost answers, two workers", submitted=True, workers=2, budget={"lost": 1, "jump": 1}),
    Scenario(name="cancel and a crash", submitted=True, cancel=True, budget={"crash": 1, "jump": 1}),
    Scenario(name="cancel and a second worker", submitted=True, cancel=True, workers=2, budget={"duplicate": 1}),
    Scenario(name="cancel and lost answers", submitted=True, cancel=True, budget={"lost": 1, "jump": 1}),
    Scenario(name="cancel while it runs", submitted=True, cancel=True, budget={"beat": 1}),
    Scenario(name="cancel beside progress", submitted=True, cancel=True, budget={"progress": 1}),
    Scenario(name="progress", submitted=True, workers=2, budget={"progress": 1, "jump": 1}),
    Scenario(name="lifecycle", submitted=True, workers=2, budget={"jump": 1, "delete": 1}),
    Scenario(name="dead letters", submitted=True, dead=True, max_receives=1, budget={"crash": 2, "jump": 2, "error": 1, "lost": 1}),
    Scenario(name="dead letters beside workers", submitted=True, dead=True, max_receives=2, workers=2, budget={"duplicate": 2, "jump": 1}),
)
