"""HTTP/1.1 connections to one origin, on the event loop's own sockets. Decides how long to keep and trust an idle connection.

Calls to AWS are small and use few connections, so each costs little more than its two system calls. A library with a thread of its own
pays more than that for waking the thread and being woken by it (docs/decisions/0010). Calls through a proxy go by `transport.ByProxy`.

    idle ──► request written ──► head ──► body ──► idle, or closed if the peer asks for that
     │            │ the peer closed a kept connection before the first byte: it had died of age; sent again at once over another one
     │            └ closed otherwise, late, or not HTTP: Unreachable. If a kept one does not answer, all kept ones are closed
     └ idle for over 15 s, by the loop's time or by the wall clock: closed, not used
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit

from offpoll.aws.sigv4 import SignedHeaders, header_lines
from offpoll.deadlines import Deadlines
from offpoll.network.dial import dial_async
from offpoll.network.http1 import Head, Response, read_body, read_head

__all__ = ["CONNECT_TIMEOUT", "POOL_IDLE", "Connections", "Unreachable", "Unsendable"]

#: Seconds to connect. AWS's endpoints are near: a peer that needs longer will not respond at all.
CONNECT_TIMEOUT = 3.1

#: Seconds to keep an idle connection: less than AWS's load balancers do (S3 about 20 s), so that few requests meet a closed one.
POOL_IDLE = 15.0


class Unreachable(Exception):  # noqa: N818 - users never see it: the caller translates it
    """No response came, or one that is not HTTP. `timed_out`: none came in time."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Unsendable(Exception):  # noqa: N818 - the same
    """HTTP cannot express the request."""


class Connections:
    """The connections to one origin, in one event loop.

    Args:
        origin: scheme, host and port.
        host: the `Host` header.
        tls: returns the context for https; not called for http.
        wall: seconds of the wall clock. The loop's time may leave out time for which the machine was suspended.
    """

    def __init__(self, origin: str, *, host: str, tls: Callable[[], ssl.SSLContext], wall: Callable[[], float] = time.time) -> None:
        parts = urlsplit(origin)
        self._name, self._secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._tls, self._wall = tls, wall
        self._common = f" HTTP/1.1\r\nhost: {host}\r\nuser-agent: offpoll\r\n"
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._deadlines = Deadlines()

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, timeout: float) -> Response:
        """Send a request and return its response.

        Args:
            method: as `PUT`; not HEAD, whose responses have no body to wait for.
            target: path and query, quoted.
            headers: without Host and Content-Length.
            body: the whole body.
            timeout: seconds for everything, connecting included.

        Raises:
            Unreachable: no response came in time, or what came is not HTTP. The effect is unknown.
            Unsendable: HTTP cannot express the target or a header.
        """
        request = self._write(method, target, headers, body)
        loop = self._idle[-1].loop if self._idle else asyncio.get_running_loop()
        until = loop.time() + timeout
        while True:
            connection = self._kept(loop.time()) or await self._connect(loop, timeout)
            waiter = connection.ask(request, until)
            try:
                return await waiter
            except _Stale:
                timeout = until - loop.time()
            except asyncio.CancelledError:
                if waiter.cancelled():  # its response may still come, and the next request would take it for its own
                    connection.drop()
                raise  # a response that came at the same moment freed the connection: another request may already use it

    async def close(self) -> None:
        """Close all connections. `exchange` still works: it opens new ones."""
        for connection in list(self._open):
            connection.drop()
        await asyncio.sleep(0)  # transports report the closing in the loop's next iteration

    def _write(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        length = f"content-length: {len(body)}\r\n" if body or method != "GET" else ""
        lines = headers.lines if isinstance(headers, SignedHeaders) else header_lines(headers)
        if (headers and not lines) or "\n" in target or "\r" in target or " " in target:
            raise Unsendable("a header or the path holds a line break, or the path a space")
        try:
            return f"{method} {target}{self._common}{lines}{length}\r\n".encode("latin-1") + body
        except UnicodeEncodeError as error:
            raise Unsendable("a header or the path holds characters that HTTP cannot express") from error

    def _kept(self, now: float) -> _Connection | None:
        """Return the idle connection that was used last. If that one is too old, so are all others."""
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < POOL_IDLE and self._wall() - connection.idle_since_wall < POOL_IDLE:
                return connection
            connection.drop()
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop, timeout: float) -> _Connection:
        sock: socket.socket | None = None
        try:
            async with asyncio.timeout(min(CONNECT_TIMEOUT, timeout)):
                context = self._tls() if self._secure else None
                make = lambda: _Connection(self._idle, self._open, self._deadlines, loop, self._wall)  # noqa: E731 - used only here
                sock = await dial_async(self._name, self._port)  # a loop's own way would wait for the first address alone
                name = self._name if self._secure else None
                _, connection = await loop.create_connection(make, sock=sock, ssl=context, server_hostname=name)
        except asyncio.CancelledError:
            if sock is not None:
                sock.close()  # it may have connected just as the call was cancelled, before a transport owned it
            raise
        except TimeoutError as error:
            raise Unreachable("no connection in time", timed_out=True) from error
        except (OSError, UnicodeError) as error:  # refused, no such host, an untrusted certificate; a malformed host name
            raise Unreachable(f"no connection: {error}") from error
        return connection


class _Stale(Exception):  # noqa: N818 - expected of old connections, not an error
    """The peer closed a kept connection before it sent any byte of a response."""


class _Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    __slots__ = (
        "_all",
        "_buffer",
        "_deadlines",
        "_head",
        "_idle",
        "_reused",
        "_transport",
        "_waiter",
        "_wall",
        "idle_since",
        "idle_since_wall",
        "loop",
    )

    def __init__(
        self,
        idle: list[_Connection],
        all_: set[_Connection],
        deadlines: Deadlines,
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
    ) -> None:
        self._idle, self._all, self._deadlines, self.loop, self._wall = idle, all_, deadlines, loop, wall
        self._buffer = b""
        self._head: Head | None = None
        self._reused = False
        self._waiter: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None
        self.idle_since = self.idle_since_wall = 0.0

    def ask(self, request: bytes, until: float) -> asyncio.Future[Response]:
        """Send a request and return the future of its response."""
        waiter: asyncio.Future[Response] = self.loop.create_future()
        if self._transport is None or self._transport.is_closing():
            waiter.set_exception(_Stale() if self._reused else Unreachable("the connection was closed"))
            return waiter
        self._waiter = waiter
        self._deadlines.add(self, until=until, loop=self.loop)
        self._transport.write(request)
        return waiter

    def drop(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it
        self._all.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # bytes that no request asked for
            self.drop()
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._parse(ended=False)

    def eof_received(self) -> bool:
        if self._waiter is not None and (self._buffer or self._head is not None):
            self._parse(ended=True)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._all.discard(self)
        if self in self._idle:
            self._idle.remove(self)
        if self._waiter is not None:
            stale = self._reused and not self._buffer and self._head is None
            self._fail(_Stale() if stale else Unreachable(f"the connection was closed{f': {error}' if error else ''}"))
        self._transport = None

    def expire(self) -> None:
        """Fail the request: its time is over."""
        silent = self._reused and not self._buffer and self._head is None
        self._fail(Unreachable("none came in time", timed_out=True))
        self.drop()
        if silent:  # what lies between may have forgotten all kept connections: another one would cost the next try its time too
            others, self._idle[:] = list(self._idle), []
            for each in others:
                each.drop()

    def _parse(self, *, ended: bool) -> None:
        """Deliver the response if it is complete. `ended`: no more bytes will come."""
        try:
            if self._head is None:
                found = read_head(self._buffer)
                if found is None:
                    return
                self._head, self._buffer = found
            body = read_body(self._head.size, self._buffer, ended=ended)
        except ValueError as error:
            self._fail(Unreachable(f"its response is not HTTP: {error}"))
            self.drop()
            return
        if body is not None:
            content, rest = body
            head = self._head
            self._succeed(Response(head.status, head.headers, content), keep=head.keep and not ended and not rest)

    def _succeed(self, response: Response, *, keep: bool) -> None:
        waiter = self._release()
        if keep and self._transport is not None and not self._transport.is_closing():
            self._buffer, self._head, self._reused = b"", None, True
            self.idle_since, self.idle_since_wall = self.loop.time(), self._wall()
            self._idle.append(self)
        else:
            self.drop()
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _fail(self, error: Exception) -> None:
        waiter = self._release()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _release(self) -> asyncio.Future[Response] | None:
        self._deadlines.discard(self)
        waiter, self._waiter = self._waiter, None
        return waiter
