"""docs/deploy.md says of the AWS template what is in it, completely."""

from __future__ import annotations

import re
from typing import Any

from tests.support.cloudformation import EVERYTHING, properties, refusals, source, statements, values
from tests.support.pages import page, rows

PAGE = "docs/deploy.md"


def test_every_parameter_is_explained() -> None:
    """In the template's own words, with the template's own defaults."""
    told = [[cell.strip("`") for cell in row] for row in rows(page(PAGE), "<!-- parameters -->")]
    assert told == [[name, str(each.get("Default", "needed")), each["Description"]] for name, each in source()["Parameters"].items()]


def test_every_resource_is_listed() -> None:
    """And none that is not there."""
    listed = [name for row in rows(page(PAGE), "<!-- resources -->") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(listed) == sorted(source()["Resources"])


def test_every_permission_is_explained() -> None:
    """Statement by statement: actions and resources are those of the template, and there is a reason."""
    told = rows(page(PAGE), "<!-- permissions -->")
    roles = ("ApiRole", "WorkerRole", "DeadLettersRole", "SignerRole")
    granted = {(role, each["Sid"]): each for role in roles for each in statements(role)}
    assert sorted((row[0].strip("`"), row[1].strip("`")) for row in told) == sorted(granted)
    for role, sid, actions, resource, why in told:
        statement = granted[role.strip("`"), sid.strip("`")]
        said = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert re.findall(r"`([^`]+)`", actions) == said
        named = "/".join(re.findall(r"`([^`]+)`", resource))
        assert re.search(rf"[:/]{re.escape(named)}(:\*)?$", statement["Resource"]), (role, sid)
        assert why


def test_every_statement_of_the_bucket_is_explained() -> None:
    """The optional one included."""
    told = [row[0].strip("`") for row in rows(page(PAGE), "<!-- bucket policy -->")]
    assert told == [each["Sid"] for each in properties("DocumentsPolicy", **EVERYTHING)["PolicyDocument"]["Statement"]]


def test_the_table_of_transitions_is_the_rule() -> None:
    """What it says is admitted is, and nothing else is."""
    table = rows(page(PAGE), "<!-- transitions -->")
    heading = next(line for line in page(PAGE).partition("<!-- transitions -->")[2].splitlines() if line.startswith("|"))
    columns = [re.findall(r"`([A-Z_]+)`", cell) for cell in heading.split("|")[2:-1]]
    sizes = {"4 KiB": 4096, "128 KiB": 131_072, "1 MiB": 1_048_576}
    assert [sizes[row[0]] for row in table] == values("TransitionSize")
    for size, *cells in table:
        for classes, cell in zip(columns, cells, strict=True):
            for storage_class in classes:
                admitted = {days for days in values("RetentionDays") if not refused(storage_class, sizes[size], days)}
                said = set() if cell == "never" else {int(each) for each in re.findall(r"\b\d+\b", cell)}
                assert admitted == said, (size, storage_class)


def refused(storage_class: str, size: int, days: int) -> list[Any]:
    return refusals(TransitionClass=storage_class, TransitionSize=size, RetentionDays=days)
