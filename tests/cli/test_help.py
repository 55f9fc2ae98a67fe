"""Help that teaches, and loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_the_first_page_lists_the_commands_and_exit_codes(offpoll: Run) -> None:
    """A user who types only `offpoll --help` learns where to start and what the exit codes mean."""
    shown = offpoll("--help")
    assert shown.code == 0
    for text in (
        "dev",
        "submit",
        "wait",
        "serve",
        "work",
        "inspect",
        "resubmit",
        "stats",
        "config",
        "new",
        "deploy",
        "destroy",
        "offpoll dev orders:app",
        "Exit codes: 0 done, 1 failed, 2 usage or configuration",
    ):
        assert text in shown.out


@pytest.mark.parametrize(
    "name", ["new", "deploy", "destroy", "dev", "submit", "wait", "serve", "work", "inspect", "resubmit", "stats", "config"]
)
def test_each_command_shows_an_example(offpoll: Run, name: str) -> None:
    """Every help page has a line to copy."""
    shown = offpoll(name, "--help")
    assert shown.code == 0
    assert "Example: " in shown.out
    assert f"offpoll {name}" in shown.out


def test_the_version_is_the_packages(offpoll: Run) -> None:
    """`--version` prints the package's version and nothing else."""
    from offpoll import __version__

    assert offpoll("--version").out == f"{__version__}\n"


def test_help_imports_no_server_and_no_aws() -> None:
    """A command imports what it needs when it runs."""
    heavy = {"pydantic", "fastapi", "uvicorn", "uvloop", "boto3", "botocore", "ministack", "offpoll.wiring"}
    code = f"import sys, offpoll.cli.commands; print(sorted({heavy!r} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_library_does_not_import_the_command_line() -> None:
    """`import offpoll` loads neither typer nor rich."""
    code = "import sys, offpoll; offpoll.Client; print(sorted({'typer', 'rich', 'offpoll.cli'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("missing", "arguments", "extras"),
    [
        ("typer", ("--help",), "offpoll[cli]"),
        ("uvicorn", ("serve", "shop:app"), "offpoll[cli,server]"),
        ("ministack", ("dev", "shop:app"), "offpoll[cli,dev]"),
        ("yaml", ("deploy", "shop:app", "--stack", "shop"), "offpoll[cli,aws]"),
        ("botocore", ("destroy", "--stack", "shop", "--region", "eu-west-1"), "offpoll[cli,aws]"),
    ],
)
def test_a_missing_extra_is_named(folder: Path, missing: str, arguments: tuple[str, ...], extras: str) -> None:
    """A command without its packages ends with exit code 2 and prints the command that installs them."""
    code = (
        "import importlib.util, sys; real = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *more: None if name == {missing!r} else real(name, *more)\n"
        f"sys.modules[{missing!r}] = None; sys.argv = ['offpoll', *{list(arguments)!r}]\n"
        "from offpoll.cli.main import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert ended.returncode == 2
    assert f'pip install "{extras}"' in ended.stderr
    assert "Traceback" not in ended.stderr
