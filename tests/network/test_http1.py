"""Where HTTP/1.1 responses end, and which bytes are responses at all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_peer import CLOSE, OK, Peer, ask

from offpoll.aws.connections import Unreachable
from offpoll.network.http1 import Response, ResponseReader, read_body, read_head

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def body_of(response: bytes) -> bytes | None:
    """Return the body of a response that arrived in one piece, or None if it is incomplete."""
    found = read_head(response)
    body = None if found is None else read_body(found[0].size, found[1], ended=False)
    return None if body is None else body[0]


@given(st.binary(max_size=60), st.lists(st.integers(1, 9), max_size=8))
def test_chunks_in_any_pieces(body: bytes, cuts: list[int]) -> None:
    """A chunked body is read whole, however it was cut; without its last byte it is incomplete."""
    chunks, rest = [], body
    for cut in cuts:
        if rest[:cut]:
            chunks.append(rest[:cut])
        rest = rest[cut:]
    text = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*chunks, rest] if each) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert body_of(head + text) == body
    assert all(body_of((head + text)[:end]) is None for end in range(1, len(head + text)))


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_bytes_after_a_body(body: bytes, rest: bytes) -> None:
    """Bytes after a body of a given length are told apart from it, so that such a connection is not kept."""
    found = read_head(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body + rest)
    assert found is not None
    assert read_body(found[0].size, found[1], ended=False) == (body, rest)


def test_the_head() -> None:
    """Names become lower case, white space around values is dropped, and the first of two equal names wins."""
    found = read_head(b"HTTP/1.1 404 Not Found\r\nDate:  now \r\nX-A: 1\r\nx-a: 2\r\nempty:\r\nContent-Length: 0\r\n\r\n")
    assert found is not None
    head, rest = found
    assert (head.status, head.keep, head.size, rest) == (404, True, 0, b"")
    assert head.headers == {"date": "now", "x-a": "1", "empty": "", "content-length": "0"}


# --- over sockets ---------------------------------------------------------------------------------


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


WHOLE = {
    "length": OK,
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified, with the length of what there would be": b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
    "chunks and trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\r\nc: d\r\n\r\n",
    "chunks that look like an end": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "an interim response first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nlink: y\r\n\r\n" + OK,
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
    "response",
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
def test_bytes_that_are_not_http(run: Run, response: bytes) -> None:
    """Bytes that are not HTTP/1.1, or are longer than anything AWS sends, are no response."""
    found = response_of(run, response, None)
    assert isinstance(found, Unreachable)
    assert "not HTTP" in str(found)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"])
def test_half_a_response(run: Run, begun: bytes) -> None:
    """If a connection ends before its response does, the effect is unknown."""
    found = response_of(run, *([begun] if begun else []), CLOSE)
    assert isinstance(found, Unreachable)
    assert "closed" in str(found)
    assert not found.timed_out


class TestReader:
    """`ResponseReader`, in pieces of any size."""

    def read(self, *pieces: bytes, limit: int = 1000) -> tuple[int, bytes, bool, bool]:
        reader = ResponseReader(limit=limit)
        for number, piece in enumerate(pieces):
            if reader.feed(piece):
                assert number == len(pieces) - 1, "it was ready before"
                return reader.response.status, reader.response.body, reader.response.complete, reader.keep
        raise AssertionError("not ready")

    @pytest.mark.parametrize(
        ("head", "body", "content"),
        [
            (b"Content-Length: 5", b"hello", b"hello"),
            (b"Content-Length: 0", b"", b""),
            (b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n", b"hello"),
            (b"Transfer-Encoding: chunked", b"0\r\n\r\n", b""),
        ],
    )
    def test_however_it_is_cut(self, head: bytes, body: bytes, content: bytes) -> None:
        """The response is ready with its last byte and not before, however it was cut; the connection may be kept."""
        whole = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body
        for cut in range(1, len(whole)):
            assert self.read(whole[:cut], whole[cut:]) == (200, content, True, True)
        assert self.read(*(whole[at : at + 1] for at in range(len(whole)))) == (200, content, True, True)

    def test_until_the_end(self) -> None:
        """Without a length, the body ends with the connection."""
        assert self.read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", b"") == (200, b"hello", True, False)

    @pytest.mark.parametrize(
        "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"\r\nhello"]
    )
    def test_a_limit(self, body: bytes) -> None:
        """A longer body is cut, and the connection not kept: the rest is still to come."""
        assert self.read(b"HTTP/1.1 200 OK\r\n" + body, limit=3) == (200, b"hel", False, False)

    @pytest.mark.parametrize(
        ("pieces", "why"),
        [
            ((b"",), "closed"),
            ((b"HTTP/1.1 200 OK\r\n", b""), "before the end"),
            ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b""), "before the end"),
            ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""), "before the end"),
            ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",), "without a size"),
            ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",), "without an end"),
            ((b"SSH-2.0-OpenSSH_9.6\r\n",), "no head"),
            ((b"\x15\x03\x01\x00\x02\x02\x46",), "speaks TLS"),
        ],
    )
    def test_no_response(self, pieces: tuple[bytes, ...], why: str) -> None:
        """What is not HTTP, or not all of it, is an error that says so."""
        with pytest.raises(ValueError, match=why):
            self.read(*pieces)

    def test_a_kept_connection(self) -> None:
        """A connection is not kept if the peer closes it, or sent more than a response."""
        assert self.read(b"HTTP/1.1 304 Not Modified\r\n\r\n") == (304, b"", True, True)
        assert self.read(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n") == (304, b"", True, False)
        assert self.read(b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200") == (304, b"", True, False)
        assert self.read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") == (200, b"", True, False)
