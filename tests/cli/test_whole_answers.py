"""Responses in one piece: when the head is held, and when it goes out alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from offpoll.cli.whole_answers import LARGE, HeadHolder, WholeAnswers

Run = Callable[[Coroutine[Any, Any, Any]], Any]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Transport(asyncio.Transport):
    """A transport that keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def write(self, data: Any) -> None:
        self.events.append(data)

    def close(self) -> None:
        self.events.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.events

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("10.0.0.1", 5), "sockname": ("10.0.0.2", 80)}.get(name, default)

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


async def rounds(count: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def held(run: Run, *writes: bytes, close: bool = False, pause: bool = False) -> list[Any]:
    """Write to a holder, with a round of the loop after each write if `pause`, and return what the transport was given."""

    async def use() -> list[Any]:
        transport = Transport()
        holder = HeadHolder(transport)
        for data in writes:
            holder.write(data)
            if pause:
                await asyncio.sleep(0)
        if close:
            holder.close()
        now = list(transport.events)
        await rounds()
        return now if close else transport.events

    found: list[Any] = run(use())
    return found


def test_head_and_body_go_together(run: Run) -> None:
    """A head and the body that follows in the same round of the loop are one write."""
    assert held(run, HEAD, b"ok") == [HEAD + b"ok"]
    assert held(run, HEAD, b"ok", HEAD, b"no") == [HEAD + b"ok", HEAD + b"no"]


def test_a_head_alone_goes_in_the_next_round(run: Run) -> None:
    """A head that no body follows, or only a late one, does not wait for it."""
    assert held(run, HEAD) == [HEAD]
    assert held(run, HEAD, b"late", pause=True) == [HEAD, b"late"]


def test_two_heads_are_two_responses(run: Run) -> None:
    """A second head, as of a pipelined response without a body, takes the first one along. None is lost, and none goes twice."""
    assert b"".join(held(run, HEAD, HEAD, b"ok")) == HEAD + HEAD + b"ok"


def test_what_is_no_head_is_not_held(run: Run) -> None:
    """A part of a body goes at once."""

    async def use() -> None:
        transport = Transport()
        HeadHolder(transport).write(b"part")
        assert transport.events == [b"part"]

    run(use())


def test_a_large_body_is_not_copied(run: Run) -> None:
    """A large body goes on as the very object that was given, after its head."""
    large, small = b"x" * LARGE, b"x" * (LARGE - 1)
    events = held(run, HEAD, large)
    assert events[0] == HEAD
    assert events[1] is large
    assert held(run, HEAD, small) == [HEAD + small]


def test_closing_writes_what_is_held(run: Run) -> None:
    """A head that is held when the connection is closed goes out first."""
    assert held(run, HEAD, close=True) == [HEAD, "closed"]


def test_everything_else_is_the_transports(run: Run) -> None:
    """What the holder does not change, the transport does."""

    async def use() -> None:
        transport = Transport()
        holder = HeadHolder(transport)
        assert holder.get_extra_info("peername") == ("10.0.0.1", 5)
        assert not holder.is_closing()
        holder.close()
        assert holder.is_closing()

    run(use())


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Respond with three bytes, or with a stream that begins late."""
    assert scope["client"] == ("10.0.0.1", 5)
    late = scope["path"] == "/late"
    headers = [] if late else [(b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if late:
        await rounds()
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


def wire(run: Run, request: bytes) -> list[Any]:
    """Return what uvicorn writes in response to a request."""

    async def use() -> list[Any]:
        config = uvicorn.Config(application, http=WholeAnswers, lifespan="off", log_config=None, access_log=False, date_header=False)
        config.load()
        transport = Transport()
        protocol: Any = WholeAnswers(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        protocol.data_received(request)
        await rounds(20)
        events = list(transport.events)
        protocol.connection_lost(None)
        return events

    found: list[Any] = run(use())
    return found


def test_a_response_is_one_write(run: Run) -> None:
    """uvicorn's head and body of a response go out in one write: one system call and one packet."""
    (only,) = wire(run, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    assert only.startswith(b"HTTP/1.1 200 OK\r\n")
    assert only.endswith(b"\r\n\r\ntwo")


@pytest.mark.parametrize(("request_line", "last"), [(b"HEAD / HTTP/1.1", b"\r\n\r\n"), (b"GET /late HTTP/1.1", b"0\r\n\r\n")])
def test_a_response_in_parts_is_whole(run: Run, request_line: bytes, last: bytes) -> None:
    """The response to a HEAD, and a stream that begins late, arrive whole and in order."""
    events = wire(run, request_line + b"\r\nhost: h\r\n\r\n")
    assert events[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert events[0].endswith(b"\r\n\r\n")
    assert b"".join(events).endswith(last)
    if last.startswith(b"0"):
        assert b"".join(events[1:]) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_two_requests_at_once(run: Run) -> None:
    """Pipelined requests get a write each, in order."""
    events = wire(run, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" * 2)
    assert [each.endswith(b"two") for each in events] == [True, True]


def test_a_connection_that_is_closed_after_its_response(run: Run) -> None:
    """With `connection: close` the response is whole before the connection is closed."""
    events = wire(run, b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    assert b"".join(each for each in events if each != "closed").endswith(b"two")
    assert events[-1] == "closed"
