"""Event loops, of asyncio and uvloop, on which host names have the addresses that a test says, and addresses behave as it says."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Any

import uvloop

#: Addresses that take no connection (RFC 5737, RFC 3849): SYNs are swallowed, refused, or have no route.
SWALLOWS, REFUSES, NO_ROUTE = "192.0.2.1", "192.0.2.2", "2001:db8::1"

#: An address that takes connections.
WORKS = "127.0.0.1"


class _Named:
    """A loop on which every name has the addresses in `answers`, one list for each look-up; None: the look-up fails. The last one stays."""

    answers: list[Sequence[str] | None]

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        if str(host).replace(".", "").isdecimal() or ":" in str(host):  # uvloop asks once more, for the address that it connects to
            return self._found([str(host)], port)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._found(answer, port)

    def _found(self, addresses: Sequence[str], port: Any) -> list[Any]:
        families = [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in addresses]
        return [(family, socket.SOCK_STREAM, 6, "", (each, port)) for family, each in families]

    async def sock_connect(self, sock: Any, address: Any) -> None:
        if address[0] == SWALLOWS:
            await asyncio.Event().wait()
        if address[0] == REFUSES:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        if address[0] == NO_ROUTE:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        await super().sock_connect(sock, address)  # type: ignore[misc]


class AsyncioLoop(_Named, asyncio.SelectorEventLoop):
    """asyncio's own loop."""


class UvloopLoop(_Named, uvloop.Loop):
    """uvloop's."""
