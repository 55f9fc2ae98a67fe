"""Reports a worker's health: at a port, in a file, and to systemd, whichever is asked for.

port      GET /livez: 200 while the process should be left alone, 503 if it is stuck. GET /readyz: 200 while it takes operations
file      rewritten every few seconds while it is alive: its age tells
systemd   READY=1, STOPPING=1 and WATCHDOG=1 at the socket in NOTIFY_SOCKET (sd_notify(3))
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from offpoll.errors import ConfigurationError
from offpoll.instant import to_wire, utc_now
from offpoll.work.health import Health, State

__all__ = ["INTERVAL", "reported"]

log = logging.getLogger("offpoll.work")

#: Seconds between two reports to the file and to systemd.
INTERVAL = 5.0

#: A probe's request is a few lines; how many bytes of it are read, and how long it may take, seconds.
MAX_REQUEST = 8192
PATIENCE = 5.0

#: Returns the health now.
Judge = Callable[[], Health]


@asynccontextmanager
async def reported(judge: Judge, *, port: int | None, host: str, file: Path | None, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Report a worker's health while the context is open.

    Args:
        judge: called on this loop.
        port: None for no port, 0 for a free one, which is logged.
        file: None for no file.
        environ: may name systemd's socket.

    Raises:
        ConfigurationError: the port is taken, or the file cannot be written.
    """
    async with AsyncExitStack() as stack:
        if port is not None:
            await stack.enter_async_context(_served(judge, host, port))
        ticks: list[Callable[[Health], None]] = []
        if file is not None:
            ticks.append(stack.enter_context(_File(file)).write)
        if address := environ.get("NOTIFY_SOCKET"):
            ticks.append(_Systemd(address).tell)
        if ticks:
            task = asyncio.get_running_loop().create_task(_repeat(judge, ticks))
            stack.callback(task.cancel)
        yield


async def _repeat(judge: Judge, ticks: list[Callable[[Health], None]]) -> None:
    while True:
        health = judge()
        for tick in ticks:
            tick(health)
        await asyncio.sleep(INTERVAL if health.state is not State.STARTING else INTERVAL / 10)


@asynccontextmanager
async def _served(judge: Judge, host: str, port: int) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(respond(head, judge()))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=MAX_REQUEST)
    except OSError as error:
        raise ConfigurationError(f"--health-port: cannot listen on {host}:{port}: {error.strerror}. Choose another, or 0") from error
    log.info("health at http://%s:%d/livez and /readyz", host, server.sockets[0].getsockname()[1])
    async with server:
        yield


def respond(head: bytes, health: Health) -> bytes:
    """Return the response to a probe: 200 or 503 with what the worker does, 404 for another path, 405 for another method."""
    method, _, rest = head.partition(b" ")
    good = {b"/livez": health.alive, b"/readyz": health.ready}.get(rest.partition(b" ")[0].partition(b"?")[0])
    body = json.dumps({"state": health.state, "held": health.held}).encode() + b"\n"
    status = b"405 Method Not Allowed" if method not in {b"GET", b"HEAD"} else b"404 Not Found" if good is None else b"200 OK"
    status = b"503 Service Unavailable" if good is False and status == b"200 OK" else status
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
    return head if method == b"HEAD" else head + body


class _File:
    """Writes the file, and removes it at the end, so that no stale file remains."""

    def __init__(self, path: Path) -> None:
        self._path, self._next, self._failed = path, path.with_name(f"{path.name}.{os.getpid()}"), False

    def __enter__(self) -> _File:
        try:
            self._write(Health(state=State.STARTING))
        except OSError as error:
            raise ConfigurationError(f"--health-file: cannot write {self._path}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._path, self._next):
            with suppress(OSError):
                each.unlink()

    def write(self, health: Health) -> None:
        """Write the file, unless the worker is stuck: then it grows old."""
        if not health.alive:
            return
        try:
            self._write(health)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("--health-file: cannot write %s: %s", self._path, error.strerror)
            self._failed = True

    def _write(self, health: Health) -> None:
        fields = {"state": health.state, "held": health.held, "pid": os.getpid(), "at": to_wire(utc_now())}
        self._next.write_text(json.dumps(fields) + "\n")
        self._next.replace(self._path)


class _Systemd:
    """Tells systemd what the worker does."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._told: set[str] = set()

    def tell(self, health: Health) -> None:
        """Send what is new, and that the worker is alive. If systemd does not take a message, the message is lost."""
        lines = [f"STATUS={health.state}, {health.held} operations held"]
        if health.alive:
            lines.append("WATCHDOG=1")
        once = {State.WORKING: "READY=1", State.FAILING: "READY=1", State.DRAINING: "STOPPING=1"}.get(health.state)
        if once is not None and once not in self._told:
            self._told.add(once)
            lines.append(once)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto("\n".join(lines).encode(), self._address)
