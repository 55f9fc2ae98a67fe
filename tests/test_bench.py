"""The benches run and say what they measured. How fast anything is, is not asserted: CI's machines are shared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"


def measured(name: str) -> dict[str, Any]:
    """Run a bench, and return what its last line says."""
    command = [sys.executable, str(BENCH / f"{name}.py"), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said["bench"] == name
    assert said["ratios"]
    assert all(isinstance(ratio, int | float) and ratio > 0 for ratio in said["ratios"].values())
    return said


@pytest.mark.parametrize("name", ["presign", "wire", "accept", "work", "imports"])
def test_it_ends_with_ratios(name: str) -> None:
    """The last line is one JSON object that names the bench and gives a positive ratio for each peer."""
    measured(name)


def test_many_waits_are_counted() -> None:
    """The bench of `wait_all` says what a ticket costs, how many requests were in flight, and that none was forgotten."""
    said = measured("wait_all")
    assert 0 < said["in_flight"] <= said["cap"] < said["tickets"]
    assert said["forgotten"] == 0
    assert 0 < said["kib_per_wait"] < 64
    assert said["cpu_us_per_ticket"] > 0
