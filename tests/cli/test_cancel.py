"""`offpoll cancel`: the forms of an operation it accepts, and its ends."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stub_api import ID, SIGNATURE, StubApi

Run = Callable[..., Any]


@pytest.fixture
def canceling(api: StubApi) -> StubApi:
    """An API that answers a cancel with the canceled document."""
    usual = api.answer

    def answer(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/cancel") and api.api is None:
            return 202, {"Content-Type": "application/json"}, api.document("canceled").to_bytes()
        return usual(method, path)

    api.answer = answer  # type: ignore[method-assign]
    return api


def test_by_its_address(offpoll: Run, canceling: StubApi) -> None:
    """One request to the API, with the headers; standard error says what came of it."""
    ended = offpoll("cancel", f"{canceling.base}/order/{ID}", "-H", "Authorization: t")
    assert (ended.code, ended.out, ended.err) == (0, "", f"offpoll: operation {ID} is canceled\n")
    assert canceling.asked() == [f"POST /order/{ID}/cancel"]
    assert canceling.seen[0][2]["authorization"] == "t"


@pytest.mark.parametrize("form", ["the 202 answer in a file", "a ticket in a file", "standard input", "a status link", "a path"])
def test_forms(offpoll: Run, canceling: StubApi, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Whatever a user has of an operation is enough."""
    ticket = offpoll("submit", canceling.base, "order", "-d", "1", "--json").out
    body = json.dumps({**canceling.document("queued").to_dict(), "status_link": canceling.link()})
    (folder / "ticket.json").write_text(ticket if form == "a ticket in a file" else body)
    monkeypatch.setattr(sys, "stdin", io.StringIO(body))
    arguments = {
        "standard input": ("-",),
        "a status link": (canceling.link()["href"], "--api", canceling.base),
        "a path": (f"/order/{ID}", "--api", canceling.base),
    }.get(form, ("ticket.json",))
    ended = offpoll("cancel", *arguments)
    assert (ended.code, f"{ID} is canceled" in ended.err) == (0, True)
    assert canceling.asked()[-1] == f"POST /order/{ID}/cancel"
    assert SIGNATURE not in ended.err


def test_json(offpoll: Run, canceling: StubApi) -> None:
    """`--json` prints the document."""
    assert json.loads(offpoll("cancel", f"{canceling.base}/order/{ID}", "--json").out)["status"] == "canceled"


def test_refused(offpoll: Run, canceling: StubApi) -> None:
    """An operation that has ended cannot be canceled: exit code 5 and the API's words."""
    canceling.api = (409, {}, b'{"title":"The operation has already finished"}')
    ended = offpoll("cancel", f"{canceling.base}/order/{ID}")
    assert (ended.code, "already finished" in ended.err) == (5, True)


def test_usage(offpoll: Run, canceling: StubApi, folder: Path) -> None:
    """No operation, or one whose API is unknown, or credentials for an API that only a file names: exit code 2, and no request."""
    (folder / "ticket.json").write_text(json.dumps({**canceling.document("queued").to_dict(), "status_link": canceling.link()}))
    for arguments in (("nothing.json",), (f"/order/{ID}",), ("ticket.json", "-H", "Authorization: t"), ()):
        assert offpoll("cancel", *arguments).code == 2
    assert canceling.seen == []
