"""Parses HTTP/1.1 responses: pure functions from bytes to a response, without a connection.

Source: RFC 9112, sections 4 to 7. Of the transfer codings it reads `chunked`, the only one that servers use, and refuses all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["MAX_BODY", "Head", "Received", "Response", "ResponseReader", "read_body", "read_head"]

#: Longest head and body that are read, bytes. AWS's heads have 1 KiB; the longest body is a batch of ten messages.
MAX_HEAD = 64 * 2**10
MAX_BODY = 16 * 2**20

_VERSION = b"HTTP/1."

_chunk_size = re.compile(rb"([0-9A-Fa-f]{1,7})[ \t]*(?:;.*)?").fullmatch

#: Statuses without a body (RFC 9110, 6.4.1).
_BODILESS = frozenset({204, 304})

#: Sizes of bodies without a stated length: they end with their last chunk, or with the connection.
_CHUNKED, _UNTIL_CLOSED = -1, -2


class Response(NamedTuple):
    """A complete response: header names in lower case, the body decoded from its transfer coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Received(NamedTuple):
    """A response whose body may have been cut: then it is not `complete`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool


class Head(NamedTuple):
    """The head of a response. `keep`: whether the connection may be kept; `size`: the body's bytes, `_CHUNKED` or `_UNTIL_CLOSED`."""

    status: int
    headers: dict[str, str]
    keep: bool
    size: int


def read_head(buffer: bytes) -> tuple[Head, bytes] | None:
    """Parse the head of a response and return it with the bytes that follow; None if more bytes are needed.

    Raises:
        ValueError: the head is not HTTP, or it is too long with the interim ones before it.
    """
    whole = len(buffer)
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if whole > MAX_HEAD or not _VERSION.startswith(buffer[: len(_VERSION)]):
                raise ValueError("no head")
            return None
        first, *lines = buffer[:end].decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1.") or not first[9:12].isdecimal():
            raise ValueError("no status line")
        status, buffer = int(first[9:12]), buffer[end + 4 :]
        if status >= 200:  # after 1xx another response follows (RFC 9110, 15.2)
            break
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line:
            raise ValueError("a malformed header")
        headers.setdefault(name.lower(), value.strip())  # the first value of a repeated header counts
    keep = first[7] == "1" and headers.get("connection", "").lower() != "close"
    return Head(status, headers, keep, _size(status, headers)), buffer


def _size(status: int, headers: Mapping[str, str]) -> int:
    """Return the body's length in bytes, or how its end is marked (RFC 9112, 6.3)."""
    if status in _BODILESS:
        return 0
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise ValueError(f"the transfer coding {coding!r}")
        return _CHUNKED
    if length is None:
        return _UNTIL_CLOSED
    if not length.isascii() or not length.isdigit() or int(length[:20]) > MAX_BODY:
        raise ValueError(f"the content length {length[:20]!r}")
    return int(length)


def read_body(size: int, buffer: bytes, *, ended: bool) -> tuple[bytes, bytes] | None:
    """Return the body and the bytes that follow it; None if more bytes are needed.

    Raises:
        ValueError: the body is too long, or a chunk is malformed.
    """
    if size >= 0:
        return (buffer[:size], buffer[size:]) if len(buffer) >= size else None
    if len(buffer) > MAX_BODY + MAX_HEAD:
        raise ValueError("the body is too long")
    if size == _CHUNKED:
        return _read_chunks(buffer)
    return (buffer, b"") if ended else None


def _read_chunks(buffer: bytes) -> tuple[bytes, bytes] | None:
    chunks = _Chunks(limit=MAX_BODY)
    return (bytes(chunks.body), chunks.rest) if chunks.feed(buffer) else None


class _Chunks:
    """Decodes a chunked body (RFC 9112, 7.1), and skips extensions and trailers. Beyond `limit` bytes it goes no further.

    Attributes:
        body: what was decoded.
        rest: bytes that are not yet decoded, or follow the body.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._left = 0  # of the chunk
        self._trailing = 0  # bytes of trailers
        self._in_chunk = self._trailers = False
        self.body = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. Return whether the body has ended.

        Raises:
            ValueError: a chunk is malformed.
        """
        self.rest += data
        while True:
            if self._left:
                taken = self.rest[: self._left]
                self.body += taken
                self.rest, self._left = self.rest[len(taken) :], self._left - len(taken)
                if self._left or len(self.body) > self._limit:
                    return False
            line, found, rest = self.rest.partition(b"\r\n")
            if not found:
                if len(self.rest) > MAX_HEAD:
                    raise ValueError("a line of a chunk is too long")
                return False
            self.rest = rest
            if self._trailers and not line:
                return True
            if not self._trailers:
                self._line(line)
                continue
            self._trailing += len(line)
            if self._trailing > MAX_HEAD:
                raise ValueError("the trailers are too long")

    def _line(self, line: bytes) -> None:
        """Read a line that is no trailer: the end of a chunk, or the size of the next one."""
        if self._in_chunk:
            if line:
                raise ValueError("a chunk without an end")
            self._in_chunk = False
            return
        size = _chunk_size(line)
        if size is None:
            raise ValueError("a chunk without a size")
        self._left = int(size[1], 16)
        self._trailers, self._in_chunk = self._left == 0, self._left > 0


#: How a record of TLS begins that reports an error: the server takes no plain HTTP.
_TLS_ALERT = b"\x15\x03"


class ResponseReader:
    """Reads one response from pieces of any size, and at most `limit` bytes of its body. Of a `tunnel`'s response it reads the head only.

    Attributes:
        begun: whether anything came.
        keep: whether the connection may carry another request.
    """

    def __init__(self, *, limit: int, tunnel: bool = False) -> None:
        self._limit, self._tunnel = limit, tunnel
        self._head: Head | None = None
        self._rest = b""
        self._body = bytearray()
        self._chunks: _Chunks | None = None
        self.begun = self.keep = False

    @property
    def response(self) -> Received:
        """The response that was read."""
        assert self._head is not None, "no response yet"  # noqa: S101 - only after `feed` returned True
        body = bytes(self._body[: self._limit])
        return Received(self._head.status, self._head.headers, body, len(self._body) <= self._limit)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes, none at the end of the connection. Return whether the response is there.

        Raises:
            ValueError: it is not HTTP, or ended too early.
        """
        self.begun = self.begun or bool(data)
        self._rest += data
        if self._head is None:
            if self._rest.startswith(_TLS_ALERT):
                raise ValueError("the server speaks TLS on this port")
            found = read_head(self._rest) if self._rest else None
            if found is None:
                return self._unfinished(ended=not data)
            self._head, self._rest = found
        if self._tunnel:
            return True
        done = self._read(self._head.size, ended=not data)
        if len(self._body) > self._limit:
            return True  # `keep` stays False: the rest is still to come
        if not done:
            return self._unfinished(ended=not data)
        self.keep = self._head.keep and not self._rest and bool(data)
        return True

    def _unfinished(self, *, ended: bool) -> bool:
        if ended:
            raise ValueError("the connection was closed before the end of the response" if self.begun else "the connection was closed")
        return False

    def _read(self, size: int, *, ended: bool) -> bool:
        """Move what belongs to the body. Return whether that is all of it."""
        if size == _CHUNKED:
            if self._chunks is None:
                self._chunks = _Chunks(limit=self._limit)
                self._body = self._chunks.body
            data, self._rest = self._rest, b""
            done = self._chunks.feed(data)
            self._rest = self._chunks.rest if done else b""
            return done
        wanted = len(self._rest) if size == _UNTIL_CLOSED else size - len(self._body)
        self._body += self._rest[:wanted]
        self._rest = self._rest[wanted:]
        return ended if size == _UNTIL_CLOSED else len(self._body) == size
