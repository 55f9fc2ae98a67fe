"""The story of a violation, for people: what was asked, what ran, what readers saw, and which processes were killed or frozen then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from proof.chaos.chronicle import Event
from proof.chaos.evidence import Evidence, Violation

__all__ = ["timeline"]

#: Seconds before an order's first event and after its last one from which faults are told too.
AROUND = 5.0

#: Lines of each log that are shown at most.
LOG_LINES = 20


def timeline(violation: Violation, evidence: Evidence, events: Sequence[Event], logs: Path) -> list[str]:
    """Return its lines: the violation, what happened by time, and what the processes wrote about the operation."""
    own = sorted(_own(violation, evidence, events))
    first, last = (own[0][0], own[-1][0]) if own else (0.0, float("inf"))
    around = [(event.at, event.what) for event in events if event.number is None and first - AROUND <= event.at <= last + AROUND]
    told = sorted(own + around)
    begin = told[0][0] if told else 0.0
    name = "no order's" if violation.number is None else f"order {violation.number}"
    lines = [f"{violation.count}: {name}, operation {violation.operation_id or '-'}: {violation.what}"]
    lines += [f"  {at - begin:8.3f} s  {what}" for at, what in told]
    return lines + list(_logged(violation.operation_id, logs))


def _own(violation: Violation, evidence: Evidence, events: Sequence[Event]) -> Iterator[tuple[float, str]]:
    if violation.number is not None:
        yield from ((event.at, f"customer: {event.what}") for event in events if event.number == violation.number)
    for run in evidence.runs_of.get(violation.operation_id, ()):
        yield run.at, f"{run.worker}: handler begins, attempt {run.attempt}, run {run.run}"
    for seen in evidence.sightings.get(violation.operation_id, ()):
        document = seen.document
        words = f"{document.status}, attempt {document.attempt}, revision {document.revision}"
        yield seen.received, f"the store answers: {words} (asked {seen.received - seen.sent:.3f} s before)"


def _logged(operation_id: str, logs: Path) -> Iterator[str]:
    for path in sorted(logs.glob("*.log")) if operation_id else ():
        lines = [line for line in path.read_text(errors="replace").splitlines() if operation_id in line]
        yield from (f"  {path.stem}: {line}" for line in lines[:LOG_LINES])
