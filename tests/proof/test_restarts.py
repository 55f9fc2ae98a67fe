"""A short run of restarts, as a user starts it: no order is lost, and none waits for a worker that is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ministack

ROOT = Path(__file__).parents[2]

#: Under the visibility timeout of 60 s, which an order would wait that a leaving worker took with it; over what a loaded machine needs.
LATE = "40"


def test_workers_that_are_restarted(tmp_path: Path) -> None:
    """Four restarts under load: the exit code is 0, nothing is lost, no attempt is spent, and no folder is left."""
    command = [sys.executable, "-m", "proof.restarts", "--restarts", "4", "--late", LATE]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["restarts"], last["lost"], last["late"], last["again"]) == (4, 0, 0, 0)
    assert last["operations"] > 20
    assert list(tmp_path.iterdir()) == []
