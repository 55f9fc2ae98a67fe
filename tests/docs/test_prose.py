"""The prose linter finds what it is there for, and takes code for code. `make lint` runs it over every page."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "page.md"


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    """The linter, which needs proselint (dependency group `check`)."""
    pytest.importorskip("proselint")
    spec = importlib.util.spec_from_file_location("prose", ROOT / "docs" / "prose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.CheckRegistry().register_many(module.proselints_checks)
    return module


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("One.\n\n" + "x" * 120, 3, "120 characters"),
        ("Whoever holds a link can read.", 1, "name the person"),
        ("It lives for\nso\nmany seconds.", 2, "give the number"),
        ("It is the worker that renews.", 1, "put the agent first"),
        ("Once.\n\n" + "\n".join(f"d{number}" for number in range(36)) + ".", 3, "words in one sentence"),
        ("This is very good.", 1, "weasel_words"),
        ("The the worker.", 1, "lexical_illusions"),
    ],
)
def test_it_finds_what_we_do_not_write(prose: ModuleType, text: str, line: int, found: str) -> None:
    """Each finding names its line and says what to do."""
    faults = list(prose.faults(PAGE, text))
    assert [(fault.line, found in fault.text) for fault in faults] == [(line, True)]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nwhoever = 'very'\n```",
        "    whoever, in an indented block\n\n    and on",
        "Call `whoever` and `whoever`.",
        "<!-- whoever: a comment -->",
        "".join(f"| cell number {number} " for number in range(20)) + "|",
        "Read [the page](whoever.md).",
    ],
)
def test_code_and_tables_are_not_prose(prose: ModuleType, text: str) -> None:
    """Names in code are what they are, and a table's row cannot be wrapped."""
    assert list(prose.faults(PAGE, text)) == []


def test_every_page_is_read(prose: ModuleType) -> None:
    """README, docs, decisions, contributing, the changelog and the examples."""
    names = {str(path.relative_to(ROOT)) for path in prose.pages()}
    assert names >= {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/protocol.md",
        "docs/decisions/README.md",
        "examples/orders/README.md",
    }
    assert all(Path(ROOT / name).exists() for name in names)


def test_each_exception_has_its_reason(prose: ModuleType) -> None:
    """A check that is off says why."""
    assert all(len(reason.split()) > 3 for reason in prose.EXCEPTIONS.values())
