"""A worker's health at its port, in its file, and for systemd."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.lab import lab, single

from offpoll.cli import health
from offpoll.cli.health import reported, respond
from offpoll.errors import ConfigurationError
from offpoll.work.health import Health, State
from offpoll.work.loop import LONG_POLL, STUCK


class Worker:
    """A worker that says what the test tells it."""

    def __init__(self) -> None:
        self.state = State.STARTING

    def health(self) -> Health:
        return Health(state=self.state, held=3)


@asynccontextmanager
async def reporting(worker: Worker, **options: Any) -> AsyncIterator[None]:
    async with reported(worker.health, **{"port": None, "host": "127.0.0.1", "file": None, "environ": {}, **options}):
        yield


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition has no event to wait for
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "INTERVAL", 0.01)


@pytest.mark.parametrize(
    ("state", "alive", "ready"),
    [
        (State.STARTING, 200, 503),
        (State.WORKING, 200, 200),
        (State.FAILING, 200, 503),
        (State.DRAINING, 200, 503),
        (State.STUCK, 503, 503),
    ],
)
def test_probes(state: State, alive: int, ready: int) -> None:
    """A worker is alive in an outage and while it drains, so that nobody kills it then; it is ready while it takes operations."""
    for path, expected in (("/livez", alive), ("/readyz?verbose", ready), ("/", 404)):
        answer = respond(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), Health(state=state, held=3))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % expected)
        assert b"Content-Length: %d\r\n" % len(body) in head
        assert json.loads(body) == {"state": state, "held": 3}
    assert respond(b"HEAD /livez HTTP/1.1\r\n\r\n", Health(state=state)).endswith(b"\r\n\r\n")
    assert respond(b"POST /livez HTTP/1.1\r\n\r\n", Health(state=state)).startswith(b"HTTP/1.1 405 ")


def test_the_port(caplog: pytest.LogCaptureFixture) -> None:
    """Probes get answers from the first moment, one after the other; what is no request gets none, and does no harm."""

    def ask(port: int) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    async def main() -> None:
        worker = Worker()
        with caplog.at_level("INFO"):
            async with reporting(worker, port=0):
                found = re.search(r"http://127\.0\.0\.1:(\d+)/livez", caplog.text)
                assert found
                port = int(found[1])
                assert await asyncio.to_thread(ask, port) == (503, {"state": "starting", "held": 3})
                for garbage in (b"\0" * 20_000, b""):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(garbage)
                    writer.write_eof()
                    assert await reader.read() == b""
                    writer.close()
                worker.state = State.WORKING
                assert await asyncio.to_thread(ask, port) == (200, {"state": "working", "held": 3})
                with pytest.raises(ConfigurationError, match=f"--health-port: cannot listen on 127.0.0.1:{port}"):
                    async with reporting(worker, port=port):
                        pass

    asyncio.run(main())


def test_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is written anew while the worker is alive, grows old while it is stuck, and goes with the worker."""
    file = tmp_path / "health"

    def said() -> dict[str, Any]:
        return dict(json.loads(file.read_text()))

    async def main() -> None:
        worker = Worker()
        async with reporting(worker, file=file):
            assert said() | {"state": "starting", "held": 0, "pid": os.getpid()} == said()
            for state in (State.WORKING, State.FAILING, State.DRAINING):
                worker.state = state
                await until(lambda: said()["state"] == state)  # noqa: B023 - awaited here
            at = said()["at"]
            await until(lambda: said()["at"] > at)
            worker.state = State.STUCK
            await asyncio.sleep(0.05)
            at = said()["at"]
            await asyncio.sleep(0.05)
            assert said()["at"] == at
            file.unlink()
            file.mkdir()
            worker.state = State.WORKING
            await until(lambda: "cannot write" in caplog.text)
            file.rmdir()
            await until(file.exists)
            assert caplog.text.count("cannot write") == 1

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there is a mistake in the command line: it ends the start."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=r"--health-file: cannot write .*nowhere"):
            async with reporting(Worker(), file=tmp_path / "nowhere" / "health"):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd(tmp_path: Path, abstract: bool) -> None:
    """systemd is told once that the worker is ready and that it stops, and again and again that it is alive, unless it is stuck."""
    address = f"@offpoll-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.setblocking(False)

        async def heard() -> list[str]:
            async with asyncio.timeout(30):
                return (await asyncio.get_running_loop().sock_recv(systemd, 4096)).decode().splitlines()

        async def main() -> None:
            worker = Worker()
            async with reporting(worker, environ={"NOTIFY_SOCKET": address}):
                assert await heard() == ["STATUS=starting, 3 operations held", "WATCHDOG=1"]
                for state, once in ((State.WORKING, "READY=1"), (State.DRAINING, "STOPPING=1")):
                    worker.state = state
                    while once not in (lines := await heard()):
                        pass
                    assert "WATCHDOG=1" in lines
                    assert once not in await heard()
                worker.state = State.STUCK
                while "WATCHDOG=1" in await heard():
                    pass

        asyncio.run(main())


def test_a_systemd_that_is_gone(tmp_path: Path) -> None:
    """A socket that nobody reads does not end the worker."""

    async def main() -> None:
        async with reporting(Worker(), environ={"NOTIFY_SOCKET": str(tmp_path / "gone")}):
            await asyncio.sleep(0.05)

    asyncio.run(main())


def test_what_a_worker_says_of_itself() -> None:
    """It works, fails while its queue or its table does, works again, holds operations, drains; a receive that never ends is stuck."""

    async def handle(number: int) -> int:
        await asyncio.sleep(50)
        return number

    with lab(single(handle)) as one:
        worker = one.system._workers[0][0]

        def now() -> tuple[State, int]:
            async def ask() -> Health:
                return worker.health

            found = one.system.run(ask())
            return found.state, found.held

        one.system.advance(1)
        assert now() == (State.WORKING, 0)
        one.on_queue.down()
        one.system.advance(40)
        assert now() == (State.FAILING, 0)
        one.on_queue.up()
        one.system.advance(40)
        one.submit()
        one.system.advance(10)
        assert now() == (State.WORKING, 1)
        one.on_records.down()
        one.system.advance(60)
        assert now() == (State.FAILING, 1)
        one.on_records.up()
        one.system.advance(60)
        assert now() == (State.WORKING, 1)

        async def never() -> None:
            await asyncio.sleep(10_000)

        one.on_queue.meanwhile("receive", never)
        one.system.advance(LONG_POLL + STUCK + 10)
        assert now()[0] is State.STUCK

    with lab(single(handle)) as one:
        one.submit()
        one.system.advance(1)
        worker = one.system._workers[0][0]
        worker.drain()
        one.system.advance(1)
        assert now() == (State.DRAINING, 1)
