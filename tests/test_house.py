"""The measurable house rules of CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.house_rules import cycle, function_lengths, imports, long_files, percentile, private_parts
from tests.support.pages import ROOT

#: Lines that a file may have.
LONGEST_FILE = 300
#: Lines that nine of ten functions may have.
LONG_FUNCTION = 25

PACKAGE = ROOT / "src" / "offpoll"
FOLDERS = [ROOT / name for name in ("src", "proof", "bench", "examples", "docs", "contrib", ".ci")]


def test_no_file_is_too_long() -> None:
    """A file has one concept, which fits into 300 lines."""
    assert long_files(FOLDERS, most=LONGEST_FILE) == {}


def test_no_module_imports_itself() -> None:
    """No module imports itself, even through others. Imports inside functions and for type checking count."""
    assert cycle(imports(PACKAGE)) == []


def test_functions_are_short() -> None:
    """Nine of ten functions have at most 25 lines, docstring included."""
    assert percentile(function_lengths(PACKAGE), 0.9) <= LONG_FUNCTION


@pytest.mark.parametrize("folder", [*FOLDERS, ROOT / "tests"], ids=lambda folder: folder.name)
def test_nothing_rests_on_private_parts_of_asyncio(folder: Path) -> None:
    """The next version of Python may change asyncio's private parts."""
    assert [each for path in folder.rglob("*.py") for each in private_parts(path)] == []


# Each rule can fail


def plant(folder: Path, **modules: str) -> Path:
    """Write a package."""
    package = folder / "package"
    for name, code in {"__init__": "", **modules}.items():
        path = package / f"{name.replace('__of__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return package


def test_a_long_file_is_found(tmp_path: Path) -> None:
    """A file with one line too many is reported."""
    package = plant(tmp_path, short="x = 1\n" * 300, long="x = 1\n" * 301)
    assert long_files([package], most=300) == {package / "long.py": 301}


@pytest.mark.parametrize(
    "back",
    [
        "import package.a\n",
        "from package.a import one\n",
        "from package import a\n",
        "def late():\n    from package import a\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from package.a import One\n",
    ],
)
def test_a_cycle_is_found(tmp_path: Path, back: str) -> None:
    """A cycle is found whatever form the import has, and wherever it stands."""
    package = plant(tmp_path, a="from package import b\n", b="import package.c\n", c=back, d="from package import a\n")
    found = cycle(imports(package))
    assert (found[0], sorted(found[1:])) == (found[-1], ["package.a", "package.b", "package.c"])
    assert "package.b" in found[found.index("package.a") + 1 :][:1] or found[-1] == "package.a"


def test_a_cycle_with_a_package_is_found(tmp_path: Path) -> None:
    """A module imports a name from its own package, whose `__init__` imports the module."""
    package = plant(tmp_path, room__of____init__="from package.room.a import one\n", room__of__a="from package.room import other\n")
    assert set(cycle(imports(package))) == {"package.room", "package.room.a"}


def test_no_cycle(tmp_path: Path) -> None:
    """Two paths to one module make no cycle, and modules of other packages do not count."""
    package = plant(tmp_path, a="from package import b, c\n", b="from package.c import x\n", c="import os\n")
    assert imports(package)["package.a"] == {"package.b", "package.c"}
    assert cycle(imports(package)) == []


def test_long_functions_are_found(tmp_path: Path) -> None:
    """Methods and nested functions count; one function of ten may be longer."""
    short, long = "def f():\n    x = 1\n", "class C:\n    async def g(self):\n" + "        x = 1\n" * 30
    assert sorted(function_lengths(plant(tmp_path, a=short * 9 + long))) == [2] * 9 + [31]
    assert percentile([2] * 19 + [31], 0.9) == 2
    assert percentile([2] * 9 + [31] * 2, 0.9) == 31


@pytest.mark.parametrize(
    "code",
    [
        "loop._ready.append(1)",
        "self._loop._scheduled",
        "asyncio.events._lib",
        "from asyncio.base_events import _run",
        "task._coro",
        "my_task._x",
    ],
)
def test_a_private_part_is_found(tmp_path: Path, code: str) -> None:
    """Private parts of a loop, a task, a future or the module are found. A class may use its own."""
    package = plant(tmp_path, a=code, b="self._loop.time()\nself._ready\nself._task.cancel()\nloop.__class__\n")
    assert len(private_parts(package / "a.py")) == 1
    assert private_parts(package / "b.py") == []
