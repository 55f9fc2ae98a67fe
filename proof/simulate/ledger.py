"""What happened to each operation, and what of it must not have: the log, the counts of faults, the violations.

Decides what a violation is while the world runs; `rest` decides what is one afterwards. Must not know why anything happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from offpoll.operation import Record
from offpoll.records import Update

__all__ = ["Category", "Event", "Facts", "Ledger", "Rank", "Violation"]

Category: TypeAlias = Literal["lost", "doubled", "regressed", "stuck"]

#: When, who, about which operation, what, and the answer to it. Written as text only where somebody reads it.
Event: TypeAlias = tuple[float, str, str | None, str, Any]

Rank: TypeAlias = tuple[bool, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """Something that must not happen, and happened."""

    category: Category
    operation_id: str | None
    text: str
    at: float


@dataclass(slots=True)
class Facts:
    """What is known of one operation.

    Attributes:
        key: of its document.
        rank: of its document now.
        accepted: the bodies, by number, whose submit was answered 202.
        handled: the bodies, by number, that a handler was given.
        seen: the ends that clients were shown.
        told: by attempt, whether the last answer to its holder said that it holds the operation.
    """

    key: str = ""
    rank: Rank | None = None
    accepted: list[int] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    told: dict[int, bool] = field(default_factory=dict)


@dataclass(kw_only=True)
class Ledger:
    """The book of one world. `time` gives its virtual seconds."""

    time: Callable[[], float]
    facts: dict[str, Facts] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def of(self, operation_id: str) -> Facts:
        """Return what is known of an operation, from now on."""
        found = self.facts.get(operation_id)
        if found is None:
            found = self.facts[operation_id] = Facts()
        return found

    def note(self, who: str, what: str, operation_id: str | None = None, answer: Any = None) -> None:
        """Log something."""
        self.events.append((self.time(), who, operation_id, what, answer))

    def fault(self, kind: str, who: str, operation_id: str | None = None, answer: Any = None) -> None:
        """Count a fault, and log it."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.events.append((self.time(), who, operation_id, f"* {kind}", answer))

    def violation(self, category: Category, operation_id: str | None, text: str) -> None:
        """Write down what must not happen."""
        self.events.append((self.time(), "!", operation_id, f"{category}: {text}", None))
        self.violations.append(Violation(category=category, operation_id=operation_id, text=text, at=self.time()))

    # --- what must not happen ----------------------------------------------------------------------

    def written(self, operation_id: str, key: str, rank: Rank, *, status: str) -> None:
        """Note a document that was written: its rank only grows, and a terminal one never changes."""
        facts = self.of(operation_id)
        before, facts.key, facts.rank = facts.rank, key, rank
        self.note("store", f"document is {status}, (done, attempt, revision) = {rank}", operation_id)
        if before is not None and before[0]:
            self.violation("regressed", operation_id, f"a terminal document was changed: {before} → {rank}")
        elif before is not None and rank < before:
            self.violation("regressed", operation_id, f"the document's rank went down: {before} → {rank}")

    def recorded(self, before: Record | None, after: Record, *, leased: bool) -> None:
        """Note a record that was changed: there is one outcome, and no claim under a live lease."""
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
        """Note a 202: of two bodies under one key, only one may have it."""
        facts = self.of(operation_id)
        self.note(who, f"202 for body {body}", operation_id)
        if body not in facts.accepted:
            facts.accepted.append(body)
            self._one_body(operation_id, facts)

    def began(self, who: str, operation_id: str, *, attempt: int, body: int) -> None:
        """Note a handler that starts: its attempt must hold the operation, as far as its worker has been told."""
        facts = self.of(operation_id)
        self.note(who, f"handler of attempt {attempt} begins", operation_id)
        if not facts.told.get(attempt):
            self.violation("doubled", operation_id, f"the handler of attempt {attempt} began, and its worker had been told not to")
        if body not in facts.handled:
            facts.handled.append(body)
            self._one_body(operation_id, facts)

    def seen(self, who: str, operation_id: str, status: str) -> None:
        """Note the end that a client was shown."""
        self.note(who, f"sees {status}", operation_id)
        self.of(operation_id).seen.append(status)

    def _one_body(self, operation_id: str, facts: Facts) -> None:
        if len({*facts.accepted, *facts.handled}) > 1:
            self.violation("doubled", operation_id, f"two bodies under one key: accepted {facts.accepted}, handled {facts.handled}")

    # --- to be read ----------------------------------------------------------------------------------

    def lines(self, operation_id: str | None = None) -> Iterator[str]:
        """Write the log, or what of it is about one operation."""
        for at, who, about, what, answer in self.events:
            if operation_id is None or about == operation_id:
                yield f"{at:12.3f}  {(about or '-')[:8]:<8}  {who:<11} {what}{_words(answer)}"


def _words(answer: Any) -> str:
    match answer:
        case None:
            return ""
        case Record(attempt=attempt, token=token, outcome=outcome):
            held = "nobody's" if token is None else f"held by …{token[-6:]}"
            return f" at attempt {attempt}, " + (held if outcome is None else f"ended: {outcome.status}")
        case Update(applied=applied, record=record):
            return (" → applied; it is" if applied else " → not applied; it is") + (" absent" if record is None else _words(record))
        case bytes() | list() | tuple():
            return " → something" if answer else " → nothing"
        case _:
            return f" → {answer}"
