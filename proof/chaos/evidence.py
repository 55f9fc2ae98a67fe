"""Holds everything gathered during and after a run, for `verify` to judge and `timeline` to tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from offpoll.document import Document
from offpoll.operation import Record
from proof.chaos.app import Effect, Run
from proof.chaos.sightings import Sighting
from proof.chaos.stores import Message
from proof.chaos.swarm import Customer

__all__ = ["Evidence", "Violation"]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A promise that was broken.

    Attributes:
        count: `lost`, `doubled`, `regressed` or `stuck`.
        number: the order; None if no order is known.
        operation_id: the operation; empty if none is known.
        what: in words.
    """

    count: str
    number: int | None
    operation_id: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything known about a run.

    Attributes:
        customers: what they asked, and what the API told them.
        sightings: documents that readers saw, by operation id.
        runs, effects: what handlers recorded.
        records, documents: the stores' contents at the end, by operation id.
        messages: the visible messages left at the end.
        hidden: how many invisible messages are left, by queue.
        garbage: how many unreadable messages were sent.
        lease: seconds.
    """

    customers: Sequence[Customer]
    sightings: Mapping[str, Sequence[Sighting]]
    runs: Sequence[Run]
    effects: Sequence[Effect]
    records: Mapping[str, Record]
    documents: Mapping[str, Document]
    messages: Sequence[Message]
    hidden: Mapping[str, int]
    garbage: int
    lease: float

    @cached_property
    def runs_of(self) -> Mapping[str, list[Run]]:
        """Runs by operation id."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[run.operation_id].append(run)
        return found

    @cached_property
    def effect_of(self) -> Mapping[str, Effect]:
        """Effects by operation id."""
        return {effect.operation_id: effect for effect in self.effects}

    def accepted(self) -> Iterator[tuple[Customer, str]]:
        """Yield each accepted operation with its customer."""
        for customer in self.customers:
            for operation_id in sorted(customer.accepted):
                yield customer, operation_id
