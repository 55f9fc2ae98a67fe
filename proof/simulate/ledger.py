"""Keeps the books of a world: the log, what is known of each operation, the counts of faults, the violations.

It decides what counts as a violation while the world runs; `final_state` decides that afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from offpoll.operation import Record
from offpoll.records import Update

__all__ = ["Category", "Event", "Facts", "Ledger", "Rank", "Violation"]

Category: TypeAlias = Literal["lost", "doubled", "regressed", "stuck"]

#: When, who, about which operation, what, and the answer. It becomes text only when the log is read.
Event: TypeAlias = tuple[float, str, str | None, str, Any]

Rank: TypeAlias = tuple[bool, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """Something that happened and must not."""

    category: Category
    operation_id: str | None
    text: str
    at: float


@dataclass(slots=True)
class Facts:
    """The facts known of one operation.

    Attributes:
        key: of its document.
        rank: of its document now.
        accepted: the numbers of the bodies whose submit got a 202.
        handled: the numbers of the bodies that handlers received.
        seen: the ends that clients saw.
        told: by attempt, whether the last answer told its worker that it holds the operation.
    """

    key: str = ""
    rank: Rank | None = None
    accepted: list[int] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    told: dict[int, bool] = field(default_factory=dict)


@dataclass(kw_only=True)
class Ledger:
    """The books of one world. `time` returns its virtual seconds."""

    time: Callable[[], float]
    facts: dict[str, Facts] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def of(self, operation_id: str) -> Facts:
        """Return the facts of an operation; new ones if it is not known yet."""
        found = self.facts.get(operation_id)
        if found is None:
            found = self.facts[operation_id] = Facts()
        return found

    def note(self, who: str, what: str, operation_id: str | None = None, answer: Any = None) -> None:
        """Log an event."""
        self.events.append((self.time(), who, operation_id, what, answer))

    def fault(self, kind: str, who: str, operation_id: str | None = None, answer: Any = None) -> None:
        """Count and log a fault."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.events.append((self.time(), who, operation_id, f"* {kind}", answer))

    def violation(self, category: Category, operation_id: str | None, text: str) -> None:
        """Record and log a violation."""
        self.events.append((self.time(), "!", operation_id, f"{category}: {text}", None))
        self.violations.append(Violation(category=category, operation_id=operation_id, text=text, at=self.time()))

    # --- what must not happen ----------------------------------------------------------------------

    def written(self, operation_id: str, key: str, rank: Rank, *, status: str) -> None:
        """Note a written document, and check that its rank only grows and that a terminal one never changes."""
        facts = self.of(operation_id)
        before, facts.key, facts.rank = facts.rank, key, rank
        self.note("store", f"document is {status}, (done, attempt, revision) = {rank}", operation_id)
        if before is not None and before[0]:
            self.violation("regressed", operation_id, f"a terminal document was changed: {before} → {rank}")
        elif before is not None and rank < before:
            self.violation("regressed", operation_id, f"the document's rank went down: {before} → {rank}")

    def recorded(self, before: Record | None, after: Record, *, leased: bool) -> None:
        """Note a changed record, and check that it has one outcome and that no claim came under a live lease."""
        operation_id = after.submission.operation_id
        self.note("records", "record is", operation_id, after)
        if before is None:
            return
        if before.outcome is not None:
            self.violation("doubled", operation_id, f"the record was changed after its outcome {before.outcome.status}")
        if after.attempt < before.attempt:
            self.violation("regressed", operation_id, f"the record's attempt went down: {before.attempt} → {after.attempt}")
        if after.attempt > before.attempt and leased:
            self.violation("doubled", operation_id, f"attempt {after.attempt} began under the live lease of attempt {before.attempt}")

    def accepted(self, who: str, operation_id: str, body: int) -> None:
        """Note a 202, and check that no other body under the same key had one."""
        facts = self.of(operation_id)
        self.note(who, f"202 for body {body}", operation_id)
        if body not in facts.accepted:
            facts.accepted.append(body)
            self._one_body(operation_id, facts)

    def began(self, who: str, operation_id: str, *, attempt: int, body: int) -> None:
        """Note that a handler starts, and check that its worker was last told that this attempt holds the operation."""
        facts = self.of(operation_id)
        self.note(who, f"handler of attempt {attempt} begins", operation_id)
        if not facts.told.get(attempt):
            self.violation("doubled", operation_id, f"the handler of attempt {attempt} began, although its worker had been told not to")
        if body not in facts.handled:
            facts.handled.append(body)
            self._one_body(operation_id, facts)

    def seen(self, who: str, operation_id: str, status: str) -> None:
        """Note the end that a client saw."""
        self.note(who, f"sees {status}", operation_id)
        self.of(operation_id).seen.append(status)

    def _one_body(self, operation_id: str, facts: Facts) -> None:
        if len({*facts.accepted, *facts.handled}) > 1:
            self.violation("doubled", operation_id, f"two bodies under one key: accepted {facts.accepted}, handled {facts.handled}")

    # --- the log -------------------------------------------------------------------------------------

    def lines(self, operation_id: str | None = None) -> Iterator[str]:
        """Yield the lines of the log, or only those about one operation."""
        for at, who, about, what, answer in self.events:
            if operation_id is None or about == operation_id:
                yield f"{at:12.3f}  {(about or '-')[:8]:<8}  {who:<11} {what}{_words(answer)}"


def _words(answer: Any) -> str:
    match answer:
        case None:
            return ""
        case Record(attempt=attempt, token=token, outcome=outcome):
            held = "not held" if token is None else f"held by …{token[-6:]}"
            return f" at attempt {attempt}, " + (held if outcome is None else f"ended: {outcome.status}")
        case Update(applied=applied, record=record):
            return (" → applied; it is" if applied else " → not applied; it is") + (" absent" if record is None else _words(record))
        case bytes() | list() | tuple():
            return " → something" if answer else " → nothing"
        case _:
            return f" → {answer}"
