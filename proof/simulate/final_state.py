"""Checks a world at rest: every operation has ended once, and document, record and queues agree."""

from __future__ import annotations

import json
from collections import Counter

from offpoll.operation import Record
from proof.simulate.fleet import Twins
from proof.simulate.ledger import Category, Facts, Ledger

__all__ = ["check_final_state"]


def check_final_state(ledger: Ledger, twins: Twins) -> None:
    """Add to the ledger every violation that shows once nothing moves."""
    left = _messages_left(ledger, twins)
    for operation_id, facts in ledger.facts.items():
        record = twins.records._records.get(operation_id)
        _check(ledger, operation_id, facts, record, twins.store._objects.get(facts.key), messages=left[operation_id])


def _messages_left(ledger: Ledger, twins: Twins) -> Counter[str]:
    """Count the remaining messages by operation. Only junk in the parking queue is no violation."""
    left: Counter[str] = Counter()
    for name, queue in (("queue", twins.queue), ("dead letters", twins.dead_letters), ("parking", twins.parking)):
        for envelope in queue.peek():
            operation_id = envelope.attributes.get("operation_id")
            if operation_id is not None or name != "parking":
                ledger.violation("stuck", operation_id, f"a message is left in the {name}")
            if operation_id is not None:
                left[operation_id] += 1
    return left


def _check(ledger: Ledger, operation_id: str, facts: Facts, record: Record | None, body: bytes | None, *, messages: int) -> None:
    document = {"status": "absent", "done": False} if body is None else json.loads(body)
    status, done = document["status"], document["done"]
    if done and (record is None or record.outcome is None):
        ledger.violation("doubled", operation_id, "its document has ended, its record has not")
    elif done and record is not None and (status, document["attempt"]) != (record.status, record.attempt):
        ledger.violation("doubled", operation_id, f"its document says {status}, its record {record.status}")
    elif not done and (facts.accepted or record is not None):
        category: Category = "lost" if facts.accepted and not messages else "stuck"
        ledger.violation(category, operation_id, f"its document is {status}, and {messages} of its messages are left")
    if done and any(each != status for each in facts.seen):
        ledger.violation("doubled", operation_id, f"it has {status}, and its client saw {facts.seen}")
