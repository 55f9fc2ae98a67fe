"""The access log: what a line says, and when it is written."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from offpoll.cli.access_log import BLOCK, DELAY, AccessLog, Lines
from offpoll.testing import run_virtual

SCOPE = {"type": "http", "method": "POST", "path": "/order", "query_string": b"X-Amz-Signature=abc", "client": ("10.0.0.1", 5)}


class Stream(io.BytesIO):
    """A stream that remembers what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[bytes] = []

    def write(self, block: Any) -> int:
        self.blocks.append(bytes(block))
        return len(block)

    @property
    def lines(self) -> list[str]:
        return b"".join(self.blocks).decode().splitlines()


async def nothing(message: Any = None) -> Any:
    return message


async def answer(send: Any, *, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def line_of(*, path: bytes = b"/order", headers: Any = (), fails: bool = False, as_json: bool = False) -> str:
    """Send a request through the log and return the line."""
    stream = Stream()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if fails:
            raise RuntimeError("no")
        await answer(send, headers=headers)

    async def main() -> None:
        try:
            await AccessLog(application, Lines(stream, as_json=as_json))({**SCOPE, "raw_path": path}, nothing, nothing)
        except RuntimeError:
            assert fails
        await asyncio.sleep(DELAY)

    run_virtual(main())
    (line,) = stream.lines
    return line


def test_a_line_names_the_operation() -> None:
    """Time, client, method, path, status, duration, and where the accepted operation is found."""
    line = line_of(headers=[(b"content-type", b"application/json"), (b"location", b"/order/0123")])
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert len(time) == len("2030-01-01T00:00:00Z")
    assert rest.startswith('10.0.0.1 "POST /order" 202 ')
    assert rest.endswith(" ms → /order/0123")


def test_a_line_as_json() -> None:
    """As JSON, a line has the form of the other logs, and its parts as fields."""
    line = json.loads(line_of(path=b'/order"/', headers=[(b"location", b"/order/0123?X-Amz-Signature=abc")], as_json=True))
    assert list(line)[:4] == ["timestamp", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["client"], line["method"]) == ("INFO", "offpoll.access", "10.0.0.1", "POST")
    assert (line["path"], line["status"], line["location"]) == ("/order%22/", 202, "/order/0123")
    assert line["message"].startswith('10.0.0.1 "POST /order%22/" 202 ')
    assert 0 <= line["duration"] < 5


def test_no_link_gets_into_the_log() -> None:
    """Neither a query nor a signed URL in a header."""
    headers = [(b"location", b"/order/0123?X-Amz-Signature=abc"), (b"operation-location", b"https://store/?X-Amz-Signature=abc")]
    assert "X-Amz" not in line_of(headers=headers)


def test_a_path_cannot_forge_a_line() -> None:
    """Whatever bytes a request line has, the log entry stays one line, and not a long one."""
    line = line_of(path=b'/order\n10.0.0.9 "GET /\xff')
    assert '"POST /order%0A10.0.0.9%20%22GET%20/%FF" 202' in line
    assert len(line_of(path=b"/" + b"x" * 10_000)) < 600


def test_a_request_that_raises_is_a_500() -> None:
    """It is logged too."""
    assert '"POST /order" 500' in line_of(fails=True)


def test_a_client_that_goes_away_is_a_499() -> None:
    """A request that is never answered has a line, too."""
    stream = Stream()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing."""

    async def main() -> None:
        await AccessLog(application, Lines(stream))(SCOPE, nothing, nothing)
        await asyncio.sleep(DELAY)

    run_virtual(main())
    assert '"POST /order" 499' in stream.lines[0]


def test_what_follows_an_answer_does_not_count() -> None:
    """A line is written once the request is answered, and says how long that took, not what the server did afterwards."""
    stream = Stream()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)
        await asyncio.sleep(60)
        assert len(stream.lines) == 1

    run_virtual(AccessLog(application, Lines(stream))(SCOPE, nothing, nothing))
    assert len(stream.lines) == 1


def test_the_end_of_a_lifespan_writes_what_is_held() -> None:
    """The lifespan itself has no line; at its end the last request's is written, whoever waits for it or not."""
    stream = Stream()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)

    async def main() -> None:
        log = AccessLog(application, Lines(stream))
        await log(SCOPE, nothing, nothing)
        assert not stream.lines
        await log({"type": "lifespan"}, nothing, nothing)
        assert len(stream.lines) == 1

    run_virtual(main())


def test_lines_are_written_together() -> None:
    """A tenth of a second's lines go in one write; a full block goes at once, and no line is cut between two."""
    stream = Stream()

    async def main() -> None:
        lines = Lines(stream)
        for number in range(3):
            lines.write(f"{number}")
            await asyncio.sleep(DELAY / 4)
        assert not stream.blocks
        await asyncio.sleep(DELAY / 4)
        assert len(stream.blocks) == 1
        for number in range(300):
            lines.write(f"{number}" * 20)
        assert 2 < len(stream.blocks) < 20
        await asyncio.sleep(DELAY)

    run_virtual(main())
    assert all(block.endswith(b"\n") and len(block) <= BLOCK for block in stream.blocks)
    assert len(stream.lines) == 303


def test_nobody_reads() -> None:
    """A reader that is gone costs no request: its lines are lost."""

    class Gone(io.BytesIO):
        def write(self, block: Any) -> int:
            raise BrokenPipeError

    async def main() -> None:
        lines = Lines(Gone())
        lines.write("x")
        lines.flush()

    run_virtual(main())


def test_a_line_is_not_late() -> None:
    """A line is written DELAY after it at the latest, in one write with those that followed, whenever the last write was."""
    stream = Stream()

    async def main() -> None:
        lines = Lines(stream)
        for pause in (0.0, DELAY * 1.5, DELAY * 7):
            await asyncio.sleep(pause)
            before = len(stream.blocks)
            lines.write("a")
            lines.write("b")
            await asyncio.sleep(DELAY * 0.9)
            assert len(stream.blocks) == before
            await asyncio.sleep(DELAY * 0.11)
            assert len(stream.blocks) == before + 1
            assert stream.blocks[-1].count(b"\n") == 2

    run_virtual(main())
    assert len(stream.blocks) == 3


def test_a_line_longer_than_a_block() -> None:
    """A line that fits in no block goes in a write of its own, whole, and keeps its place between the others."""
    stream = Stream()

    async def main() -> None:
        lines = Lines(stream)
        for line in ("before", "x" * 2 * BLOCK, "after"):
            lines.write(line)
        await asyncio.sleep(DELAY)

    run_virtual(main())
    assert [line.split(" ", 1)[1] for line in stream.lines] == ["before", "x" * 2 * BLOCK, "after"]
    assert [block.count(b"\n") for block in stream.blocks] == [1, 1, 1]


def test_a_closed_stream() -> None:
    """A stream that is closed loses the lines, and a request or the lifespan's end does not fail for it."""
    stream = io.BytesIO()
    stream.close()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)

    async def main() -> None:
        log = AccessLog(application, Lines(stream))
        await log(SCOPE, nothing, nothing)
        await log({"type": "lifespan"}, nothing, nothing)
        await log(SCOPE, nothing, nothing)
        await asyncio.sleep(2 * DELAY)

    run_virtual(main())


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The program's own logger for access lines; what a test sets up is taken back."""
    log = logging.getLogger("offpoll.access")
    handlers, level = list(log.handlers), log.level
    yield log
    log.handlers, log.level = handlers, level


def test_a_program_may_set_up_the_logger(logger: logging.Logger) -> None:
    """With a handler or a level of the program's own, lines go to the logger `offpoll.access`, and none to stdout."""
    stream, theirs = Stream(), io.StringIO()
    logger.addHandler(logging.StreamHandler(theirs))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    logger.setLevel(logging.INFO)
    run_virtual(AccessLog(application, Lines(stream))(SCOPE, nothing, nothing))
    logger.setLevel(logging.WARNING)
    run_virtual(AccessLog(application, Lines(stream))(SCOPE, nothing, nothing))
    assert theirs.getvalue().startswith('10.0.0.1 "POST /order" 202')
    assert len(theirs.getvalue().splitlines()) == 1
    assert not stream.blocks


def line_for(application: Any, **scope: Any) -> str:
    stream = Stream()

    async def main() -> None:
        with contextlib.suppress(BaseException):
            await AccessLog(application, Lines(stream))({**SCOPE, **scope}, nothing, nothing)
        await asyncio.sleep(DELAY)

    run_virtual(main())
    (only,) = stream.lines
    return only


@pytest.mark.parametrize("client", ['10.9.9.9 "GET /admin" 200 0.1 ms', "x\x8510.9.9.9", "x" * 500])
def test_a_clients_name_cannot_forge_a_line(client: str) -> None:
    """uvicorn takes the client from X-Forwarded-For if it trusts the peer, whatever that says."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    line = line_for(answering, client=(client, 0))
    assert '"GET /admin"' not in line
    assert "\x85" not in line
    assert len(line) < 300


def test_a_request_that_exits_is_a_500() -> None:
    """The server answers SystemExit or a cancellation with 500, so the line says that, not that the client went away."""

    async def exits(scope: Any, receive: Any, send: Any) -> None:
        raise SystemExit(3)

    assert '"POST /order" 500' in line_for(exits)
