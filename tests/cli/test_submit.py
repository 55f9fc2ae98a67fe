"""`offpoll submit`: what it sends, what it prints, and its exit codes."""

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

from offpoll.ticket import Ticket

Run = Callable[..., Any]

PROBLEM = json.dumps({"title": "The input is not valid", "detail": "quantity: missing"}).encode()


def test_the_address_is_printed(offpoll: Run, api: StubApi) -> None:
    """stdout has the operation's address and nothing else, and no link. `offpoll wait` accepts it."""
    ended = offpoll("submit", api.base, "order", "-d", '{"sku": "A1"}')
    assert (ended.code, ended.out) == (0, f"{api.base}/order/{ID}\n")
    assert f"offpoll wait {api.base}/order/{ID}" in ended.err
    assert SIGNATURE not in ended.out + ended.err
    assert json.loads(offpoll("wait", ended.out.strip()).out) == ORDER


def test_the_ticket_is_printed(offpoll: Run, api: StubApi, folder: Path) -> None:
    """`--json` prints the ticket, for a file that `offpoll wait` reads."""
    ended = offpoll("submit", api.base, "order", "-d", "1", "--json")
    assert Ticket.from_json(ended.out).operation_id == ID
    (folder / "ticket.json").write_text(ended.out)
    assert json.loads(offpoll("wait", "ticket.json").out) == ORDER


def test_the_request(offpoll: Run, api: StubApi) -> None:
    """The request has JSON, the headers, and a key: a new one each time, or the given one."""
    offpoll("submit", api.base, "order", "-d", "1", "-H", "Authorization: Bearer t:1", "--header", "X-Trace:  7")
    offpoll("submit", api.base, "order", "-d", "1", "--idempotency-key", "mine")
    offpoll("submit", f"{api.base}/", "order", "-d", "1")
    (_, path, first), (_, _, second), (_, _, third) = api.seen
    assert (path, first["authorization"], first["x-trace"], first["content-type"]) == ("/order", "Bearer t:1", "7", "application/json")
    assert (second["idempotency-key"], len(first["idempotency-key"]), len(third["idempotency-key"])) == ("mine", 32, 32)
    assert first["idempotency-key"] != third["idempotency-key"]
    assert "authorization" not in second


@pytest.mark.parametrize("form", ["@order.json", "-", "@-"])
def test_input_from_elsewhere(offpoll: Run, api: StubApi, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The input may come from a file or stdin, and headers from a file."""
    (folder / "order.json").write_text('{"name": "Zoë"}')
    (folder / "headers").write_text("Authorization: Bearer t\n\nX-Trace: 7\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"name": "Zoë"}'))
    assert offpoll("submit", api.base, "order", "-d", form, "-H", "@headers").code == 0
    assert json.loads(api.bodies[0]) == {"name": "Zoë"}
    assert (api.seen[0][2]["authorization"], api.seen[0][2]["x-trace"]) == ("Bearer t", "7")


def test_a_kind_without_input(offpoll: Run, api: StubApi) -> None:
    """Without `-d` the input is an empty object, which is what a kind without input takes."""
    assert offpoll("submit", api.base, "refresh").code == 0
    (_, path, headers) = api.seen[0]
    assert (path, headers["content-length"]) == ("/refresh", "2")


def test_waiting_at_once(offpoll: Run, api: StubApi) -> None:
    """`--wait` prints the result, and with `--json` everything as one object."""
    ended = offpoll("submit", api.base, "order", "-d", "1", "--wait")
    assert (ended.code, json.loads(ended.out)) == (0, ORDER)
    said = json.loads(offpoll("submit", api.base, "order", "-d", "1", "--wait", "--json").out)
    assert (said["outcome"], said["result"], said["operation_id"], said["polls"], said["api_requests"]) == ("succeeded", ORDER, ID, 1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-d", "{"),
        ("-d", "NaN"),
        ("-d", "@nothing.json"),
        ("-d", "1", "-H", "no header"),
        ("-d", "1", "-H", "@nothing"),
        ("-d", "1", "-H", "X: a\nb"),
        ("-d", "1", "--ca", "nothing.pem"),
        ("-d", "1", "--proxy", "nonsense"),
    ],
)
def test_usage(offpoll: Run, api: StubApi, arguments: tuple[str, ...]) -> None:
    """Arguments that cannot be sent give exit code 2, and no request."""
    ended = offpoll("submit", api.base, "order", *arguments)
    assert (ended.code, ended.out, api.seen) == (2, "", [])
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("url", "kind"), [("api.test", "order"), ("https://u@api.test", "order"), ("http://127.0.0.1:9", "../x")])
def test_no_api(offpoll: Run, url: str, kind: str) -> None:
    """An invalid address or kind gives exit code 2."""
    assert offpoll("submit", url, kind, "-d", "1").code == 2


def test_refused(offpoll: Run, api: StubApi) -> None:
    """A refusal gives exit code 5 and the API's own words. stdout has nothing, or one object."""
    api.api = (422, {"Content-Type": "application/problem+json"}, PROBLEM)
    ended = offpoll("submit", api.base, "order", "-d", "1")
    assert (ended.code, ended.out) == (5, "")
    assert "quantity: missing" in ended.err
    said = json.loads(offpoll("submit", api.base, "order", "-d", "1", "--json").out)
    assert (said["outcome"], said["operation_id"]) == ("refused", None)
    assert "quantity: missing" in said["message"]


def test_control_characters_of_a_stranger(offpoll: Run, api: StubApi) -> None:
    """Control characters in a response never reach the terminal."""
    api.api = (400, {}, json.dumps({"title": "\x1b]0;owned\x07", "detail": "\x1b[2J"}).encode())
    assert "\x1b" not in offpoll("submit", api.base, "order", "-d", "1").err


def test_interrupted_before_there_is_a_ticket(api: StubApi) -> None:
    """Ctrl-C while the API has not responded: exit code 130, and how to repeat safely."""
    api.hold.clear()
    command = [sys.executable, "-m", "offpoll.cli.main", "submit", api.base, "order", "-d", "1", "--idempotency-key", "k1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    api.interrupt(process)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "repeat it with --idempotency-key k1" in err
    assert "Traceback" not in err
