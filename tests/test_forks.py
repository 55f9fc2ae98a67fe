"""Objects made before a fork work in the child and in the parent, or say at once why not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_aws import FakeAws, fake_aws

FORKING = Path(__file__).parent / "support" / "forking.py"

#: What each object's calls return, three times.
FOUND = {
    "StatusBoard": "link",
    "AsyncStatusBoard": "link",
    "Service": "order",
    "AsyncService": "order",
    "Client": "order",
    "AsyncClient": "order",
}

#: Seconds for three calls to a server on this machine. A call that waits for something lost takes 5 s at least.
SOON = 4.0

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with fake_aws() as fake:
        yield fake


def forked(aws: FakeAws, kind: str, before: str, how: str) -> tuple[dict[str, Any], str]:
    """Run the program and return what each of its processes and threads reported, and its stderr."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
    root = str(FORKING.parents[2])
    program = subprocess.Popen(
        [sys.executable, "-X", "dev", str(FORKING), kind, before, how],
        env={**plain, **aws.environment(), "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    reports = {}
    with program:
        try:
            for line in program.stdout:
                if line == "hold\n":
                    aws.hold_next = True
                    program.stdin.write("go\n")
                    program.stdin.flush()
                    assert aws.came.wait(20)
                    program.stdin.write("it came\n")
                    program.stdin.flush()
                elif line == "release\n":
                    aws.released.set()
                else:
                    report = json.loads(line)
                    reports[report.pop("who")] = report
        finally:
            program.kill()
        return reports, program.stderr.read()


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing", "sys.exit"])
@pytest.mark.parametrize("before", ["unused", "used", "under way"])
@pytest.mark.parametrize("kind", FOUND)
def test_after_a_fork(aws: FakeAws, kind: str, before: str, how: str) -> None:
    """An object works in a forked child and still in the parent, whether it was used before, or is in use by another thread."""
    if before == "under way" and kind.startswith("Async"):
        pytest.skip("an awaited object serves one loop at a time")
    reports, errors = forked(aws, kind, before, how)
    assert reports.keys() == {"child", "parent"} | ({"caller"} if before == "under way" else set()), errors
    for who, report in reports.items():
        assert report["found"] == [FOUND[kind]] * 3, who
        assert who == "caller" or report["seconds"] < SOON, who
    assert "Traceback" not in errors


class _Socket(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SOON)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: Path) -> str:
    """Ask a worker, and return what it answers: its process id."""
    connection = _Socket(path)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("worker", ["sync", "gthread"])
@pytest.mark.parametrize("uses", ["", "1"], ids=["made at import", "used at import"])
def test_preloaded_by_gunicorn(aws: FakeAws, tmp_path: Path, worker: str, uses: str) -> None:
    """`gunicorn --preload` shares a Service, a StatusBoard and a Client of the module among its workers, and each of them serves."""
    bound = tmp_path / "socket"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
    log = tmp_path / "log"
    with log.open("w") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-k", worker, "--threads", "2", "-b", f"unix:{bound}",
             "--no-control-socket", "tests.support.preloaded:application"],
            env={**plain, **aws.environment(), "PYTHONPATH": str(FORKING.parents[2]), "PRELOAD_USES": uses},
            stdout=written,
            stderr=written,
            cwd=tmp_path,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not bound.exists() and server.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        answered = {ask(bound) for _ in range(20)}
        assert str(server.pid) not in answered
    finally:
        server.terminate()
        assert server.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
