"""Exploration: no rule is broken in small scenarios, planted faults are found, and the same choices give the same run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from proof.explore.mutations import MUTATIONS, Mutation
from proof.explore.run import Run
from proof.explore.scenarios import Scenario
from proof.explore.search import explore

SMALL = (
    Scenario(name="one of each", submitted=True),
    Scenario(name="a crash", submitted=True, budget={"crash": 1, "jump": 1}),
    Scenario(name="lost answers", submitted=True, budget={"lost": 1, "fail": 1}),
    Scenario(name="another body", other=True),
    Scenario(name="a repeated submit", retry=True, budget={"crash": 1}),
    Scenario(name="a cancel", submitted=True, cancel=True),
    Scenario(name="dead letters", submitted=True, dead=True, max_receives=1, budget={"crash": 1, "jump": 1}),
)

#: Mutations whose victims are found within a second. `make explore` tries all.
QUICK = (
    "publish without a condition",
    "publish before decide",
    "delete before publish",
    "decide without attempt and token",
    "lease ignored",
    "the worker's name instead of a token",
    "backoff only in visibility",
    "dead letters ignore records",
    "the digest is dropped on a rewrite",
    "a cancel over an outcome",
    "enqueue before create",
    "a repeated submit sends no message",
    "the digest is not compared",
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Silence the log: faults are injected by the thousand."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", SMALL, ids=lambda each: each.name)
def test_every_run_keeps_the_rules(scenario: Scenario) -> None:
    """No order of calls, and no fault within the budget, breaks a rule."""
    found = explore(scenario)
    assert found.broken is None, "\n".join(found.lines)
    assert found.whole
    assert found.runs


def test_small_is_not_empty() -> None:
    """A crash can happen at every call, so there are many more states than without one."""
    assert explore(SMALL[1]).states > 3 * explore(SMALL[0]).states


@pytest.mark.parametrize("mutation", [each for each in MUTATIONS if each.name in QUICK], ids=lambda each: each.name)
def test_a_rule_that_is_taken_out_is_missed(mutation: Mutation) -> None:
    """Exploration finds a run that suffers, and tells it step by step. With the rule back in place it finds none."""
    with mutation.plant():
        found = explore(mutation.scenario)
    assert found.broken is not None
    assert any("store.create" in line for line in found.lines)
    assert explore(mutation.scenario, limit=200).broken is None


def test_all_quick_ones_exist() -> None:
    """Every quick mutation still exists under its name."""
    assert set(QUICK) <= {each.name for each in MUTATIONS}


def test_the_same_choices_give_the_same_run() -> None:
    """A run depends on its choices alone. The search relies on that when it goes back to a branch."""
    timelines, states = [], []
    for _ in range(2):
        run = Run(Scenario(workers=2, budget={"jump": 1, "crash": 1}))
        while choices := run.choices():
            run.take(choices[len(choices) // 2])
        timelines.append(run.timeline())
        states.append(run.state())
        run.close()
    assert timelines[0] == timelines[1]
    assert states[0] == states[1]
