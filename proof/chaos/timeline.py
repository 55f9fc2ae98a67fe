"""Tells the story of a violation: what the customer asked, what ran, what readers saw, and which processes were killed or frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from proof.chaos.chronicle import Event
from proof.chaos.evidence import Evidence, Violation

__all__ = ["timeline"]

#: Faults are included from this many seconds before the order's first event to as many after its last.
AROUND = 5.0

#: Most lines shown of each log.
LOG_LINES = 20


def timeline(violation: Violation, evidence: Evidence, events: Sequence[Event], logs: Path) -> list[str]:
    """Return the story's lines: the violation, what happened when, and log lines about the operation."""
    of_order = sorted(_of_order(violation, evidence, events))
    first, last = (of_order[0][0], of_order[-1][0]) if of_order else (0.0, float("inf"))
    around = [(event.at, event.what) for event in events if event.number is None and first - AROUND <= event.at <= last + AROUND]
    told = sorted(of_order + around)
    begin = told[0][0] if told else 0.0
    name = "no order" if violation.number is None else f"order {violation.number}"
    lines = [f"{violation.count}: {name}, operation {violation.operation_id or '-'}: {violation.what}"]
    lines += [f"  {at - begin:8.3f} s  {what}" for at, what in told]
    return lines + list(_logged(violation.operation_id, logs))


def _of_order(violation: Violation, evidence: Evidence, events: Sequence[Event]) -> Iterator[tuple[float, str]]:
    if violation.number is not None:
        yield from ((event.at, f"customer: {event.what}") for event in events if event.number == violation.number)
    for run in evidence.runs_of.get(violation.operation_id, ()):
        yield run.at, f"{run.worker}: handler begins, attempt {run.attempt}, run {run.run}"
    for seen in evidence.sightings.get(violation.operation_id, ()):
        document = seen.document
        words = f"{document.status}, attempt {document.attempt}, revision {document.revision}"
        yield seen.received, f"the store returns: {words} (requested {seen.received - seen.sent:.3f} s before)"


def _logged(operation_id: str, logs: Path) -> Iterator[str]:
    for path in sorted(logs.glob("*.log")) if operation_id else ():
        lines = [line for line in path.read_text(errors="replace").splitlines() if operation_id in line]
        yield from (f"  {path.stem}: {line}" for line in lines[:LOG_LINES])
