"""`offpoll new`: a project to begin with. Its files are those of the folder `skeleton`, as they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from offpoll.errors import ConfigurationError

__all__ = ["FILES", "new"]

#: What is written, and the file of the skeleton that it is: one that begins with a dot would be left out of some packages.
FILES = {
    "orders.py": "orders.py",
    "test_orders.py": "test_orders.py",
    "requirements.txt": "requirements.txt",
    "README.md": "README.md",
    ".gitignore": "gitignore",
}


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; an empty one may be there.", show_default=False)],
) -> None:
    """Write a project that runs and deploys: a service with one kind of operation, its tests, and what it requires.

    Nothing is overwritten: a folder with anything in it is refused.

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
    typer.echo(f"next: cd {folder} && offpoll dev orders:app; README.md says the rest", err=True)
