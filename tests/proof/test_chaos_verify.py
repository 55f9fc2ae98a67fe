"""Chaos notices what goes wrong: each violation, planted into sound evidence, is found and counted in its group."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from proof.chaos import faults, swarm
from proof.chaos.app import Effect, Run
from proof.chaos.chronicle import Event
from proof.chaos.evidence import Evidence, Violation
from proof.chaos.sightings import Sighting
from proof.chaos.stores import GARBAGE, Message
from proof.chaos.swarm import Customer, Plan
from proof.chaos.timeline import timeline
from proof.chaos.verify import counts, verify

from offpoll.document import Document, project
from offpoll.operation import Outcome, Record, Status, Submission

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "ab" * 16
RECEIPT = {"number": 7, "attempt": 2, "run": "second"}

Change = Callable[[Evidence], Evidence]


def plan(**given: Any) -> Plan:
    """Return the customer's plan."""
    return Plan(**{"number": 7, "kind": "order", "conduct": "plain", "pause": 0.1, "twice": None, "other": None, "cancel": None, **given})


def record(**given: Any) -> Record:
    """Return the record of an operation that succeeded at the second attempt."""
    submission = Submission(
        operation_id=ID, kind="order", owner="public", status_key=f"status/public/{ID}", digest="d", base_url="", created_at=NOW
    )
    outcome = Outcome(status=Status.SUCCEEDED, result=json.dumps(RECEIPT))
    return replace(Record(submission=submission, attempt=2, outcome=outcome, finished_at=NOW, expires_at=NOW + timedelta(days=14)), **given)


def sighting(document: Document, at: float) -> Sighting:
    """Return a sighting by a reader who asked at this time and got the document a second later."""
    return Sighting(sent=at, received=at + 1, document=document)


def document(of: Record | None = None, **given: Any) -> Document:
    """Return the document of a record."""
    return replace(project(of or record(), before=None, updated_at=NOW), **{"revision": 3, **given})


def sound(**given: Any) -> Evidence:
    """Return evidence without violations: attempt 1 died, attempt 2 succeeded."""
    running = document(record(outcome=None, attempt=1, finished_at=None))
    all_is_well: dict[str, Any] = {
        "customers": [Customer(plan=plan(), accepted={ID}, results={json.dumps(RECEIPT, sort_keys=True)})],
        "sightings": {ID: [sighting(running, 2.0), sighting(document(), 12.0)]},
        "runs": [
            Run(operation_id=ID, attempt=attempt, number=7, run=run, worker=worker, at=at)
            for attempt, run, worker, at in ((1, "first", "worker-1.1", 1.0), (2, "second", "worker-2.1", 9.0))
        ],
        "effects": [Effect(operation_id=ID, number=7, run="second")],
        "records": {ID: record()},
        "documents": {ID: document()},
        "messages": [],
        "hidden": {"operations": 0, "dead letters": 0, "parking": 0},
        "garbage": 0,
        "lease": 3.0,
    }
    return Evidence(**{**all_is_well, **given})


def customer(**given: Any) -> Customer:
    """Return the customer of the sound evidence, changed."""
    return replace(sound().customers[0], **given)


def run(**given: Any) -> Run:
    """Return the second run of the sound evidence, changed."""
    return replace(sound().runs[1], **given)


def ended(status: Status, **error: Any) -> dict[str, Any]:
    """Return evidence of an operation that ended with this status, and a customer without a result."""
    other = record(outcome=Outcome(status=status, error=error or None), input=json.dumps(plan().body()).encode())
    return {"records": {ID: other}, "documents": {ID: document(other)}, "customers": [customer(results=set())], "sightings": {}}


def message(queue: str, *, body: str = "{}", operation_id: str = ID) -> Message:
    """Return a message left in a queue."""
    return Message(queue=queue, operation_id=operation_id, body=body, receives=3)


def test_all_is_well() -> None:
    """An operation whose first worker died violates nothing."""
    assert verify(sound()) == []


def test_what_is_accounted_for() -> None:
    """A dead letter of a finished operation violates nothing, nor does parked garbage, even twice."""
    parked = [message("parking", body=GARBAGE, operation_id="")] * 2
    assert verify(sound(messages=[message("dead letters"), *parked], garbage=1)) == []


PLANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "no document": ("lost", {"documents": {}}),
    "no effect": ("lost", {"effects": []}),
    "failed without a reason": ("lost", ended(Status.FAILED, code="attempts_exhausted")),
    "canceled without a request": ("lost", ended(Status.CANCELED)),
    "a request refused": ("lost", {"customers": [customer(refused=["500"])]}),
    "garbage that is gone": ("lost", {"garbage": 1}),
    "no outcome recorded": ("doubled", {"records": {}}),
    "two operations of one key": ("doubled", {"customers": [customer(accepted={ID, "cd" * 16})]}),
    "another body accepted": ("doubled", {"customers": [customer(other_accepted={ID})]}),
    "two effects": ("doubled", {"effects": [*sound().effects, Effect(operation_id="cd" * 16, number=7, run="x")]}),
    "another body's effect": ("doubled", {"effects": [*sound().effects, Effect(operation_id="cd" * 16, number=-8, run="x")]}),
    "canceled and succeeded": ("doubled", {"customers": [customer(canceled=True)]}),
    "two results": ("doubled", {"customers": [customer(results={"1", "2"})]}),
    "decided by a stale attempt": ("doubled", {"runs": [run(attempt=1), run(run="third")]}),
    "an attempt after the outcome": ("doubled", {"runs": [*sound().runs, run(attempt=3)]}),
    "one attempt in two workers": ("doubled", {"runs": [*sound().runs, run(worker="worker-3.1")]}),
    "a handler long after the end": ("doubled", {"runs": [*sound().runs, run(at=20.0)]}),
    "a rank that went down": ("regressed", {"sightings": {ID: [sighting(document(), 1.0), sighting(document(revision=2), 9.0)]}}),
    "an end that changed": ("regressed", {"sightings": {ID: [sighting(document(error={"code": "x"}), 1.0)]}}),
    "another attempt shown": ("regressed", {"documents": {ID: document(attempt=3)}}),
    "another status shown": ("regressed", {"documents": {ID: document(status="failed")}, "sightings": {}}),
    "never done": ("stuck", {"documents": {ID: document(status="running")}, "sightings": {}}),
    "a message that is left": ("stuck", {"messages": [message("operations")]}),
    "a message that is in flight": ("stuck", {"hidden": {"operations": 1}}),
    "an order that is parked": ("stuck", {"messages": [message("parking")]}),
    "a dead letter of no operation": ("stuck", {"messages": [message("dead letters", operation_id="")]}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_went_wrong_is_found(name: str) -> None:
    """A planted violation is counted in its group."""
    count, change = PLANTED[name]
    assert counts(verify(sound(**change)))[count] > 0


@pytest.mark.parametrize(
    ("error", "given"),
    [({"code": "out_of_stock"}, {"conduct": "refuses"}), ({"code": "attempts_exhausted"}, {"kind": "lottery"})],
)
def test_failures_that_are_meant(error: dict[str, Any], given: dict[str, Any]) -> None:
    """`refuses` may fail with its own code, and a lottery once its two attempts are spent, if the record keeps the input."""
    evidence = ended(Status.FAILED, **error)
    kept = json.dumps(plan(**given).body()).encode()
    evidence["records"] = {ID: replace(evidence["records"][ID], input=kept)}
    evidence["customers"] = [customer(plan=plan(**given), results=set())]
    assert verify(sound(**evidence)) == []
    evidence["records"] = {ID: replace(evidence["records"][ID], input=None)}
    assert counts(verify(sound(**evidence)))["lost"] == 1


def test_a_seed_repeats_itself() -> None:
    """The same seed draws the same faults and the same customers; another seed draws others."""
    for draw in (faults.draw, swarm.draw):
        first, again, other = (list(islice(draw(Random(seed), lease=3.0), 50)) for seed in (1, 1, 2))
        assert first == again != other


def test_the_timeline_tells_the_story(tmp_path: Path) -> None:
    """It tells, in order, what the customer did, the handlers' runs, what readers saw, and the faults around then; log lines follow."""
    (tmp_path / "worker-1.1.log").write_text(f"nothing\noperation {ID}: succeeded\n")
    events = [
        Event(at=0.0, number=7, what="submit"),
        Event(at=5.0, number=None, what="SIGKILL worker-1.1"),
        Event(at=6.0, number=8, what="submit"),
        Event(at=90.0, number=None, what="SIGKILL worker-3.1"),
    ]
    violation = Violation(count="lost", number=7, operation_id=ID, what="it is gone")
    lines = timeline(violation, sound(), events, tmp_path)
    told = [line.split("s  ")[1].split(",")[0] for line in lines[1:-1]]
    assert lines[0] == f"lost: order 7, operation {ID}: it is gone"
    assert told == [
        "customer: submit", "worker-1.1: handler begins", "the store returns: running", "SIGKILL worker-1.1",
        "worker-2.1: handler begins", "the store returns: succeeded",
    ]  # fmt: skip
    assert lines[-1] == f"  worker-1.1: operation {ID}: succeeded"
