"""`offpoll new`: a project that runs, tests itself and deploys."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_new_project_is_complete(offpoll: Run, folder: Path) -> None:
    """Its tests pass, its app loads, and its requirements are its imports. The command lists the files and the next steps."""
    ended = offpoll("new", "made/shop")
    assert ended.code == 0, ended.err
    made = folder / "made" / "shop"
    assert {str(each.relative_to(folder)) for each in made.iterdir()} == set(ended.out.splitlines())
    assert "cd made/shop && offpoll dev orders:app" in ended.err
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=made, env=env, capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout
    code = "from offpoll.wiring import load_app; print(*load_app('orders:app').kinds(__import__('offpoll').Settings()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=made, capture_output=True, text=True, check=True).stdout == "order\n"
    assert (made / "requirements.txt").read_text() == "pydantic>=2.11,<3\n"


def test_an_empty_folder_is_accepted(offpoll: Run, folder: Path) -> None:
    """The folder may exist already."""
    (folder / "shop").mkdir()
    assert offpoll("new", "shop").code == 0
    assert (folder / "shop" / "orders.py").is_file()


@pytest.mark.parametrize("there", [".git", "orders.py"])
def test_nothing_is_overwritten(offpoll: Run, folder: Path, there: str) -> None:
    """A folder with anything in it is refused, even a hidden file."""
    (folder / "shop").mkdir()
    (folder / "shop" / there).write_text("mine")
    ended = offpoll("new", "shop")
    assert ended.code == 2
    assert "shop is not empty, and nothing was written" in ended.err
    assert [(each.name, each.read_text()) for each in (folder / "shop").iterdir()] == [(there, "mine")]


def test_a_path_that_is_no_folder(offpoll: Run, folder: Path) -> None:
    """A file of that name is refused."""
    (folder / "shop").write_text("mine")
    ended = offpoll("new", "shop")
    assert ended.code == 2
    assert "shop: File exists" in ended.err
