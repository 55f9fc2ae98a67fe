"""uvicorn's HTTP protocol, with the head and the body of an answer written together.

uvicorn writes them one after the other, each with a system call and in a packet of its own, and the first one wakes the client for nothing:
of an accepted request that was a twentieth of the CPU.

    uvicorn ── write(head) ──► held ── write(body) ──► transport.write(head + body)
                                 └ no body in this round of the loop (HEAD, a stream that begins late): written alone
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["WholeAnswers"]

#: Bytes of a body from which on copying it costs more than a second system call.
LARGE = 65_536


class WholeAnswers(HttpToolsProtocol):
    """A connection. Only what asyncio says of protocols and transports is used: how uvicorn makes an answer does not matter."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, HeadHolder(transport)))


class HeadHolder:
    """A transport that holds a head, whatever ends with an empty line, until the next write or the next round of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._write = transport, transport.write
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held = b""
        # Bound here, as a request asks for them several times.
        self.is_closing, self.pause_reading, self.resume_reading = transport.is_closing, transport.pause_reading, transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            if len(data) < LARGE:
                data = held + data
            else:
                self._write(held)
            self._write(data)
        elif data.endswith(b"\r\n\r\n"):
            self._held = data
            self._call_soon(self._flush)
        else:
            self._write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)
