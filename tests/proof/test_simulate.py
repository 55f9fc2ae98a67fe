"""`proof.simulate`: a short run is clean, the same seed gives the same log, and planted faults are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from proof.simulate import run
from proof.simulate.__main__ import main
from proof.simulate.wave import run_wave

from offpoll import records
from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document import Document
from offpoll.errors import Conflict
from offpoll.operation import Record
from offpoll.records import Claim, Guard, holds
from offpoll.service_times import MemoryServiceTimes
from offpoll.work import claim
from offpoll.work.delivery import DeliveryProcessor
from offpoll.work.job import Job
from offpoll.work.verdict import judge


def simulate(capsys: pytest.CaptureFixture[str], *more: str, operations: int, seed: int) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, its last line and the lines before it."""
    code = main(["--operations", str(operations), "--seed", str(seed), *more])
    before, _, last = capsys.readouterr().out.strip().rpartition("\n")
    return code, json.loads(last), before


def test_a_slice(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, doubled, regressed or stuck, although much went wrong on the way."""
    code, last, before = simulate(capsys, operations=400, seed=1)
    assert (code, before) == (0, "")
    assert list(last) == ["operations", "seed", "faults", "lost", "doubled", "regressed", "stuck"]
    assert (last["lost"], last["doubled"], last["regressed"], last["stuck"]) == (0, 0, 0, 0)
    assert sum(last["faults"].values()) > 200
    assert {"clock_skew", "reordered_message", "error_with_effect", "restart", "unknown_kind", "cancel"} <= set(last["faults"])


def test_the_same_seed_gives_the_same_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is the same byte for byte, and another seed gives another log."""
    logs = [tmp_path / name for name in ("first", "again", "other")]
    for log, seed in zip(logs, (5, 5, 6), strict=True):
        simulate(capsys, "--log", str(log), operations=100, seed=seed)
    first, again, other = (log.read_bytes() for log in logs)
    assert first == again
    assert len(first) > 100_000
    assert first != other


# --- planted faults ----------------------------------------------------------------------------------


async def write_over_anything(self: AsyncStatusBoard, key: str, document: Document, current: Stored | None) -> Stored | None:
    """Publish whatever document is there."""
    while True:
        found = await self.store.read(key)
        try:
            if found is None:
                return Stored(document=document, etag=await self.store.create(key, document.to_bytes()))
            return Stored(document=document, etag=await self.store.replace(key, document.to_bytes(), etag=found[1]))
        except Conflict:
            continue


async def delete_first(self: DeliveryProcessor, job: Job, record: Record) -> None:
    """Delete the message, then publish."""
    await self.dependencies.queue.delete(job.delivery)
    await self.dependencies.board.show(record, held=job.shown)


def any_claim_holds(guard: Guard, record: Record | None, now: datetime) -> bool:
    """Let any attempt decide, even an overtaken one."""
    return record is not None if isinstance(guard, Claim) else holds(guard, record, now)


def no_lease(check: Callable[..., Any]) -> Callable[..., Any]:
    """Hide leases from a check of a record."""

    def blind(*args: Any, **kwargs: Any) -> Any:
        return check(*(replace(each, lease_until=None) if isinstance(each, Record) else each for each in args), **kwargs)

    return blind


def test_a_survived_fault_is_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception that offpoll catches and logs is a violation, although every operation ends."""

    async def stumble(self: MemoryServiceTimes, kind: str, span: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MemoryServiceTimes, "add", stumble)
    code, last, before = simulate(capsys, operations=40, seed=1)
    assert (code, last["stuck"]) == (1, 1)
    assert "a fault in offpoll: service times not written" in before


@pytest.mark.parametrize(
    ("mutants", "category", "operations"),
    [
        pytest.param({(AsyncStatusBoard, "_write"): write_over_anything}, "regressed", 400, id="unconditional publish"),
        pytest.param({(DeliveryProcessor, "_finish"): delete_first}, "lost", 400, id="delete before publish"),
        pytest.param({(records, "holds"): any_claim_holds}, "doubled", 400, id="no attempt check in decide"),
        pytest.param({(records, "holds"): no_lease(holds), (claim, "judge"): no_lease(judge)}, "doubled", 1200, id="lease ignored"),
    ],
)
def test_it_can_fail(
    mutants: dict[tuple[Any, str], Any],
    category: str,
    operations: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The simulation finds a protocol that lacks one of its rules, and tells the case as a timeline."""
    for (where, name), mutant in mutants.items():
        monkeypatch.setattr(where, name, mutant)
    code, last, before = simulate(capsys, operations=operations, seed=1)
    assert code == 1
    assert last[category] > 0
    assert before.startswith(("lost: ", "doubled: ", "regressed: ", "stuck: "))
    assert "claim → " in before


# --- the command ---------------------------------------------------------------------------------------


def test_one_wave_of_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wave played alone takes the same steps as within its run."""
    monkeypatch.setattr(run, "WAVE", 40)
    simulate(capsys, "--log", str(tmp_path / "run"), operations=120, seed=3)
    _, last, _ = simulate(capsys, "--wave", "1", "--log", str(tmp_path / "wave"), operations=120, seed=3)
    assert last["operations"] == 40
    assert (tmp_path / "wave").read_text() in (tmp_path / "run").read_text()
    with pytest.raises(SystemExit, match="2"):
        main(["--wave", "3", "--operations", "120"])
    assert "the waves 0 to 2" in capsys.readouterr().err


def test_it_says_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It reports progress on stderr, also within a wave, and the log stays the same, byte for byte."""
    lines = []
    for name, every in (("watched", 0.0), ("alone", float("inf"))):
        monkeypatch.setattr(run, "EVERY", every)
        assert main(["--operations", "40", "--seed", "4", "--log", str(tmp_path / name)]) == 0
        out, err = capsys.readouterr()
        assert out.count("\n") == 1
        lines.append(err.splitlines())
    assert (tmp_path / "watched").read_bytes() == (tmp_path / "alone").read_bytes()
    watched, alone = lines
    assert len(alone) == 1
    assert len(watched) > 20
    known = [int(line.split()[0]) for line in watched]
    assert known == sorted(known)
    assert len(set(known)) > 10
    assert known[-1] == 40


def test_a_fresh_seed_is_printed_first(capsys: pytest.CaptureFixture[str]) -> None:
    """A run with a fresh seed can be repeated."""
    assert main(["--operations", "20"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"seed {json.loads(last)['seed']}"


def test_an_interrupt_ends_it_cleanly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the run, and the last line counts the complete waves."""

    def interrupted(seed: str, operations: int, *, progress: Callable[..., object]) -> Any:
        if seed.endswith("/1"):
            raise KeyboardInterrupt
        return run_wave(seed, operations, progress=progress)

    monkeypatch.setattr(run, "WAVE", 20)
    monkeypatch.setattr(run, "run_wave", interrupted)
    code, last, _ = simulate(capsys, operations=60, seed=2)
    assert (code, last["operations"]) == (130, 20)
