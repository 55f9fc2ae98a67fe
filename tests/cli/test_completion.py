"""Completion in shells: the scripts, and what they are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import environment


def complete(folder: Path, **given: str) -> str:
    """Run the program as a completion script does."""
    command = [sys.executable, "-m", "offpoll"]
    done = subprocess.run(command, cwd=folder, env=environment(**given), capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(folder: Path, shell: str) -> None:
    """Each shell takes its script, which asks the program itself."""
    script = complete(folder, _OFFPOLL_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "expected"), [("offpoll st", "stats"), ("offpoll wait --time", "--timeout"), ("offpoll dev --rel", "--reload")]
)
def test_words(folder: Path, words: str, expected: str) -> None:
    """Commands and options are completed, in every shell."""
    position = str(len(words.split()) - 1)
    told = [
        complete(folder, _OFFPOLL_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=position),
        complete(folder, _OFFPOLL_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=words),
        complete(folder, _OFFPOLL_COMPLETE="complete_fish", _TYPER_COMPLETE_ARGS=words, _TYPER_COMPLETE_FISH_ACTION="get-args"),
    ]
    assert all(expected in each for each in told), told
