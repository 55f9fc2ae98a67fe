"""The garbage collector of a process that serves or works."""

from __future__ import annotations

import subprocess
import sys


def test_a_started_process_is_settled() -> None:
    """What the process has is frozen, and the collector looks more rarely. In a process of its own: this is for good."""
    program = "import gc; from offpoll.cli.collector import settle; settle(); print(gc.get_freeze_count() > 1000, gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "10000"]
