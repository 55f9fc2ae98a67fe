"""Run the unit tests on every released Python from 3.11 on that this machine has: on the path, and under pyenv.

Each has an environment of its own under build/pythons, with the pinned versions. One interpreter per minor version, the first that works;
the one that runs this script is left out, because `make test` uses it. The last lines say what passed, what failed, and what is missing.

    python .ci/pythons.py              all of them
    python .ci/pythons.py 3.12 3.13    only these

Exit codes: 0 nothing failed, 1 the tests of a version failed, or one that you named is not here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / "build" / "pythons"

#: What offpoll is meant to run on. pyproject.toml's classifiers name those of them on which the tests have passed.
WANTED = ("3.11", "3.12", "3.13", "3.14")

#: Not repeated: no interpreter can make a difference to the template, the pages, the house rules, or how containers are described, and
#: the benches only measure.
LEFT_OUT = ("tests/aws/test_template*.py", "tests/bench", "tests/containers", "tests/docs", "tests/test_house.py", "tests/test_pythons.py")

#: Fails where there is no such Python behind the name (a shim of pyenv), or it cannot make environments (Debian without python3-venv).
_PROBE = "import ensurepip, sys, venv; v = sys.version_info; print(f'{v[0]}.{v[1]}' if v.releaselevel == 'final' else '')"

Run = Callable[[Path, str], bool]


def found(path: str, pyenv: Path) -> dict[str, Path]:
    """Return the interpreters by minor version, oldest version first."""
    first: dict[str, Path] = {}
    for python in _named(path, pyenv):
        minor = python.name.removeprefix("python")
        if minor not in first and _number(minor) >= _number(WANTED[0]) and _answers(python) == minor:
            first[minor] = python
    return {minor: first[minor] for minor in sorted(first, key=_number)}


def _named(path: str, pyenv: Path) -> Iterator[Path]:
    """Yield what is called python3.x: in the path's order, then of pyenv's the newest first."""
    of_pyenv = sorted(pyenv.glob("versions/3.*/bin"), key=lambda folder: _number(folder.parent.name), reverse=True)
    for folder in [*(Path(each) for each in path.split(os.pathsep) if each), *of_pyenv]:
        yield from (each for each in sorted(folder.glob("python3.*")) if re.fullmatch(r"python3\.\d+", each.name))


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _answers(python: Path) -> str:
    try:
        return subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def tested(python: Path, minor: str) -> bool:
    """Run the unit tests on an interpreter; tell whether they pass."""
    own = ENVIRONMENTS / minor / "bin" / "python"
    stamp, pins = own.parent / ".installed", (ROOT / "pyproject.toml", ROOT / "constraints.txt")
    if not stamp.exists() or stamp.stat().st_mtime < max(each.stat().st_mtime for each in pins):
        pip = [own, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([python, "-m", "venv", "--clear", ENVIRONMENTS / minor], check=True)
        subprocess.run([*pip, "pip>=25.1"], cwd=ROOT, check=True)
        subprocess.run([*pip, "--constraint", "constraints.txt", "--editable", ".[all]", "--group", "test"], cwd=ROOT, check=True)
        stamp.touch()
    command = [own, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", "-m", "not ministack and not ceph", "-p", "no:cacheprovider"]
    command += [f"--ignore-glob={ROOT / each}" for each in LEFT_OUT]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def report(pythons: dict[str, Path], *, own: str, only: Sequence[str], run: Run) -> tuple[list[str], bool]:
    """Run the tests on each; return what to say of it, and whether all is well."""
    lines, well = [], True
    for minor in sorted({*WANTED, *pythons, *only}, key=_number):
        began = time.monotonic()
        if only and minor not in only:
            continue
        if minor == own:
            lines.append(f"Python {minor}: make test runs it")
        elif minor not in pythons:
            lines.append(f"Python {minor}: not found on this machine")
            well = well and minor not in only
        elif run(pythons[minor], minor):
            lines.append(f"Python {minor}: passed in {time.monotonic() - began:.0f} s, {pythons[minor]}")
        else:
            lines.append(f"Python {minor}: FAILED, {pythons[minor]}")
            well = False
    return lines, well


def main() -> int:
    """Run them, and say so."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines, well = report(found(os.environ.get("PATH", ""), pyenv), own=own, only=sys.argv[1:], run=tested)
    print("", *lines, sep="\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
