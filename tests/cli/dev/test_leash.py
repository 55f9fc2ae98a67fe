"""A program on a leash ends with the process that holds it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def on_leash(folder: Path, program: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program on a leash, and wait for its first line."""
    (folder / "program.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "-m", "offpoll.cli.dev.leash", "program", "an argument"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "['an argument']\n"
        yield process


@pytest.mark.parametrize("ignoring", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_it_ends_when_the_other_end_is_closed(tmp_path: Path, ignoring: str) -> None:
    """SIGTERM ends it, or a kill if it ignores SIGTERM."""
    program = f"import signal, sys, time\n{ignoring}\nprint(sys.argv[1:], flush=True)\ntime.sleep(60)\n"
    with on_leash(tmp_path, program) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == (1 if ignoring else -signal.SIGTERM)


def test_its_exit_code_is_the_programs(tmp_path: Path) -> None:
    """A program that ends by itself is not delayed."""
    with on_leash(tmp_path, "import sys\nprint(sys.argv[1:], flush=True)\nsys.exit(3)\n") as process:
        assert process.wait(20) == 3
