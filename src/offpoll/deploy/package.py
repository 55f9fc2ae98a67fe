"""The functions' zip: offpoll as it runs here, what the project requires, and the project.

Decides how they come together for a target. pip chooses and fetches the wheels, by the user's own configuration of it.

    own_wheel ─┐                               ▼ markers: once more, with what holds only there
    requirements.txt ─┴─ pip install --target ─┐
    the project's files ───────────────────────┴─ bytecode ─ contents checked ─ archive
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import offpoll
from offpoll.deploy.archive import Archive, pack
from offpoll.deploy.contents import check_contents, missing
from offpoll.deploy.target import Target, left_out
from offpoll.errors import ConfigurationError, OffpollError

__all__ = ["Package", "build", "compile_for", "gather", "holds", "own_wheel", "project_files"]

#: What pip writes down about an installation: paths and times of this machine.
_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


@dataclass(frozen=True, kw_only=True)
class Package:
    """What is deployed.

    Attributes:
        archive: the zip.
        missing: modules that the project imports, and that are not in it.
        compiled: whether it has bytecode; without, each cold start makes it again.
    """

    archive: Archive
    missing: list[str]
    compiled: bool


def build(project: Path, *, module: str, target: Target, requirements: Path | None, into: Path) -> Package:
    """Make the zip.

    Args:
        project: the folder that the service's module is in.
        module: the service's, as `orders`.
        target: what the functions run on.
        requirements: what the service needs beside offpoll; None for nothing.
        into: a folder for the zip.

    Raises:
        ConfigurationError: the module would not be in it, a file is for another platform, or it is too large.
        OffpollError: pip could not install something.
    """
    with tempfile.TemporaryDirectory(prefix="offpoll-") as scratch:
        folder = Path(scratch, "contents")
        gather(project, target=target, requirements=requirements, into=folder)
        if not holds(folder, module):
            raise ConfigurationError(
                f"{module} is neither in {project} nor comes with the requirements: run the command in the folder of the service"
            )
        compiled = compile_for(target, folder)
        check_contents(folder, target=target)
        absent = missing((project / each for each in project_files(project)), contents=folder)
        return Package(archive=pack(folder, into / "functions.zip"), missing=absent, compiled=compiled)


def gather(project: Path, *, target: Target, requirements: Path | None, into: Path) -> None:
    """Put all that belongs into the zip into a folder.

    Raises:
        ConfigurationError: pip is not there, or a file of the project has the name of something it requires.
        OffpollError: pip could not install something.
    """
    with tempfile.TemporaryDirectory(prefix="offpoll-") as scratch:
        _install_all(own_wheel(Path(scratch)), target=target, requirements=requirements, into=into)
    shutil.rmtree(into / "bin", ignore_errors=True)
    for notes in into.glob("*.dist-info"):
        for name in _NOTES:
            (notes / name).unlink(missing_ok=True)
    for file in project_files(project):
        if (into / file).exists():
            raise ConfigurationError(f"{file} of {project} has the name of a file that one of the requirements brings")
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / file, into / file)


def _install_all(wheel: Path, *, target: Target, requirements: Path | None, into: Path) -> None:
    """Install, and again with what holds only on the target: all at once, so that pip finds versions that fit together."""
    also: list[str] = []
    while True:
        into.mkdir(parents=True)
        _install(wheel, target=target, requirements=requirements, also=list(also), into=into)
        more = [each for each in left_out(into, target=target, requirements=requirements) if each not in also]
        if not more:
            return
        also += more
        shutil.rmtree(into)


def _install(wheel: Path, *, target: Target, requirements: Path | None, also: list[str], into: Path) -> None:
    """Let pip install into a folder. Only wheels: what is built here would be for this machine."""
    if find_spec("pip") is None:
        raise ConfigurationError("building the zip needs pip in this environment: python -m ensurepip, or uv pip install pip")
    constraint = wheel.with_name("constraints.txt")
    constraint.write_text(f"offpoll @ {wheel.as_uri()}\n")  # also where the requirements name offpoll, with or without an extra
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile", "--quiet"]
    command += ["--target", str(into), "--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python]
    command += [part for platform in target.platforms for part in ("--platform", platform)]
    command += ["--constraint", str(constraint), str(wheel), *also] + (["--requirement", str(requirements)] if requirements else [])
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-3:]
        raise OffpollError(f"pip cannot install the requirements for {target.runtime} on {target.architecture}:\n" + "\n".join(said))


#: Packages that no function imports.
_LEFT_OUT = frozenset({"cli", "deploy", "testing", "__pycache__"})

_WHEEL = "Wheel-Version: 1.0\nGenerator: offpoll\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder, and return its path. Its metadata is the installed package's: requirements and extras count."""
    metadata = distribution("offpoll").read_text("METADATA") or ""
    root, name = Path(offpoll.__file__).parent, f"offpoll-{offpoll.__version__}"
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for each in sorted(root.rglob("*")):
            inside = each.relative_to(root)
            if each.is_file() and not _LEFT_OUT.intersection(inside.parts):
                wheel.write(each, Path("offpoll", inside).as_posix())
        written = [*wheel.namelist(), f"{name}.dist-info/METADATA", f"{name}.dist-info/WHEEL", f"{name}.dist-info/RECORD"]
        wheel.writestr(f"{name}.dist-info/METADATA", metadata)
        wheel.writestr(f"{name}.dist-info/WHEEL", _WHEEL)
        wheel.writestr(f"{name}.dist-info/RECORD", "".join(f"{each},,\n" for each in written))
    return path


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


#: Where Lambda unpacks the zip: what tracebacks name.
_TASK = "/var/task"


def compile_for(target: Target, folder: Path) -> bool:
    """Put bytecode beside every module. Return whether there is an interpreter that can make it.

    It is never compared with its source again: Lambda's files have other times than these.
    """
    python = sys.executable if target.python == f"{sys.version_info.major}.{sys.version_info.minor}" else shutil.which(target.runtime)
    if python is None:
        return False
    command = [python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", _TASK, str(folder)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # the order of a set of constants is written down
    subprocess.run(command, env=env, capture_output=True, check=False)  # noqa: S603 - a file that is no Python stays as it is
    return True
