"""`offpoll config`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from offpoll import Settings

Run = Callable[..., Any]


def test_every_setting_is_shown_with_its_source(offpoll: Run) -> None:
    """With --json each setting is one object, with everything that a script needs."""
    shown = offpoll("config", "--json", OFFPOLL_LEASE="30")
    settings = {each["name"]: each for each in json.loads(shown.out)}
    assert shown.code == 0
    assert set(settings) == {each.name for each in fields(Settings)}
    assert settings["lease"]["value"] == "30"
    assert settings["lease"]["source"] == "environment"
    assert settings["lease"]["variable"] == "OFFPOLL_LEASE"
    assert settings["timeout"]["source"] == "default"
    assert all(each["doc"] for each in settings.values())


def test_the_table_is_for_people(offpoll: Run) -> None:
    """Without --json each line has variable, value, source and meaning."""
    shown = offpoll("config", OFFPOLL_BUCKET="documents-of-ours").out
    line = next(line for line in shown.splitlines() if "OFFPOLL_BUCKET" in line)
    assert "documents-of-ours" in line
    assert "environment" in line


def test_a_pipe_gets_a_line_for_each_setting(offpoll: Run) -> None:
    """Nothing wraps there, whatever the width: `grep` finds a setting with its value, its source and its meaning."""
    bucket = "b" * 63
    for columns in ("20", "80"):
        shown = offpoll("config", OFFPOLL_BUCKET=bucket, COLUMNS=columns).out.splitlines()
        assert len(shown) == 1 + len(fields(Settings))
        (line,) = (line for line in shown if line.startswith("OFFPOLL_BUCKET "))
        assert line.split(maxsplit=3)[:3] == ["OFFPOLL_BUCKET", bucket, "environment"]


def test_the_secret_is_masked(offpoll: Run) -> None:
    """The output shows that the secret is set, and never its value."""
    secret = "sssshhhhsssshhhhsssshhhhsssshhhh"
    for arguments in (("config",), ("config", "--json")):
        shown = offpoll(*arguments, OFFPOLL_SECRET=secret)
        assert "(set)" in shown.out
        assert secret not in shown.out + shown.err


def test_an_unknown_variable_is_refused(offpoll: Run) -> None:
    """The error names the typo and suggests the nearest variable."""
    ended = offpoll("config", OFFPOLL_LEESE="30")
    assert ended.code == 2
    assert "OFFPOLL_LEESE" in ended.err
    assert "did you mean OFFPOLL_LEASE?" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OFFPOLL_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"),
        ("OFFPOLL_BUCKET", "s3://documents"),
        ("OFFPOLL_RECORDS_TABLE", "arn:aws:s3:::records"),
        ("OFFPOLL_SECRET", "${OFFPOLL_SECRET_OF_SOMEBODY_ELSE_42}"),
        ("OFFPOLL_PORT", "8000"),
    ],
)
def test_impossible_names(offpoll: Run, variable: str, value: str) -> None:
    """A value that cannot be the name of what it names ends the command with exit code 2 and a line that names the variable."""
    shown = offpoll("config", **{variable: value})
    assert shown.code == 2
    assert variable in shown.err


def test_beside_a_service_of_the_same_name(offpoll: Run) -> None:
    """Kubernetes' variables for a Service named offpoll are passed over."""
    links = {"OFFPOLL_SERVICE_HOST": "10.0.0.1", "OFFPOLL_SERVICE_PORT": "8000", "OFFPOLL_PORT": "tcp://10.0.0.1:8000"}
    assert offpoll("config", **links).code == 0
