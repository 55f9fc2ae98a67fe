"""Where log lines go and what they look like: logs to stderr, the access log to stdout, times in UTC."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from offpoll.log_lines import AboutFilter

__all__ = ["LEVELS", "AccessLog", "configure"]

LEVELS = ("debug", "info", "warning", "error")

#: In the access log: the client went away before it was answered. No status of HTTP's, and no fault of the service's.
GONE = 499

access = logging.getLogger("offpoll.access")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def configure(level: str) -> None:
    """Set up logging, where the program has not done so itself."""
    logging.basicConfig(level=level.upper(), handlers=[_handler(sys.stderr, "%(asctime)s %(levelname)s %(name)s: %(message)s")])
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for chatty in ("boto3", "botocore"):  # on info they tell where each client found its credentials
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if not access.handlers:
        access.addHandler(_handler(sys.stdout, "%(asctime)s %(message)s"))
        access.setLevel(logging.INFO)
        access.propagate = False


def _handler(stream: Any, form: str) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    formatter = _TextLines(form, datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(AboutFilter())
    return handler


class _TextLines(logging.Formatter):
    """Ends each line with the operation that it is about, unless the line names it already."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        line = super().formatMessage(record)
        fields = ((name, getattr(record, name, None)) for name in ("operation_id", "kind", "attempt"))
        about = [f"{name}={value}" for name, value in fields if value is not None and str(value) not in line]
        return f"{line} [{' '.join(about)}]" if about else line


class AccessLog:
    """Wraps an ASGI application and writes one line a request.

        2030-01-01T00:00:00Z 127.0.0.1 "POST /order" 202 3.1 ms → /order/0123…

    The path comes without its query, and of the answer only the `Location`: no status link gets into the log.
    """

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, and write its line."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        answered: dict[str, Any] = {"status": GONE, "headers": ()}

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answered.update(status=message["status"], headers=message.get("headers", ()))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            answered.update(status=500 if answered["status"] == GONE else answered["status"])
            raise
        finally:
            _write(scope, answered["status"], _location(answered["headers"]), time.perf_counter() - started)


def _write(scope: Scope, status: int, location: str, seconds: float) -> None:
    client = (scope.get("client") or ("-",))[0]
    path = quote(scope.get("raw_path") or scope["path"], safe="/%:@!$&'()*+,;=~")[:500]
    access.info('%s "%s %s" %d %.1f ms%s', client, scope["method"], path, status, seconds * 1000, location and f" → {location}")


def _location(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1").partition("?")[0] for name, value in headers if name == b"location"), "")
