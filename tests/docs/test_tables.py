"""The documentation's tables, diagrams and links agree with the code."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import pytest
from tests.support.pages import PAGES, ROOT, SOURCE, blocks, page, rows

from offpoll import Settings, errors, functions
from offpoll.document import MAX_BYTES, Document
from offpoll.operation import TRANSITIONS

_JSON = blocks("json")


@pytest.mark.parametrize(("tool", "rewrite"), [("settings_table", "with_table"), ("layers", "with_pictures"), ("walk", "with_table")])
def test_what_is_generated_is_current(tool: str, rewrite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make docs` has been run after the last change of a setting, of `.importlinter`, or of what an order calls on its way."""
    spec = importlib.util.spec_from_file_location(tool, ROOT / "docs" / f"{tool}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, tool, module)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == getattr(module, rewrite)(module.PAGE.read_text())


def test_every_room_has_a_paragraph() -> None:
    """Whatever stands in `src/offpoll` is in architecture.md, and what is named there stands there."""
    rooms = page("docs/architecture.md").partition("## The parts")[2].partition("## Tests and proofs")[0]
    told = set(re.findall(r"`([a-z_0-9/]+)`", rooms.partition("### Inside")[0]))
    source = ROOT / "src/offpoll"
    there = {f"{path.stem}/" if path.is_dir() else path.stem for path in source.iterdir() if path.suffix in {"", ".py"}}
    assert {name for name in there if not name.startswith("_")} - told == set()
    named = {name.rstrip("/") for name in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]*)`", rooms) if not name.startswith(("tests", "docs"))}
    assert {name for name in named if not list(source.glob(f"{name}*"))} == set()


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_every_page_is_in_its_index(folder: str) -> None:
    """A decision under its own title, too."""
    index = page(f"{folder}/README.md")
    for path in sorted((ROOT / folder).glob("*.md")):
        if path.name != "README.md":
            assert f"({path.name})" in index
            number, _, title = path.read_text().partition("\n")[0].removeprefix("# ").partition(". ")
            assert folder == "docs" or f"| [{number}]({path.name}) | {title} |" in index


def test_names_in_the_package_exist() -> None:
    """Each dotted name leads to a module, or to something in one; Lambda's entry points are made when they are asked for."""
    loggers = {"offpoll.access"}
    for each in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for name in set(re.findall(r"`(offpoll(?:\.\w+)+)`", each.read_text())) - loggers:
            assert name.removeprefix("offpoll.functions.") in functions.__all__ or resolves(name), (each, name)


def resolves(name: str) -> bool:
    module, _, last = name.rpartition(".")
    return hasattr(importlib.import_module(module), last) or importlib.util.find_spec(name) is not None


def test_files_that_are_named_exist() -> None:
    """Where a page sends its reader, something is."""
    for each in PAGES:
        for name in re.findall(r"`((?:src|bench|proof|contrib|examples|tests)/[\w/.-]+)`", each.read_text()):
            assert (ROOT / name).exists(), (each, name)


def test_settings_that_are_named_exist() -> None:
    """No page tells of a variable that would be refused."""
    variables = {each.variable for each in Settings().describe(environ={})}
    for each in PAGES:
        assert set(re.findall(r"\bOFFPOLL_[A-Z_]*[A-Z]", each.read_text())) <= variables, each


def test_the_state_diagram_is_the_table_of_transitions() -> None:
    """What the picture shows is what the code allows."""
    diagram = page("docs/protocol.md").partition("stateDiagram-v2")[2].partition("```")[0]
    drawn = set(re.findall(r"(\S+) --> (\S+)", diagram))
    allowed = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    ends = {(status.value, "[*]") for status, afters in TRANSITIONS.items() if not afters}
    assert drawn == allowed | ends | {("[*]", "queued")}


def test_the_example_document_is_one() -> None:
    """It has every field, in the order in which they are written."""
    block = next(block for block in _JSON if block.how == "document")
    fields = json.loads(block.code)
    document = Document.from_dict(fields)
    assert document.unknown == {}
    assert list(document.to_dict()) == list(fields)
    assert document.to_dict() == fields
    assert len(document.to_bytes()) < MAX_BYTES


def test_the_codes_of_problems_are_complete() -> None:
    """Every code that the API can answer is in the table, and no other."""
    table = page("docs/protocol.md").partition("| status | `code` |")[2].partition("\n\n")[0]
    written = set(re.findall(r"`([a-z_]+)`", table)) - {"authorize", "errors"}
    named_ = {each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.RequestError)}
    assert written == named_ | set(re.findall(r'code="([a-z_]+)"', (ROOT / "src/offpoll/http/problem.py").read_text())) | {
        "operation_failed", "operation_canceled", "not_ready",
    }  # fmt: skip


def test_the_codes_of_operations_exist() -> None:
    """Every code that the table explains is in the source."""
    codes = [code for row in rows(page("docs/protocol.md"), "### Error codes of operations") for code in re.findall(r"^`(\w+)`", row[0])]
    assert len(codes) >= 8
    assert [code for code in codes if f'"{code}"' not in SOURCE] == []


def test_tests_that_are_named_exist() -> None:
    """Each of the five races names tests that play it, and there are such tests."""
    section = page("docs/protocol.md").partition("## Five races, step by step")[2].partition("\n## ")[0]
    races = [set(re.findall(r"`(test_\w+)`", race)) for race in section.split("\n### ")[1:]]
    code = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "src/offpoll/testing/contracts").glob("*.py")]
    written = {name for path in code for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    assert [len(named_) > 2 for named_ in races] == [True] * 5
    assert set().union(*races) <= written


def test_log_lines_that_are_explained_exist() -> None:
    """Who looks for a line finds it."""
    for _, line, *_ in rows(page("docs/operations.md"), "<!-- logs"):
        words = [part.strip(" :") for part in line.strip("`").split("…")]
        assert all(part in SOURCE for part in words), line


def test_permissions_are_the_same_in_table_and_json() -> None:
    """The table and the JSON of operations.md grant the same."""
    for column, name in ((1, "iam: api"), (2, "iam: worker")):
        block = next(block for block in _JSON if block.how == name)
        policy = {action for statement in json.loads(block.code)["Statement"] for action in statement["Action"]}
        table = rows(page("docs/operations.md"), "<!-- permissions -->")
        assert sorted(action for row in table for action in re.findall(r"`(\w+:\w+)`", row[column])) == sorted(
            action for statement in json.loads(block.code)["Statement"] for action in statement["Action"]
        )
        assert not any(re.search(r"List|DeleteObject|\*", action) for action in policy)


def test_links_between_pages_lead_somewhere() -> None:
    """Files and headings that are linked to exist."""
    for each in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", each.read_text()):
            path, _, anchor = target.partition("#")
            file = (each.parent / path).resolve() if path else each
            assert file.exists(), (each, target)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in anchors, (each, target)
