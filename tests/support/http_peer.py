"""An HTTP/1.1 server that sends prepared bytes, and the connections to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from offpoll.aws.connections import Connections
from offpoll.network.http1 import Response
from offpoll.network.tls import tls_context

CLOSE = b""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that sends the given pieces for each request. CLOSE ends the connection; None sends nothing more."""

    def __init__(self, *responses: Sequence[bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self.responses = list(responses)
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
        for piece in self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]:
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
