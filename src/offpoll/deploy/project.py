"""The user's own files. Decides which of a folder's files belong to the service; must not know what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["holds", "project_files"]

#: Folders that are made, or are for people: not what a function imports. Hidden ones neither, and no virtual environment.
_FOLDERS = frozenset({"__pycache__", "build", "dist", "docs", "node_modules", "tests", "venv"})

_PREFIXES, _SUFFIXES = (".", "test_"), ("_test.py", ".pyc", ".pyo", ".zip")


def project_files(folder: Path) -> Iterator[Path]:
    """Return the files of a project, relative to its folder, in order. Links to folders are not followed."""
    for where, folders, names in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(each for each in folders if not _is_left_out(here / each))
        for name in sorted(names):
            if not name.startswith(_PREFIXES) and not name.endswith(_SUFFIXES) and name != "conftest.py":
                yield (here / name).relative_to(folder)


def holds(folder: Path, module: str) -> bool:
    """Tell whether a folder has a module, as Python would find it."""
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _is_left_out(folder: Path) -> bool:
    name = folder.name
    return name.startswith(".") or name in _FOLDERS or name.endswith(".egg-info") or (folder / "pyvenv.cfg").is_file()
