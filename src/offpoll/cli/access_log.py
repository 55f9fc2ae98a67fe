"""The API's access log: one line a request, on stdout.

Decides what a line says and when it is written. A log record for each request, and a flush, cost more than half of what accepting an
operation does, so lines are put together by hand and written several at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from string import ascii_letters, digits
from typing import Any, BinaryIO
from urllib.parse import quote

from offpoll.cli.unblocked import Unblocked, unblocked
from offpoll.http.fast_path import AsgiApp, Receive, Scope, Send

__all__ = ["AccessLog", "Lines"]

#: In the log: the client went away before it was answered. Not an HTTP status, and not the service's fault.
GONE = 499

#: How late a line is written, seconds at most.
DELAY = 0.1

#: Bytes that are written at once: what a pipe takes whole (PIPE_BUF), so that lines of several processes do not mix.
BLOCK = 4096

#: Bytes of a path that stand in a line as they are; others are percent-encoded, so that no path can forge a line.
_SAFE = "/%:@!$&'()*+,;=~"
_PLAIN = f"{ascii_letters}{digits}_.-{_SAFE}".encode()


class AccessLog:
    """Wraps an ASGI application and writes one line a request, as soon as it is answered.

        2030-01-01T00:00:00Z 127.0.0.1 "POST /order" 202 3.1 ms → /order/0123…

    The path comes without its query, and of the answer only the `Location`: no status link gets into the log. With OFFPOLL_LOG_FORMAT=json
    a line is an object, with all of that as `message`, and its parts as fields.

    Args:
        app: the application.
        lines: where the lines go, unless the program has set up the logger `offpoll.access`, by a handler or a level.
    """

    def __init__(self, app: AsgiApp, lines: Lines) -> None:
        logger = logging.getLogger("offpoll.access")
        self._app, self._lines = app, lines
        self._write: Callable[[str], object] = logger.info if logger.handlers or logger.level > logging.INFO else lines.write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, and write its line."""
        if scope["type"] != "http":
            try:
                return await self._app(scope, receive, send)
            finally:
                self._lines.flush()  # an application's lifespan ends after its last request
        started, status, location, written = time.perf_counter(), GONE, "", False

        def noting(message: MutableMapping[str, Any]) -> Awaitable[None]:
            nonlocal status, location, written
            if message["type"] == "http.response.start":
                status, location = message["status"], _location(message.get("headers", ()))
            elif not message.get("more_body"):
                written = True
                self.answered(scope, status, location, time.perf_counter() - started)
            return send(message)

        try:
            await self._app(scope, receive, noting)
        except BaseException:  # a cancelled request too: the server answers it with 500
            status = 500 if status == GONE else status
            raise
        finally:
            if not written:
                self.answered(scope, status, location, time.perf_counter() - started)

    def answered(self, scope: Scope, status: int, location: str, seconds: float) -> None:
        """Write the line of a request."""
        client = quote((scope.get("client") or ("-",))[0], safe=".:-[]%")[:64]  # may be a proxy's X-Forwarded-For
        path = scope.get("raw_path") or scope["path"]
        plain = isinstance(path, bytes) and not path.translate(None, _PLAIN)
        path = (path.decode() if plain else quote(path, safe=_SAFE))[:500]
        location = location.partition("?")[0]
        where = f" → {location}" if location else ""
        line = f'{client} "{scope["method"]} {path}" {status} {seconds * 1000:.1f} ms{where}'
        if self._lines.as_json and self._write == self._lines.write:
            fields = {"client": client, "method": scope["method"], "path": path, "status": status, "duration": round(seconds, 6)}
            line = json.dumps({"message": line, **fields, **({"location": location} if location else {})})
        self._write(line)


class Lines:
    """Writes lines with the time before them, in UTC, and never waits for their reader. Belongs to one event loop.

    Args:
        as_json: lines are JSON objects, and the time is their first field, as in `log_lines`.
    """

    def __init__(self, stream: BinaryIO, *, as_json: bool = False) -> None:
        self._stream, self.as_json = unblocked(stream), as_json
        self._held: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._second, self._stamp = 0, ""

    def write(self, line: str) -> None:
        """Write a line within DELAY."""
        second = int(time.time())
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        if self.as_json:
            line = f'{{"timestamp":"{self._stamp}","level":"INFO","logger":"offpoll.access",{line[1:]}'
        else:
            line = f"{self._stamp} {line}"
        text = f"{line}\n".encode()
        if self._size + len(text) > BLOCK:
            self.flush()
        self._held.append(text)
        self._size += len(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.flush)

    def flush(self) -> None:
        """Write what is held now, as far as the reader takes it."""
        block, self._held, self._size = b"".join(self._held), [], 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._stream.write(block)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the stream is closed, or its reader is gone: nobody is left to be told
        if isinstance(self._stream, Unblocked) and self._stream.is_behind:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.flush)


def _location(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"location"), "")
