"""The benches run and say what they measured. How fast anything is, is not asserted: CI's machines are shared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize("name", ["presign", "wire", "accept", "work", "imports"])
def test_it_ends_with_ratios(name: str) -> None:
    """The last line is one JSON object that names the bench and gives a positive ratio for each peer."""
    command = [sys.executable, str(BENCH / f"{name}.py"), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["bench"] == name
    assert said["ratios"]
    assert all(isinstance(ratio, int | float) and ratio > 0 for ratio in said["ratios"].values())
