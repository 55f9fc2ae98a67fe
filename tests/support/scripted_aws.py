"""An AWS server that follows a script and remembers its requests, on real sockets and the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DATE = "Mon, 23 Nov 2026 18:00:00 GMT"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came over the socket; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One response.

    Attributes:
        drop: whether the server closes the connection instead.
        hang: whether it never responds.
        raw: bytes that it sends instead of a response.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    hang: bool = False
    raw: bytes = b""

    def to_bytes(self) -> bytes:
        headers = {"Date": DATE, **self.headers}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


DROP, HANG = Reply(drop=True), Reply(hang=True)


class Scripted:
    """Sends one reply after another, and repeats the last one."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.asked: list[Asked] = []
        self.came = asyncio.Event()
        self.replies = list(replies)
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Scripted:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the test is over; the server's own callback would report it as an error
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.came.set()
        self.asked.append(Asked(method=method, target=target, headers=headers, body=body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.hang:
            await asyncio.Event().wait()
        if reply.drop:
            return False
        writer.write(reply.raw or reply.to_bytes())
        await writer.drain()
        return not reply.raw


def s3_error(status: int, code: str, **headers: str) -> Reply:
    """Return an error as S3 writes it."""
    body = f"<Error><Code>{code}</Code><Message>what S3 says</Message><RequestId>1</RequestId></Error>"
    return Reply(status, b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode(), {"Content-Type": "application/xml", **headers})


def json_error(status: int, code: str, message: str = "what AWS says") -> Reply:
    """Return an error as the JSON services write it."""
    body = f'{{"__type":"com.amazonaws.x#{code}","message":"{message}"}}'
    return Reply(status, body.encode(), {"Content-Type": "application/x-amz-json-1.0"})
