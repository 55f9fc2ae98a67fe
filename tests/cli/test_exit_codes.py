"""Each exit code means one thing, for every command, however its streams are and whatever signal ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.conftest import environment
from tests.support.pages import page, rows
from tests.support.stub_api import StubApi

from offpoll.cli.commands import app
from offpoll.cli.exit_codes import FAILED, FAULT, INTERRUPTED, MISUSED, READER_GONE, UNAVAILABLE, UNWRITABLE, by_signal

Run = Callable[..., Any]

PATIENCE = 60.0

ID = "5f2b0c8e9d3a47618c1f0e6b7a92d450"

COMMANDS = sorted(each.name or each.callback.__name__ for each in app.registered_commands if each.callback is not None)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield server


def at(server: socket.socket) -> str:
    """Return a server's address."""
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def ran(*arguments: str, folder: Path, shell: str = "", **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the shell's redirections. Its two streams are pipes where the shell says nothing."""
    command = ["bash", "-c", f'exec "$0" -m offpoll "$@" {shell}', sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**given), capture_output=True, text=True, timeout=PATIENCE, check=False)


def piped(*arguments: str, folder: Path) -> tuple[int, str]:
    """Run a command whose reader has left. Return its exit code and what it said."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "offpoll", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written(folder: Path, command: str) -> None:
    """A full disk is no failure of what the command did: 74, with the reason."""
    done = ran(command, "--help", folder=folder, shell=">/dev/full")
    assert (done.returncode, done.stderr) == (UNWRITABLE, "offpoll: standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("config",), ("config", "--json"), ("new", "made")], ids=" ".join)
def test_every_kind_of_output(folder: Path, arguments: tuple[str, ...]) -> None:
    """Full and closed: 74. A reader who has left, as `| head` does: 141, and not a word. Standard error does not matter, nor does input."""
    assert ran(*arguments, folder=folder, shell=">&-").returncode == UNWRITABLE
    again = ("new", "again") if arguments[0] == "new" else arguments
    assert ran(*again, folder=folder, shell=">/dev/full").returncode == UNWRITABLE
    code, said = piped(*(("new", "third") if arguments[0] == "new" else arguments), folder=folder)
    assert (code, "offpoll:" in said) == (READER_GONE, False)
    for number, shell in enumerate(("2>/dev/full", "2>&-", "<&-", "<&- 2>&-")):
        last = ("new", f"made{number}") if arguments[0] == "new" else arguments
        done = ran(*last, folder=folder, shell=shell)
        assert (done.returncode, bool(done.stdout)) == (0, True), shell


def test_a_result_that_cannot_be_written(folder: Path, api: StubApi) -> None:
    """The operation succeeded: not 1, and the command says how to get the result again."""
    for arguments in (("submit", api.base, "order", "-d", "{}", "--wait"), ("submit", api.base, "order", "-d", "{}", "--wait", "--json")):
        done = ran(*arguments, folder=folder, shell=">/dev/full")
        assert done.returncode == UNWRITABLE, done.stderr
        assert f"standard output cannot be written: No space left on device. Wait on with: offpoll wait {api.base}/order/" in done.stderr
        code, said = piped(*arguments, folder=folder)
        assert (code, "Wait on with: offpoll wait" in said) == (READER_GONE, True)
        assert "Traceback" not in said + done.stderr


@pytest.mark.parametrize("shell", ["2>/dev/full", "2>&-"])
def test_messages_that_cannot_be_written(folder: Path, api: StubApi, shell: str) -> None:
    """The result is there, and the exit code is that of the operation."""
    done = ran("submit", api.base, "order", "-d", "{}", "--wait", folder=folder, shell=shell)
    assert (done.returncode, bool(done.stdout)) == (0, True)
    assert ran("inspect", "1", folder=folder, shell=shell).returncode == MISUSED


def test_input_that_is_closed(folder: Path) -> None:
    """It cannot be read, and nothing is sent: a mistake in the command line."""
    done = ran("submit", "http://127.0.0.1:9", "order", "-d", "-", folder=folder, shell="<&-")
    assert (done.returncode, "Traceback" in done.stderr) == (MISUSED, False)


SIGNALLED = [
    ("submit", ("{api}", "order", "-d", "{{}}")),
    ("wait", ("{api}/order/" + ID,)),
    ("cancel", ("{api}/order/" + ID,)),
    ("serve", ("shop:app", "--port", "0")),
    ("work", ("shop:app",)),
    ("inspect", (ID,)),
    ("resubmit", (ID, "shop:app")),
    ("stats", ("shop:app",)),
    ("deploy", ("shop:app", "--stack", "shop", "--yes")),
    ("destroy", ("--stack", "shop", "--yes")),
]


@pytest.mark.parametrize(
    ("command", "arguments", "number"),
    [
        *((command, arguments, signal.SIGTERM) for command, arguments in SIGNALLED),
        *(("wait", SIGNALLED[1][1], number) for number in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_a_signal(folder: Path, silent: socket.socket, command: str, arguments: tuple[str, ...], number: int) -> None:
    """128 and the signal's number, and no traceback, wherever the command waits for an answer."""
    given = dict.fromkeys(("OFFPOLL_BUCKET", "OFFPOLL_RECORDS_TABLE"), "x")
    given |= {f"OFFPOLL_{each}QUEUE_URL": f"{at(silent)}/0/q{each}" for each in ("", "DEAD_LETTER_", "PARKING_")}
    given |= {"OFFPOLL_SECRET": "s" * 32, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}
    command_line = [sys.executable, "-m", "offpoll", command, *(each.format(api=at(silent)) for each in arguments)]
    env = environment(**given, AWS_ENDPOINT_URL=at(silent))
    with subprocess.Popen(command_line, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        connection, _ = silent.accept()
        with connection:
            process.send_signal(number)
            output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Traceback" in output) == (by_signal(number), False), output


def test_ignored_signals(folder: Path, silent: socket.socket) -> None:
    """A background job of a shell ignores Ctrl-C, and still ends by SIGTERM; under `nohup` it survives SIGHUP."""
    command = f'trap "" INT HUP; exec "{sys.executable}" -m offpoll wait {at(silent)}/order/{ID}'
    with subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as process:
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    assert process.returncode == by_signal(signal.SIGTERM)


def test_an_outage_is_no_failure(offpoll: Run) -> None:
    """A dependency that does not respond has its own code, in every command that asks one."""
    given = dict.fromkeys(("OFFPOLL_BUCKET", "OFFPOLL_RECORDS_TABLE"), "x")
    given |= {f"OFFPOLL_{each}QUEUE_URL": f"http://127.0.0.1:9/0/q{each}" for each in ("", "DEAD_LETTER_", "PARKING_")}
    given |= {"OFFPOLL_SECRET": "s" * 32, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}
    for arguments in (("inspect", ID), ("stats", "shop:app"), ("resubmit", ID, "shop:app")):
        ended = offpoll(*arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9", **given)
        assert ended.code == UNAVAILABLE, (arguments, ended.err)


def test_unexpected_errors(offpoll: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An error of the user's own code is a failure; any other is offpoll's fault, and 1 would hide that."""
    names: dict[str, Any] = {}
    exec(compile("def fail(**_): raise KeyError('x')", str(folder / "shop.py"), "exec"), names)
    for function, code, text in ((names["fail"], FAILED, "the app failed: KeyError"), (json.loads, FAULT, "a fault in offpoll")):
        monkeypatch.setattr("offpoll.settings.Settings.load", function)
        ended = offpoll("config")
        assert (ended.code, "Traceback" in ended.err, text in ended.err) == (code, True, True), ended.err


def test_an_interruption_of_the_imports(offpoll: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C has its own code at every moment."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("offpoll.settings.Settings.load", interrupted)
    assert offpoll("config").code == INTERRUPTED
    monkeypatch.setattr(typer.Typer, "__call__", interrupted)
    assert offpoll("config").code == INTERRUPTED


def test_the_documented_codes() -> None:
    """docs/operations.md lists every code once, with what it means."""
    codes = [int(cell) for row in rows(page("docs/operations.md"), "## Exit codes") for cell in row[0].split(", ")]
    assert codes == [0, FAILED, MISUSED, 3, 4, 5, UNAVAILABLE, FAULT, UNWRITABLE, *map(by_signal, (1, 2, 13, 15))]
