"""`offpoll wait`: the forms of an operation it accepts, its output, its ends, and what it never does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stub_api import ID, ORDER, SIGNATURE, StubApi

from offpoll.link import StatusLink
from offpoll.operation import Progress
from offpoll.ticket import Ticket

Run = Callable[..., Any]


def saved(api: StubApi, **changes: Any) -> str:
    made = Ticket(document=api.document("queued"), link=StatusLink.from_dict(api.link()), location="", retry_after=0).to_json()
    return json.dumps({**json.loads(made), **changes})


def link(api: StubApi) -> str:
    return api.link()["href"]


def own(api: StubApi) -> str:
    return f"{api.base}/order/{ID}"


def test_null_is_a_result(offpoll: Run, api: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that is null is printed as null, and succeeds."""
    monkeypatch.setattr("tests.support.stub_api.ORDER", None)
    ended = offpoll("wait", own(api))
    assert (ended.code, ended.out) == (0, "null\n")
    said = json.loads(offpoll("wait", own(api), "--json").out)
    assert (said["outcome"], said["result"]) == ("succeeded", None)


class TestForms:
    """The forms in which a user can name an operation."""

    def test_a_file(self, offpoll: Run, api: StubApi, folder: Path) -> None:
        """A ticket in a file."""
        (folder / "ticket.json").write_text(saved(api))
        ended = offpoll("wait", "ticket.json")
        assert (ended.code, json.loads(ended.out)) == (0, ORDER)
        assert api.asked() == [f"GET /store/{ID}", f"GET /order/{ID}"]

    def test_a_file_by_curl(self, offpoll: Run, api: StubApi, folder: Path) -> None:
        """The API's 202 answer, as curl stored it: its body, or with `-i` the headers too; and a file with the address alone."""
        body = json.dumps({**api.document("queued").to_dict(), "status_link": api.link()})
        for text in (body, f"HTTP/1.1 202 Accepted\nLocation: /order/{ID}\n\n{body}", own(api) + "\n", json.dumps(own(api))):
            (folder / "ticket.json").write_text(text)
            ended = offpoll("wait", "ticket.json")
            assert (ended.code, json.loads(ended.out)) == (0, ORDER)

    def test_a_path(self, offpoll: Run, api: StubApi) -> None:
        """The `Location` of the 202 answer is a path: the command line has to name the API."""
        assert json.loads(offpoll("wait", f"/order/{ID}", "--api", api.base).out) == ORDER
        assert offpoll("wait", f"/order/{ID}").code == 2

    def test_standard_input(self, offpoll: Run, api: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ticket on stdin."""
        monkeypatch.setattr(sys, "stdin", io.StringIO(saved(api)))
        assert json.loads(offpoll("wait", "-").out) == ORDER

    def test_the_operations_address(self, offpoll: Run, api: StubApi) -> None:
        """The operation's own address; the API gives a link for it."""
        assert json.loads(offpoll("wait", own(api), "-H", "Authorization: t").out) == ORDER
        assert api.asked() == [f"POST /order/{ID}/status-link", f"GET /store/{ID}", f"GET /order/{ID}"]
        assert ["authorization" in headers for _, _, headers in api.seen] == [True, False, True]

    def test_a_status_link(self, offpoll: Run, api: StubApi) -> None:
        """A status link; its document has the API's address."""
        assert json.loads(offpoll("wait", link(api)).out) == ORDER
        assert api.asked() == [f"GET /store/{ID}", f"GET /order/{ID}"]

    @pytest.mark.parametrize("form", ["link", "ticket"])
    def test_credentials_go_where_the_command_says(self, offpoll: Run, api: StubApi, folder: Path, form: str) -> None:
        """A ticket or link from elsewhere does not choose who gets credentials: without `--api` it is refused, and nothing is requested."""
        (folder / "ticket.json").write_text(saved(api))
        operation = link(api) if form == "link" else "ticket.json"
        refused = offpoll("wait", operation, "-H", "Authorization: t")
        assert (refused.code, "--api" in refused.err, api.seen) == (2, True, [])
        assert json.loads(offpoll("wait", operation, "-H", "Authorization: t", "--api", api.base).out) == ORDER
        assert {path.partition("?")[0]: "authorization" in headers for _, path, headers in api.seen} == {
            f"/store/{ID}": False,
            f"/order/{ID}": True,
        }


class TestEnds:
    """How a wait ends."""

    def test_json(self, offpoll: Run, api: StubApi) -> None:
        """One object says how the operation ended and what the wait cost."""
        said = json.loads(offpoll("wait", own(api), "--json").out)
        seconds = said.pop("seconds")
        assert said == {
            "outcome": "succeeded",
            "operation_id": ID,
            "kind": "order",
            "status": "succeeded",
            "result": ORDER,
            "error": None,
            "message": None,
            "polls": 1,
            "api_requests": 2,
        }
        assert 0 <= seconds < 60

    @pytest.mark.parametrize(("status", "code"), [("failed", 1), ("canceled", 3)])
    def test_ended_otherwise(self, offpoll: Run, api: StubApi, status: str, code: int) -> None:
        """A failure and a cancellation each have their own exit code."""
        api.store = api.document(status, error={"code": "sold_out", "message": "no more"} if status == "failed" else None)
        ended = offpoll("wait", own(api))
        assert (ended.code, ended.out) == (code, "")
        assert ("sold_out: no more" if status == "failed" else "was canceled") in ended.err
        said = json.loads(offpoll("wait", own(api), "--json").out)
        assert (said["outcome"], said["status"]) == (status, status)
        assert said["error"] == ({"code": "sold_out", "message": "no more"} if status == "failed" else None)

    def test_time_is_up(self, offpoll: Run, api: StubApi, folder: Path) -> None:
        """Exit code 4, and how to wait on; the ticket stays valid."""
        api.store = api.document("running")
        (folder / "ticket.json").write_text(saved(api))
        ended = offpoll("wait", "ticket.json", "--timeout", "0.05")
        assert (ended.code, ended.out) == (4, "")
        assert "Wait on with: offpoll wait ticket.json" in ended.err
        ended = offpoll("wait", link(api), "--timeout", "0", "--json")
        assert (ended.code, json.loads(ended.out)["outcome"], json.loads(ended.out)["status"]) == (4, "timed_out", "running")
        assert f"Wait on with: offpoll wait {own(api)}" in ended.err
        assert SIGNATURE not in ended.out + ended.err

    def test_refused(self, offpoll: Run, api: StubApi) -> None:
        """An operation unknown to the API gives exit code 5."""
        api.api = (404, {}, b'{"title":"No such operation"}')
        ended = offpoll("wait", own(api))
        assert (ended.code, "No such operation" in ended.err) == (5, True)

    def test_an_expired_link(self, offpoll: Run, api: StubApi) -> None:
        """Exit code 5, and what to use instead; the link is not repeated."""
        api.store = (403, {}, b"<Error><Message>Request has expired</Message></Error>")
        ended = offpoll("wait", link(api))
        assert (ended.code, "operation's own address" in ended.err, SIGNATURE in ended.err) == (5, True, False)

    def test_no_response(self, offpoll: Run) -> None:
        """No response gives exit code 6."""
        ended = offpoll("wait", "http://127.0.0.1:9/store/x?signature=5ecre7")
        assert (ended.code, SIGNATURE in ended.err) == (6, False)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "is empty"),
            ("<html>", "neither JSON nor an address"),
            ("{}", "neither `status_link`"),
            ('{"spec":"offpoll-ticket/2"}', "another version"),
            ('{"spec":"offpoll-ticket/1"}', "cannot be read"),
        ],
    )
    def test_an_invalid_ticket(self, offpoll: Run, api: StubApi, folder: Path, text: str, words: str) -> None:
        """The error says what is wrong with the ticket: exit code 2, and no request."""
        (folder / "ticket.json").write_text(text)
        ended = offpoll("wait", "ticket.json")
        assert (ended.code, words in ended.err, api.seen) == (2, True, [])

    def test_usage(self, offpoll: Run, folder: Path) -> None:
        """No file, no text, no time: exit code 2."""
        (folder / "binary").write_bytes(b"\xff\xfe")
        for arguments in (("nothing.json",), ("binary",), ("nothing.json", "--timeout", "-1"), ()):
            assert offpoll("wait", *arguments).code == 2


class TestShown:
    """What the user sees during a wait."""

    def test_lines(self, offpoll: Run, api: StubApi) -> None:
        """If stderr is no terminal, each change is one line; `--json` omits them."""
        shown = iter([api.document("running", progress=Progress(fraction=0.4, message="packing")), api.document("succeeded", revision=2)])
        api.store_next = lambda: next(shown)
        ended = offpoll("wait", own(api))
        first, last = [line for line in ended.err.splitlines() if " s  order " in line]
        assert "order running  40%  packing  next poll in 0." in first
        assert last.endswith("order succeeded  2 polls")
        api.store_next = None
        assert offpoll("wait", own(api)).err.count("order succeeded") == 1
        assert offpoll("wait", own(api), "--json").err == ""

    def test_interrupted(self, api: StubApi) -> None:
        """Ctrl-C: exit code 130, how to wait on, and nothing else left behind."""
        api.store = api.document("running")
        command = [sys.executable, "-m", "offpoll.cli.main", "wait", link(api), "--timeout", "inf"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        api.interrupt(process, after=2)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, "")
        assert f"the operation goes on. Wait on with: offpoll wait {own(api)}" in err
        assert "Traceback" not in err
        assert SIGNATURE not in err
