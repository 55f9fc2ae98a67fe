"""`proof.simulate`: a slice of it is clean, the same seed gives the same log, and what is broken on purpose is found."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from proof.simulate.__main__ import main

from offpoll import records
from offpoll.board import StatusBoard, Stored
from offpoll.document import Document
from offpoll.operation import Record
from offpoll.records import Claim, Guard, holds
from offpoll.work.job import Job
from offpoll.work.process import Processor


def simulate(capsys: pytest.CaptureFixture[str], *, operations: int, seed: int, log: Path | None = None) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, its last line and the lines before that."""
    arguments = ["--operations", str(operations), "--seed", str(seed)]
    code = main(arguments + ([] if log is None else ["--log", str(log)]))
    before, _, last = capsys.readouterr().out.strip().rpartition("\n")
    return code, json.loads(last), before


def test_a_slice(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, doubled, regressed or stuck, and much went wrong on the way."""
    code, last, before = simulate(capsys, operations=400, seed=1)
    assert (code, before) == (0, "")
    assert list(last) == ["operations", "seed", "faults", "lost", "doubled", "regressed", "stuck"]
    assert (last["lost"], last["doubled"], last["regressed"], last["stuck"]) == (0, 0, 0, 0)
    assert sum(last["faults"].values()) > 200
    assert {"clock_skew", "duplicate_message", "reordered_message", "error_with_effect", "unknown_kind", "cancel"} <= set(last["faults"])


def test_the_same_seed_gives_the_same_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Byte for byte; another seed gives another one."""
    logs = [tmp_path / name for name in ("first", "again", "other")]
    for log, seed in zip(logs, (5, 5, 6), strict=True):
        simulate(capsys, operations=100, seed=seed, log=log)
    first, again, other = (log.read_bytes() for log in logs)
    assert first == again
    assert len(first) > 100_000
    assert first != other


# --- what is broken on purpose -----------------------------------------------------------------------


async def write_over_anything(self: StatusBoard, key: str, document: Document, current: Stored | None) -> Stored | None:
    """Publish whatever is there."""
    found = await self.store.read(key)
    if found is None:
        return Stored(document=document, etag=await self.store.create(key, document.to_bytes()))
    return Stored(document=document, etag=await self.store.replace(key, document.to_bytes(), etag=found[1]))


async def delete_first(self: Processor, job: Job, record: Record) -> None:
    """Delete the message, then publish."""
    await self.dependencies.queue.delete(job.delivery)
    await self.dependencies.board.show(record, held=job.shown)


async def go_on(self: Processor, job: Job) -> bool:
    """Never ask whether the claim stands."""
    return True


def whoever(guard: Guard, record: Record | None, now: datetime) -> bool:
    """Let anybody decide who ever claimed."""
    return record is not None if isinstance(guard, Claim) else holds(guard, record, now)


def lease_ignored(guard: Guard, record: Record | None, now: datetime) -> bool:
    """Let the next attempt begin while a lease is live."""
    return holds(guard, None if record is None else replace(record, lease_until=None), now)


@pytest.mark.parametrize(
    ("where", "name", "mutant", "category"),
    [
        (StatusBoard, "_write", write_over_anything, "regressed"),
        (Processor, "_finish", delete_first, "lost"),
        (records, "holds", whoever, "doubled"),
        (records, "holds", lease_ignored, "doubled"),
    ],
)
def test_it_can_fail(
    where: Any, name: str, mutant: Any, category: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A protocol without one of its rules is found out, and the case is told as a story."""
    monkeypatch.setattr(where, name, mutant)
    code, last, before = simulate(capsys, operations=1000, seed=1)
    assert code == 1
    assert last[category] > 0
    assert before.startswith(("lost: ", "doubled: ", "regressed: ", "stuck: "))
    assert "claim" in before
