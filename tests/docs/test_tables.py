"""The documentation's tables, diagrams and links agree with the code."""

from __future__ import annotations

import importlib.util
import json
import re

from tests.support.pages import PAGES, ROOT, SOURCE, blocks, page, rows

from offpoll import Settings, errors
from offpoll.document import MAX_BYTES, Document
from offpoll.operation import TRANSITIONS

_JSON = blocks("json")


def test_the_table_of_settings_is_current() -> None:
    """`make docs` has been run after the last change of a setting."""
    path = ROOT / "docs" / "settings_table.py"
    spec = importlib.util.spec_from_file_location("settings_table", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text() == tool.with_table(tool.PAGE.read_text())


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


def test_permissions_are_the_same_on_both_pages() -> None:
    """The README's table and the JSON of operations.md grant the same."""
    for column, name in ((1, "iam: api"), (2, "iam: worker")):
        block = next(block for block in _JSON if block.how == name)
        policy = {action for statement in json.loads(block.code)["Statement"] for action in statement["Action"]}
        table = rows(page("README.md"), "Permissions, statement by statement:")
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
