"""A short run of chaos, as a user starts it: everything holds, its last line says so, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.process_watch import PATIENCE, ProcessWatch

pytestmark = pytest.mark.ministack

ROOT = Path(__file__).parents[2]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `python -m proof.chaos`, with its temporary folder inside the test's."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "proof.chaos", *arguments]
        environ = {**os.environ, "TMPDIR": str(tmp_path)}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=stderr, text=True))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_nothing_is_lost_doubled_regressed_or_stuck(start: Start, tmp_path: Path) -> None:
    """After ten seconds of orders and faults, the last line counts the faults, and all four violations are 0. No folder is left."""
    process = start("--minutes", "0.17", "--seed", "337", "--lease", "2")
    out, told = process.communicate(timeout=3 * PATIENCE)
    assert process.returncode == 0, told
    last = json.loads(out.splitlines()[-1])
    assert list(last) == ["operations", "seed", "faults", "lost", "doubled", "regressed", "stuck"]
    assert last["seed"] == 337
    assert (last["lost"], last["doubled"], last["regressed"], last["stuck"]) == (0, 0, 0, 0)
    assert last["operations"] > 10
    assert last["faults"]["sigkill_worker"] > 0
    assert sum(last["faults"].values()) >= 5, last
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_everything(start: Start, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run gives exit code 130, and leaves no process and no folder."""
    process = start("--minutes", "5", "--seed", "1", stderr=subprocess.STDOUT)
    group = ProcessWatch()
    group.read_until(process, "everything is up")
    group.see(process.pid)
    assert len(group.pids) >= 6  # itself, the embedded AWS, the API, three workers; the children of one of them
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    group.assert_gone(ports=[])
    assert list(tmp_path.iterdir()) == []
