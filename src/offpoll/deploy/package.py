"""Builds the functions' zip for a target: offpoll as it is installed here, the requirements, and the project's files.

pip chooses and fetches the wheels, as the user has configured it.

    offpoll's own wheel ─┐                     ▼ once more, with the requirements that hold only on the target
    requirements.txt ────┴─ pip install ───────┐
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
from offpoll.deploy.contents import check_contents, missing_modules
from offpoll.deploy.target import Target, missing_requirements
from offpoll.errors import ConfigurationError, OffpollError

__all__ = ["Package", "build", "gather", "has_module", "project_files"]

#: offpoll's packages that no function imports.
_UNUSED_PACKAGES = frozenset({"cli", "deploy", "testing", "__pycache__"})

_WHEEL = "Wheel-Version: 1.0\nGenerator: offpoll\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

#: Files that pip writes about an installation: paths and times of this machine.
_PIP_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")

#: The project's folders that are generated or for people, beside hidden ones and virtual environments.
_SKIPPED_FOLDERS = frozenset({"__pycache__", "build", "dist", "docs", "node_modules", "tests", "venv"})

_SKIPPED_PREFIXES, _SKIPPED_SUFFIXES = (".", "test_"), ("_test.py", ".pyc", ".pyo", ".zip")

#: Where Lambda unpacks the zip; tracebacks name it.
_TASK = "/var/task"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A built zip.

    Attributes:
        archive: the zip.
        missing: modules that the project imports and the zip lacks.
        compiled: whether it has bytecode; without it, each cold start compiles again.
    """

    archive: Archive
    missing: list[str]
    compiled: bool


def build(project: Path, *, module: str, target: Target, requirements: Path | None, into: Path) -> Package:
    """Build the zip into a folder. `module` is the app's, in the folder `project`; `requirements` are the app's beside offpoll.

    Raises:
        ConfigurationError: the zip would lack the module, have a file for another platform, or be too large.
        OffpollError: pip could not install a requirement.
    """
    with tempfile.TemporaryDirectory(prefix="offpoll-") as scratch:
        folder = Path(scratch, "contents")
        gather(project, target=target, requirements=requirements, into=folder)
        if not has_module(folder, module):
            raise ConfigurationError(
                f"{module} is neither in {project} nor comes with the requirements: run the command in the folder of the app"
            )
        compiled = _compile(folder, target=target)
        check_contents(folder, target=target)
        missing = missing_modules((project / each for each in project_files(project)), contents=folder)
        return Package(archive=pack(folder, into / "functions.zip"), missing=missing, compiled=compiled)


def gather(project: Path, *, target: Target, requirements: Path | None, into: Path) -> None:
    """Put everything that belongs into the zip into a folder.

    Raises:
        ConfigurationError: pip is missing, or one of the project's files has the name of a requirement's file.
        OffpollError: pip could not install a requirement.
    """
    with tempfile.TemporaryDirectory(prefix="offpoll-") as scratch:
        _install_all(_own_wheel(Path(scratch)), target=target, requirements=requirements, into=into)
    shutil.rmtree(into / "bin", ignore_errors=True)
    for notes in into.glob("*.dist-info"):
        for name in _PIP_NOTES:
            (notes / name).unlink(missing_ok=True)
    for file in project_files(project):
        if (into / file).exists():
            raise ConfigurationError(f"{file} of {project} has the name of a file that one of the requirements brings")
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / file, into / file)


def project_files(folder: Path) -> Iterator[Path]:
    """Yield a project's files, relative to its folder, in order. Does not follow links to folders."""
    for where, folders, names in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(each for each in folders if not _is_skipped(here / each))
        for name in sorted(names):
            if not name.startswith(_SKIPPED_PREFIXES) and not name.endswith(_SKIPPED_SUFFIXES) and name != "conftest.py":
                yield (here / name).relative_to(folder)


def has_module(folder: Path, module: str) -> bool:
    """Tell whether Python would find a module in a folder."""
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _own_wheel(folder: Path) -> Path:
    """Write offpoll's wheel into a folder and return its path. The metadata is the installed package's: pip reads requirements from it."""
    metadata = distribution("offpoll").read_text("METADATA") or ""
    root, name = Path(offpoll.__file__).parent, f"offpoll-{offpoll.__version__}"
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for each in sorted(root.rglob("*")):
            inside = each.relative_to(root)
            if each.is_file() and not _UNUSED_PACKAGES.intersection(inside.parts):
                wheel.write(each, Path("offpoll", inside).as_posix())
        written = [*wheel.namelist(), f"{name}.dist-info/METADATA", f"{name}.dist-info/WHEEL", f"{name}.dist-info/RECORD"]
        wheel.writestr(f"{name}.dist-info/METADATA", metadata)
        wheel.writestr(f"{name}.dist-info/WHEEL", _WHEEL)
        wheel.writestr(f"{name}.dist-info/RECORD", "".join(f"{each},,\n" for each in written))
    return path


def _install_all(wheel: Path, *, target: Target, requirements: Path | None, into: Path) -> None:
    """Install, then start over with requirements that hold only on the target, in one run: pip must choose versions that fit together."""
    also: list[str] = []
    while True:
        into.mkdir(parents=True)
        _install(wheel, target=target, requirements=requirements, also=list(also), into=into)
        more = [each for each in missing_requirements(into, target=target, requirements=requirements) if each not in also]
        if not more:
            return
        also += more
        shutil.rmtree(into)


def _install(wheel: Path, *, target: Target, requirements: Path | None, also: list[str], into: Path) -> None:
    """Let pip install into a folder, from wheels only: a package built here would be for this machine."""
    if find_spec("pip") is None:
        raise ConfigurationError("building the zip needs pip in this environment: python -m ensurepip, or uv pip install pip")
    constraint = wheel.with_name("constraints.txt")
    constraint.write_text(f"offpoll @ {wheel.as_uri()}\n")  # holds even if the requirements name offpoll, with or without an extra
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile", "--quiet"]
    command += ["--target", str(into), "--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python]
    command += [part for platform in target.platforms for part in ("--platform", platform)]
    command += ["--constraint", str(constraint), str(wheel), *also] + (["--requirement", str(requirements)] if requirements else [])
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-3:]
        raise OffpollError(f"pip cannot install the requirements for {target.runtime} on {target.architecture}:\n" + "\n".join(said))


def _is_skipped(folder: Path) -> bool:
    name = folder.name
    return name.startswith(".") or name in _SKIPPED_FOLDERS or name.endswith(".egg-info") or (folder / "pyvenv.cfg").is_file()


def _compile(folder: Path, *, target: Target) -> bool:
    """Put bytecode beside every module. Return whether the target's interpreter is installed here to compile it.

    Python will not compare the bytecode with its source: the files have other times in Lambda.
    """
    python = sys.executable if target.python == f"{sys.version_info.major}.{sys.version_info.minor}" else shutil.which(target.runtime)
    if python is None:
        return False
    command = [python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", _TASK, str(folder)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # bytecode records the order of a set of constants
    subprocess.run(command, env=env, capture_output=True, check=False)  # noqa: S603 - a file that is not valid Python stays as it is
    return True
