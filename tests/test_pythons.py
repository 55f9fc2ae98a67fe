"""CI's run of the unit tests on every Python: the interpreters it takes, and its report on each."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.cloudformation import source
from tests.support.pages import ROOT, page


@pytest.fixture(scope="module")
def pythons() -> ModuleType:
    """Return CI's script as a module."""
    spec = importlib.util.spec_from_file_location("ci_pythons", ROOT / ".ci" / "pythons.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpreter(folder: Path, name: str, *, answer: str = "", code: int = 0) -> Path:
    """Put a stand-in for an interpreter into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {answer or name.removeprefix('python')}\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_one_of_each_version(pythons: ModuleType, tmp_path: Path) -> None:
    """The first working one on the path is taken, then pyenv's newest; versions are sorted as numbers."""
    first, second, pyenv = tmp_path / "first", tmp_path / "second", tmp_path / "pyenv"
    a = interpreter(first, "python3.13")
    interpreter(second, "python3.13")
    interpreter(first, "python3.12", answer="", code=127)  # a shim of pyenv with no version behind it
    b = interpreter(second, "python3.12")
    interpreter(pyenv / "versions" / "3.9.18" / "bin", "python3.9")
    interpreter(pyenv / "versions" / "3.11.7" / "bin", "python3.11")
    c = interpreter(pyenv / "versions" / "3.11.10" / "bin", "python3.11")
    assert list(pythons.found(f"{first}::{second}:{tmp_path / 'nowhere'}", pyenv).items()) == [("3.11", c), ("3.12", b), ("3.13", a)]


@pytest.mark.parametrize("name", ["python3", "python3.10", "python3.13t", "python3.13-config", "python2.7"])
def test_others_are_not_asked(pythons: ModuleType, tmp_path: Path, name: str) -> None:
    """Older and free-threaded versions, and commands that only begin with such a name, are not started."""
    interpreter(tmp_path, name)
    assert pythons.found(str(tmp_path), tmp_path) == {}


def test_one_that_is_not_released(pythons: ModuleType, tmp_path: Path) -> None:
    """A pre-release does not print a version, and is left out."""
    interpreter(tmp_path, "python3.14", answer="''")
    assert pythons.found(str(tmp_path), tmp_path) == {}


def test_the_probe(pythons: ModuleType) -> None:
    """The interpreter that runs this test reports its own version."""
    assert pythons._answers(Path(sys.executable)) == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_report(pythons: ModuleType) -> None:
    """Each version passed, failed, is left to `make test`, or is missing. A failure fails the run after the others have run."""
    here = {"3.11": Path("/a"), "3.12": Path("/b"), "3.13": Path("/c"), "3.15": Path("/d")}
    asked: list[str] = []

    def run(python: Path, minor: str) -> bool:
        asked.append(minor)
        return minor != "3.12"

    lines, well = pythons.report(here, own="3.11", only=(), run=run)
    assert (asked, well) == (["3.12", "3.13", "3.15"], False)
    assert lines == [
        "Python 3.11: make test runs it",
        "Python 3.12: FAILED, /b",
        "Python 3.13: passed in 0 s, /c",
        "Python 3.14: not found on this machine",
        "Python 3.15: passed in 0 s, /d",
    ]
    assert pythons.report(here, own="3.11", only=["3.13"], run=run) == (["Python 3.13: passed in 0 s, /c"], True)


def test_a_named_version_must_exist(pythons: ModuleType) -> None:
    """A missing version fails the run only if the user named it."""
    assert pythons.report({}, own="3.11", only=(), run=lambda *_: True)[1]
    assert pythons.report({}, own="3.11", only=["3.14"], run=lambda *_: True) == (["Python 3.14: not found on this machine"], False)


def test_the_excluded_tests_exist(pythons: ModuleType) -> None:
    """A test that moves cannot silently leave the list of exclusions, or join it."""
    assert all(list(ROOT.glob(each)) for each in pythons.LEFT_OUT)


def test_claimed_versions_are_tested(pythons: ModuleType) -> None:
    """The classifiers and README name only tested versions, and Lambda's default is the newest of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = [each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert project["requires-python"] == f">={claimed[0]}"
    assert claimed == list(pythons.WANTED[: len(claimed)])
    assert f"ested on Python {', '.join(claimed[:-1])} and {claimed[-1]}" in page("README.md").replace("\n", " ")
    assert source()["Parameters"]["Runtime"]["Default"] == f"python{claimed[-1]}"
