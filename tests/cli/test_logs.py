"""The access log."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import Any

import pytest

from offpoll.cli import logs
from offpoll.cli.logs import AccessLog
from offpoll.log_lines import about


def line_of(
    caplog: pytest.LogCaptureFixture, *, path: bytes = b"/order", headers: Any = (), fails: bool = False, method: str = "POST"
) -> str:
    """Send a request through the log and return the line."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if fails:
            raise RuntimeError("no")
        await send({"type": "http.response.start", "status": 202, "headers": headers})

    async def nothing(message: Any = None) -> Any:
        return message

    scope = {
        "type": "http",
        "method": method,
        "path": "/order",
        "raw_path": path,
        "query_string": b"X-Amz-Signature=abc",
        "client": ("10.0.0.1", 5),
    }
    log = logging.getLogger("offpoll.access")
    log.propagate = True
    with caplog.at_level(logging.INFO, logger="offpoll.access"):
        try:
            asyncio.run(AccessLog(application)(scope, nothing, nothing))
        except RuntimeError:
            assert fails
    return caplog.messages[-1]


def test_a_workers_line_names_the_operation() -> None:
    """A line that is written while a handler runs ends with operation, kind and attempt; what the line says already is not repeated."""
    stream = io.StringIO()
    handler = logs._handler(stream, "%(message)s")
    for message in ("packing", "operation 01: packing"):
        with about(operation_id="01", kind="order", attempt=2):
            record = logging.makeLogRecord({"msg": message})
            handler.handle(record)
    handler.handle(logging.makeLogRecord({"msg": "idle"}))
    whole, half, idle = stream.getvalue().splitlines()
    assert whole == "packing [operation_id=01 kind=order attempt=2]"
    assert (half, idle) == ("operation 01: packing [kind=order attempt=2]", "idle")


def test_a_line_names_the_operation(caplog: pytest.LogCaptureFixture) -> None:
    """Client, method, path, status, time, and where the accepted operation is found."""
    line = line_of(caplog, headers=[(b"content-type", b"application/json"), (b"location", b"/order/0123")])
    assert line.startswith('10.0.0.1 "POST /order" 202 ')
    assert line.endswith(" ms → /order/0123")


def test_no_link_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a query nor a signed URL in a header."""
    headers = [(b"location", b"/order/0123?X-Amz-Signature=abc"), (b"operation-location", b"https://store/?X-Amz-Signature=abc")]
    assert "X-Amz" not in line_of(caplog, headers=headers)


def test_a_path_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever bytes a request line has, the log entry stays one line."""
    line = line_of(caplog, path=b'/order\n10.0.0.9 "GET /\xff')
    assert "\n" not in line
    assert '"POST /order%0A10.0.0.9%20%22GET%20/%FF" 202' in line


def test_a_request_that_raises_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged too."""
    assert '"POST /order" 500' in line_of(caplog, fails=True)


def test_the_lifespan_is_no_request(caplog: pytest.LogCaptureFixture) -> None:
    """The lifespan passes through and is not logged."""
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(AccessLog(application)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    assert not caplog.messages
