"""A service's dependencies, all in memory, for tests without workers and virtual time."""

from __future__ import annotations

from typing import Any

from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.document_store import MemoryDocumentStore
from offpoll.queue import MemoryQueue
from offpoll.records import MemoryRecords
from offpoll.service_times import MemoryServiceTimes


def memory_dependencies(**given: Any) -> Dependencies:
    """Return fresh in-memory dependencies. Arguments replace some of them."""
    twins = {
        "board": AsyncStatusBoard(store=MemoryDocumentStore()),
        "queue": MemoryQueue(),
        "dead_letters": MemoryQueue(),
        "parking": MemoryQueue(),
        "records": MemoryRecords(),
        "service_times": MemoryServiceTimes(),
    }
    return Dependencies(**{**twins, **given})
