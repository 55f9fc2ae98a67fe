"""The API on the servers that people run it on: what comes over the wire, from `offpoll serve` and from gunicorn with Flask."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.absent_stores import VARIABLES
from tests.support.deployment import PATIENCE, answers, await_true
from tests.support.pages import PYTHON
from tests.support.servers import free_port

PORT = "<port>"
COMMANDS = {
    "offpoll serve": ["offpoll.cli.main", "serve", "orders:app", "--port", PORT, "--root-path", "/v1"],
    "uvicorn": ["uvicorn", "shop:api", "--port", PORT],
    "uvicorn, at a root path": ["uvicorn", "shop:api", "--port", PORT, "--root-path", "/api"],
    "gunicorn": ["gunicorn", "shop_flask:api", "--bind", f"127.0.0.1:{PORT}"],
    "gunicorn, with threads": ["gunicorn", "shop_flask:api", "--bind", f"127.0.0.1:{PORT}", "--threads", "2", "--keep-alive", "75"],
}


@pytest.fixture(scope="module", params=COMMANDS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that runs the examples of the documentation; their routes are below /v1."""
    folder: Path = tmp_path_factory.mktemp("server")
    for block in PYTHON:
        if block.file in ("orders.py", "shop.py", "shop_flask.py"):
            (folder / block.file).write_text(block.code)
    number = free_port()
    command = [sys.executable, "-m", *(each.replace(PORT, str(number)) for each in COMMANDS[request.param])]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env={**inherited, **VARIABLES}, stdout=log, stderr=log)
        try:
            await_true(lambda: answers(f"http://127.0.0.1:{number}/") or process.poll() is not None, "the server to answer")
            assert process.poll() is None, (folder / "log").read_text()
            yield number
        finally:
            process.terminate()
            process.wait(PATIENCE)


def exchange(port: int, text: str, *, until: bytes = b"}") -> bytes:
    """Send bytes on a connection, and read until an answer has come that contains this."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode())
        answer = b""
        while until not in answer and (part := connection.recv(65536)):
            answer += part
        return answer


HEAD = "POST /v1/order HTTP/1.1\nHost: api.test\nAuthorization: Bearer secret-of-ada\n"


def test_a_body_in_chunks(port: int) -> None:
    """It is put together, and its content is what is judged."""
    answer = exchange(port, HEAD + 'Transfer-Encoding: chunked\n\n4\n{"sk\n3\nu":\n0\n\n')
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_json"' in answer


def test_too_many_chunks(port: int) -> None:
    """A body without a length is refused as soon as it is too long: the answer comes although it never ends."""
    size = 200 * 1024
    answer = exchange(port, f"{HEAD}Transfer-Encoding: chunked\n\n{size:x}\n{'x' * size}\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_long_body_is_refused_before_it_is_sent(port: int) -> None:
    """By its length alone, also to a client that waits for `100 Continue`."""
    for expect in ("", "Expect: 100-continue\n"):
        answer = exchange(port, f"{HEAD}{expect}Content-Length: 1000000000000\n\n", until=b"input_too_large")
        assert b"HTTP/1.1 413 " in answer


def test_a_client_that_waits_for_the_go_ahead(port: int) -> None:
    """A body that can be taken is asked for."""
    assert b"100 Continue" in exchange(port, f"{HEAD}Expect: 100-continue\nContent-Length: 2\n\n", until=b"100 Continue")


def test_a_compressed_body(port: int) -> None:
    """It is refused, and the answer says what is taken."""
    answer = exchange(port, f"{HEAD}Content-Encoding: gzip\nContent-Length: 2\n\n{{}}", until=b"unsupported_encoding")
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"accept-encoding: identity" in answer.lower()


@pytest.mark.parametrize("path", ["/v1/livez", "/v1/livez/", "/v1/livez?x=1"])
def test_slashes_and_queries(port: int, path: str) -> None:
    """They mean nothing, whatever routes the request before it gets here."""
    answer = exchange(port, f"GET {path} HTTP/1.1\nHost: api.test\n\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
