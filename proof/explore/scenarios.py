"""What is explored: small casts with small budgets, which together meet every rule of the protocol.

One operation is enough: no rule relates two. Two workers are enough: a third could only do what the second does once more.
"""

from __future__ import annotations

from proof.explore.run import Scenario

__all__ = ["SCENARIOS"]

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
