"""How `offpoll serve` ends, whoever ends it, and that nothing is left of it: with one process, and with workers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.absent_stores import VARIABLES
from tests.support.process_watch import PATIENCE, ProcessWatch, command_line, descendants
from tests.support.servers import free_port

from offpoll.cli.serve import KEEP_ALIVE

Start = Callable[..., subprocess.Popen[str]]
Run = Callable[..., Any]

#: An app whose lifespan a file can break, and whose import too, but only in a worker.
APP = """
import multiprocessing, os, pathlib
from contextlib import asynccontextmanager
from offpoll import Offpoll
if os.environ.get("BREAK_IMPORT") and multiprocessing.parent_process():
    raise ImportError("no such library in a worker")
@asynccontextmanager
async def lifespan(app):
    if pathlib.Path("broken").exists():
        raise RuntimeError("the database is not there")
    if os.environ.get("ONLY_ONE"):
        os.close(os.open("taken", os.O_CREAT | os.O_EXCL))
    yield None
app = Offpoll(lifespan=lifespan)
@app.operation("order")
async def order(x: dict) -> dict:
    return x
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the app in `shop.py`."""
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


class Api:
    """`offpoll serve` in a process group of its own, and its workers."""

    def __init__(self, start: Start, *options: str, workers: int, **variables: str) -> None:
        self.port, self.count = free_port(), workers
        self.watch = ProcessWatch()
        options = ("--port", str(self.port), "--workers", str(workers), *options)
        self.process = start("serve", "shop:app", *options, **{**VARIABLES, **variables})

    def until_it_serves(self) -> Api:
        """Wait for every worker."""
        if self.count == 1:
            self.watch.read_until(self.process, "listening on")
            while not self.status():
                time.sleep(0.05)
        for _ in range(self.count if self.count > 1 else 0):
            self.watch.read_until(self.process, " serves")
        return self

    def workers(self) -> set[int]:
        return {pid for pid in descendants(self.process.pid) if "spawn_main" in command_line(pid)}

    def status(self) -> int:
        """Ask on a new connection; 0 if nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status
        except ConnectionRefusedError:
            return 0
        finally:
            connection.close()

    def ended(self) -> tuple[int, str]:
        """Wait for its end; nothing of it is left."""
        output = self.watch.read_to_end(self.process)
        self.watch.assert_gone(ports=[self.port])
        return self.process.returncode, output


@pytest.fixture
def serve(start: Start) -> Iterator[Callable[..., Api]]:
    """Start the API, and end what a failed test leaves of it."""
    made: list[Api] = []

    def begin(*options: str, workers: int, **variables: str) -> Api:
        made.append(Api(start, *options, workers=workers, **variables))
        return made[-1]

    yield begin
    for api in made:
        api.watch.see(api.process.pid)
        for pid in api.watch.pids:
            if "offpoll" in command_line(pid) or "spawn_main" in command_line(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_lifespan_that_fails(serve: Callable[..., Api], folder: Path, workers: int) -> None:
    """If the app's lifespan fails in every process, that is a failure, so that a service manager starts it again."""
    (folder / "broken").touch()
    code, output = serve(workers=workers).ended()
    assert code == 1, output
    assert "the database is not there" in output
    assert "offpoll: the API could not start" in output


def test_a_lifespan_that_fails_in_one_worker(serve: Callable[..., Api]) -> None:
    """If one worker cannot start, the others end too."""
    code, output = serve(workers=2, ONLY_ONE="1").ended()
    assert code == 1, output
    assert "FileExistsError" in output


def test_an_import_that_fails_in_a_worker(serve: Callable[..., Api]) -> None:
    """The same for what cannot be imported there, and the reason is in the log."""
    code, output = serve(workers=2, BREAK_IMPORT="1").ended()
    assert code == 1, output
    assert "no such library in a worker" in output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken(serve: Callable[..., Api], workers: int) -> None:
    """The exit code says that somebody has to change something: systemd's units do not start it again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        api = serve("--port", port, workers=workers)
        api.process.wait(PATIENCE)
        assert api.process.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_it_well(serve: Callable[..., Api], workers: int, number: int) -> None:
    """SIGTERM of a service manager, and Ctrl-C: exit code 0, also while a client keeps its connection."""
    api = serve(workers=workers).until_it_serves()
    with socket.create_connection(("127.0.0.1", api.port)) as kept:
        kept.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        for pid in [api.process.pid, *(api.workers() if number == signal.SIGINT else [])]:  # a terminal sends it to all of them
            os.kill(pid, number)
        code, output = api.ended()
    assert code == 0, output
    assert "Traceback" not in output


def test_hangup_replaces_the_workers(serve: Callable[..., Api]) -> None:
    """SIGHUP puts new workers in the place of the old ones, and somebody answers all the time."""
    api = serve(workers=2).until_it_serves()
    before = api.workers()
    api.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while api.workers() & before:
        assert api.status() == 200
        assert time.monotonic() < until
    assert len(api.workers()) == 2
    api.process.terminate()
    assert api.ended()[0] == 0


def test_hangup_ends_a_single_process(serve: Callable[..., Api]) -> None:
    """A single process has nobody to replace it: it finishes what is open and ends."""
    api = serve(workers=1).until_it_serves()
    api.process.send_signal(signal.SIGHUP)
    assert api.ended()[0] == 0


def test_new_workers_that_do_not_start(serve: Callable[..., Api], folder: Path) -> None:
    """If a new worker cannot start, the old ones go on."""
    api = serve(workers=2).until_it_serves()
    before = api.workers()
    (folder / "broken").touch()
    api.process.send_signal(signal.SIGHUP)
    api.watch.read_until(api.process, "the old ones go on")
    assert api.workers() == before
    assert api.status() == 200


def test_a_worker_that_is_killed(serve: Callable[..., Api], folder: Path) -> None:
    """Another one takes its place. If that cannot start, the rest goes on, and it is tried again."""
    api = serve(workers=2).until_it_serves()
    (folder / "broken").touch()
    os.kill(min(api.workers()), signal.SIGKILL)
    api.watch.read_until(api.process, "trying again in 1 s")
    assert api.status() == 200
    (folder / "broken").unlink()
    api.watch.read_until(api.process, " serves")
    assert len(api.workers()) == 2
    api.process.terminate()
    assert api.ended()[0] == 0


def test_no_worker_is_left(serve: Callable[..., Api], folder: Path) -> None:
    """If none serves and none can start, it ends with an error."""
    api = serve(workers=2).until_it_serves()
    (folder / "broken").touch()
    for pid in api.workers():
        os.kill(pid, signal.SIGKILL)
    code, output = api.ended()
    assert code == 1, output


def test_a_killed_parent_leaves_no_workers(serve: Callable[..., Api]) -> None:
    """Workers whose parent was killed end by themselves, and give the port back."""
    api = serve(workers=2).until_it_serves()
    api.watch.see(api.process.pid)
    api.process.kill()
    api.ended()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What uvicorn would be told."""
    options: dict[str, Any] = {}
    monkeypatch.setattr("offpoll.cli.serve.run_here", lambda make, **given: options.update(given))
    return options


@pytest.mark.parametrize(("arguments", "seconds"), [((), KEEP_ALIVE), (("--keep-alive", "620"), 620)])
def test_idle_connections(offpoll: Run, told: dict[str, Any], arguments: tuple[str, ...], seconds: int) -> None:
    """The server keeps them for longer than load balancers do, whose next request would meet a closed one: an ALB's 60 s, nginx's 60 s."""
    assert offpoll("serve", "shop:app", "--port", "0", *arguments, **VARIABLES).code == 0
    assert told["timeout_keep_alive"] == seconds
    assert KEEP_ALIVE > 60


@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        ((), {"FORWARDED_ALLOW_IPS": "nginx"}, "FORWARDED_ALLOW_IPS"),
        (("--root-path", "v1"), {}, "a path such as /v1"),
        (("--root-path", "/a b"), {}, "a path such as /v1"),
        (("--root-path", "/v1//x"), {}, "a path such as /v1"),
        (("--keep-alive", "0"), {}, "--keep-alive"),
    ],
)
def test_options_that_cannot_be(
    offpoll: Run, told: dict[str, Any], arguments: tuple[str, ...], variables: dict[str, str], text: str
) -> None:
    """They are refused before anything starts, with the reason."""
    ended = offpoll("serve", "shop:app", "--port", "0", *arguments, **{**VARIABLES, **variables})
    assert ended.code == 2
    assert text in ended.err
    assert not told
