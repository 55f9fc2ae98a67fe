"""Parses HTTP/1.1 responses: pure functions from bytes to a response, without a connection.

Source: RFC 9112, sections 4 to 7. Reads only the forms that AWS and compatible servers send, and refuses all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Head", "Response", "read_body", "read_head"]

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


class Head(NamedTuple):
    """The head of a response. `keep`: whether the connection may be kept; `size`: the body's bytes, `_CHUNKED` or `_UNTIL_CLOSED`."""

    status: int
    headers: dict[str, str]
    keep: bool
    size: int


def read_head(buffer: bytes) -> tuple[Head, bytes] | None:
    """Parse the head of a response and return it with the bytes that follow; None if more bytes are needed.

    Raises:
        ValueError: the head is not HTTP, or too long.
    """
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > MAX_HEAD or not _VERSION.startswith(buffer[: len(_VERSION)]):
                raise ValueError("no head")
            return None
        first, *lines = buffer[:end].decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1.") or not first[9:12].isdecimal():
            raise ValueError("no status line")
        status, buffer = int(first[9:12]), buffer[end + 4 :]
        if status >= 200:  # after 1xx another response follows (RFC 9110, 15.2)
            break
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line:
            raise ValueError("a malformed header")
        headers[name.lower()] = value.strip()  # if a header came twice, the last one counts
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
    """Read a chunked body (RFC 9112, 7.1); skip extensions and trailers."""
    parts: list[bytes] = []
    while True:
        line, found, buffer = buffer.partition(b"\r\n")
        if not found:
            return None
        size = _chunk_size(line)
        if size is None:
            raise ValueError("a chunk without a size")
        length = int(size[1], 16)
        if length == 0:
            break
        if len(buffer) < length + 2:
            return None
        parts.append(buffer[:length])
        buffer = buffer[length + 2 :]
    while True:
        line, found, buffer = buffer.partition(b"\r\n")
        if not found:
            return None
        if not line:
            return b"".join(parts), buffer
