"""Brings operations into the states that an inspection meets, and inspects them in a lab."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.support.lab import Lab

from offpoll.operation import Outcome, Record
from offpoll.operators.inspection import Inspection, Inspector
from offpoll.records import Undecided

NOBODY = "a" * 32


async def handle(number: int) -> int:
    await asyncio.sleep(5)
    if number < 0:
        raise ValueError(number)
    return number


def inspector(one: Lab, *, known: bool = False) -> Inspector:
    service = one.system.service
    return Inspector(dependencies=service.dependencies, window=service.settings.message_window, kinds=service.kinds if known else {})


def look(one: Lab, operation_id: str, *, owner: str = "public", known: bool = False) -> Inspection:
    return one.system.run(inspector(one, known=known).inspect(operation_id, owner=owner))


def repair(one: Lab, operation_id: str, *, known: bool = False) -> Inspection:
    return one.system.run(inspector(one, known=known).repair(operation_id, owner="public"))


def claim(one: Lab, operation_id: str, *, seen: int = 0, token: str = "") -> Record:
    """Claim an operation as a worker does, for 30 s."""
    submission = one.system.service.dependencies.board.submission_of(one.document(operation_id), owner="public")
    expires_at = submission.created_at + timedelta(days=14)
    update = one.system.run(one.system.records.claim(submission, seen=seen, token=token or f"t{seen}", lease=30, expires_at=expires_at))
    assert update.applied
    assert update.record is not None
    return update.record


def decide(one: Lab, operation_id: str, outcome: Outcome) -> Record:
    """Record an outcome that no document shows yet."""
    record = claim(one, operation_id)
    update = one.system.run(one.system.records.decide(record.submission, outcome, guard=Undecided(), expires_at=record.expires_at))
    assert update.record is not None
    return update.record


def said(found: Inspection) -> tuple[bool | None, str | None]:
    """Return whether document and record agree, and what the operation waits for."""
    return (found.agreement and found.agreement.agree), (found.waits and found.waits.what.value)


def text(found: Inspection) -> str:
    return f"{found.agreement and found.agreement.text} / {found.waits} / {found.advice}"


def overwrite(one: Lab, operation_id: str, **changes: Any) -> None:
    """Change the stored document behind offpoll's back."""
    document = replace(one.document(operation_id), **changes)
    one.system.store._objects[f"status/public/{operation_id}"] = document.to_bytes()
