"""HTTP/1.1 on the loop's own sockets: which connections are kept, and what is refused."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import trustme

from offpoll.aws import connections as connections_module
from offpoll.aws.connections import Connections, Unreachable, Unsendable, tls_context
from offpoll.aws.http1 import Response

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CLOSE = b""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that sends the given pieces for each request. CLOSE ends the connection; None sends nothing more."""

    def __init__(self, *response_of: Sequence[bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self.response_of = list(response_of)
        self.asked: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Connections:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.of = Connections(f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}", host="h", tls=lambda: tls_context(None))
        return self.of

    async def __aexit__(self, *_: object) -> None:
        await self.of.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        self.asked.append(head + await reader.readexactly(int(length or b"0")))
        for piece in self.response_of.pop(0) if len(self.response_of) > 1 else self.response_of[0]:
            if piece is None:
                await asyncio.Event().wait()
            elif piece == CLOSE:
                return False
            else:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        return True


async def ask(connections: Connections, *, timeout: float = 5.0, **headers: str) -> Response:
    return await connections.exchange("PUT", "/a?b=c", headers, b"xy", timeout=timeout)


def response_of(run: Run, *pieces: bytes | None) -> Response | Exception:
    """Return the response, or the error, that a client makes of these pieces."""

    async def use() -> Response | Exception:
        async with Peer(pieces) as connections:
            try:
                return await ask(connections)
            except Exception as error:
                return error

    found: Response | Exception = run(use())
    return found


def test_a_request_on_the_wire(run: Run) -> None:
    """A request has its method, target, signed Host header, all headers, length and body. GET without a body gives no length."""

    async def use() -> list[bytes]:
        peer = Peer([OK])
        async with peer as connections:
            await connections.exchange("PUT", "/a?b=c", {"x-y": "z"}, b"xy", timeout=5.0)
            await connections.exchange("PUT", "/", {}, b"", timeout=5.0)
            await connections.exchange("GET", "/", {}, b"", timeout=5.0)
        return peer.asked

    assert run(use()) == [
        b"PUT /a?b=c HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\nx-y: z\r\ncontent-length: 2\r\n\r\nxy",
        b"PUT / HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\ncontent-length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\n\r\n",
    ]


WHOLE = {
    "length": OK,
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified, with the length of what there would be": b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
    "chunks and trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\r\nc: d\r\n\r\n",
    "chunks that look like an end": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "an interim answer first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nlink: y\r\n\r\n" + OK,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
}
BODIES = {"no body": b"", "not modified, with the length of what there would be": b"", "chunks that look like an end": b"0\r\n\r\n"}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_where_a_response_ends(run: Run, name: str, size: int) -> None:
    """A response is read to its end, in whatever pieces it arrives, and the connection is kept for the next one."""

    async def use() -> tuple[list[Response], int]:
        text = WHOLE[name]
        peer = Peer([text[at : at + size] for at in range(0, len(text), size)])
        async with peer as connections:
            return [await ask(connections) for _ in range(2)], peer.connections

    found, connections = run(use())
    assert [each.body for each in found] == [BODIES.get(name, b"ok")] * 2
    assert connections == 1


def test_a_body_without_a_length(run: Run) -> None:
    """A body without a length ends with its connection."""
    found = response_of(run, b"HTTP/1.1 200 OK\r\n\r\n", b"all of ", b"it", CLOSE)
    assert isinstance(found, Response)
    assert found.body == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"220 smtp.example.com ESMTP\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000,
    ],
    ids=range(15),
)
def test_bytes_that_are_not_http(run: Run, answer: bytes) -> None:
    """Bytes that are not HTTP/1.1, or are longer than anything AWS sends, are no response."""
    found = response_of(run, answer, None)
    assert isinstance(found, Unreachable)
    assert "not HTTP" in str(found)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"])
def test_half_a_response(run: Run, begun: bytes) -> None:
    """If a connection ends before its response does, the effect is unknown."""
    found = response_of(run, *([begun] if begun else []), CLOSE)
    assert isinstance(found, Unreachable)
    assert "closed" in str(found)
    assert not found.timed_out


@pytest.mark.parametrize("first", [[OK, CLOSE], [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"]])
def test_a_closed_connection_is_not_used_again(run: Run, first: Sequence[bytes]) -> None:
    """A kept connection that the peer closes, or announces it will close, is silently replaced."""

    async def use() -> tuple[list[int], int]:
        peer = Peer(first, [OK])
        async with peer as connections:
            return [(await ask(connections)).status for _ in range(3)], peer.connections

    assert run(use()) == ([200, 200, 200], 2)


def test_a_connection_that_died_of_age(run: Run) -> None:
    """If a kept connection ends on use, before any byte of a response, it is replaced, and the request is sent once more."""

    async def use() -> tuple[list[int], int, int]:
        peer = Peer([OK], [CLOSE], [OK])
        async with peer as connections:
            return [(await ask(connections)).status for _ in range(2)], peer.connections, len(peer.asked)

    assert run(use()) == ([200, 200], 2, 3)


def test_a_new_connection_that_ends_is_an_error(run: Run) -> None:
    """A peer that closes new connections is not asked again and again."""

    async def use() -> int:
        peer = Peer([CLOSE])
        async with peer as connections:
            with pytest.raises(Unreachable):
                await ask(connections)
        return peer.connections

    assert run(use()) == 1


def test_old_connections_are_not_trusted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle too long is closed, because load balancers drop such connections silently."""
    monkeypatch.setattr(connections_module, "POOL_IDLE", -1.0)

    async def use() -> int:
        peer = Peer([OK])
        async with peer as connections:
            await ask(connections)
            await ask(connections)
        return peer.connections

    assert run(use()) == 2


def test_unexpected_bytes_close_the_connection(run: Run) -> None:
    """Bytes after a response close the connection, so that the next request does not take them for its own response."""

    async def use() -> tuple[list[bytes], int]:
        peer = Peer([OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"], [OK])
        async with peer as connections:
            return [(await ask(connections)).body for _ in range(2)], peer.connections

    assert run(use()) == ([b"ok", b"ok"], 2)


def test_a_late_response(run: Run) -> None:
    """A peer that does not respond in time has timed out, and its late response is never read."""

    async def use() -> tuple[bool, bytes]:
        peer = Peer([b"HTTP/1.1 200 OK\r\n", None], [OK])
        async with peer as connections:
            with pytest.raises(Unreachable) as caught:
                await ask(connections, timeout=0.05)
            return caught.value.timed_out, (await ask(connections)).body

    assert run(use()) == (True, b"ok")


def test_many_at_once(run: Run) -> None:
    """Many concurrent requests each get their own connection and response; all connections are kept afterwards."""

    async def use() -> tuple[set[bytes], int]:
        peer = Peer([OK])
        async with peer as connections:
            for _ in range(3):
                found = {each.body for each in await asyncio.gather(*(ask(connections) for _ in range(8)))}
            return found, peer.connections

    assert run(use()) == ({b"ok"}, 8)


@pytest.mark.parametrize(
    ("target", "value"), [("/a b", "v"), ("/a\r\nb", "v"), ("/", "a\r\nx: y"), ("/", "a\nb"), ("/", "a\rb"), ("/ü漢", "v"), ("/", "漢")]
)
def test_requests_that_http_cannot_carry(run: Run, target: str, value: str) -> None:
    """Line breaks and characters that would turn it into another request are refused before anything is sent."""

    async def use() -> list[bytes]:
        peer = Peer([OK])
        async with peer as connections:
            with pytest.raises(Unsendable):
                await connections.exchange("GET", target, {"x": value}, b"", timeout=5.0)
        return peer.asked

    assert run(use()) == []


def test_tls(run: Run) -> None:
    """https accepts a peer whose authority is trusted, and otherwise refuses it and says why."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def use() -> tuple[bytes, str]:
        peer = Peer([OK], tls=context)
        async with peer as stranger:
            trusting = lambda: tls_context(authority.cert_pem.bytes())  # noqa: E731
            friend = Connections(f"https://127.0.0.1:{peer.port}", host="h", tls=trusting)
            try:
                body = (await ask(friend)).body
            finally:
                await friend.close()
            with pytest.raises(Unreachable) as caught:
                await ask(stranger)
            return body, str(caught.value)

    body, refused = run(use())
    assert body == b"ok"
    assert "certificate verify failed" in refused
