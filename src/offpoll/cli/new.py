"""`offpoll new`: writes a starting project, from the files in the folder `skeleton`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from offpoll.errors import ConfigurationError

__all__ = ["FILES", "new"]

#: The files to write, and their sources in the skeleton. Some packages would leave out a source whose name begins with a dot.
FILES = {
    "orders.py": "orders.py",
    "test_orders.py": "test_orders.py",
    "requirements.txt": "requirements.txt",
    "README.md": "README.md",
    ".gitignore": "gitignore",
}


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create; it may exist if it is empty.", show_default=False)],
) -> None:
    """Write a project that runs and deploys: an app with one kind of operation, its tests and its requirements.

    It overwrites nothing, and refuses a folder that is not empty.

    Exit codes: 0 written; 2 refused.

    Example: `offpoll new shop && cd shop && offpoll dev orders:app`
    """
    skeleton = files("offpoll.cli") / "skeleton"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty, and nothing was written: choose another folder")
        for name, source in FILES.items():
            (folder / name).write_text((skeleton / source).read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from error
    for name in FILES:
        print(folder / name)
    typer.echo(f"next: cd {folder} && offpoll dev orders:app; README.md has the rest", err=True)
