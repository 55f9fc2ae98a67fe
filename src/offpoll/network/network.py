"""Sends requests over kept connections: `Network` blocks, `AsyncNetwork` is awaited. Decides how long to trust an idle connection.

Both run the same conversations; they differ in how they wait. A connection belongs to the process that opened it: after a fork the child
opens its own. An awaited one also serves another event loop, since it holds plain sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from socket import MSG_PEEK, gaierror, socket
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Self, TypeVar

from offpoll.network.address import Address
from offpoll.network.channel import Channel
from offpoll.network.conversation import Request, ask, open_channel, write
from offpoll.network.dial import dial, dial_async
from offpoll.network.driving import run, run_async
from offpoll.network.failure import NetworkFailure, Stale
from offpoll.network.http1 import Received
from offpoll.network.proxies import Proxies, Proxy

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["AsyncNetwork", "Network"]

#: Seconds to keep an idle connection: less than AWS's load balancers do (S3 about 20 s), so that few requests meet a closed one.
POOL_IDLE = 15.0

T = TypeVar("T")


class _Connection(NamedTuple):
    """A connection, and since when it is idle."""

    sock: socket
    channel: Channel
    since: float


class _Network:
    """What both share: proxies, authorities, and the idle connections.

    Args:
        user_agent: as the server sees it.
        proxy: the address of a proxy for everything; None for those of the environment.
        certificates: PEM of authorities to trust in addition to the system's.
        direct: whether to ignore the environment's proxies.
        connect_timeout: seconds for a connection alone.

    Raises:
        ConfigurationError: `proxy` is not the address of a proxy.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        proxy: str | None = None,
        certificates: bytes | None = None,
        direct: bool = False,
        connect_timeout: float = inf,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._proxies = Proxies(proxy, environ={} if direct else os.environ)
        self._user_agent, self._certificates = user_agent, certificates
        self._idle: dict[tuple[str, str], list[_Connection]] = {}
        self._context: SSLContext | None = None
        self._process = os.getpid()
        self._closed = False

    def _tls(self) -> SSLContext:
        """Return the context for https, made only once: it reads the system's authorities."""
        if self._context is None:
            from offpoll.network.tls import tls_context  # noqa: PLC0415 - without https nobody pays for ssl

            self._context = tls_context(self._certificates)
        return self._context

    def _kept(self, place: tuple[str, str]) -> _Connection | None:
        """Return the connection to a place that was used last and is still open. If that one is too old, so are all others."""
        if self._process != os.getpid():  # the parent still uses these: TLS says no goodbye when a socket is merely closed
            self._close()
            self._process = os.getpid()
        idle = self._idle.get(place, [])
        while (connection := _popped(idle)) is not None:
            if monotonic() - connection.since < POOL_IDLE and _is_open(connection.sock):
                return connection
            connection.sock.close()
        return None

    def _put_back(self, place: tuple[str, str], connection: _Connection, *, keep: bool) -> None:
        if not keep or self._closed:
            connection.sock.close()
            return
        now = monotonic()
        idle = self._idle.setdefault(place, [])
        while idle and now - idle[0].since >= POOL_IDLE:
            with suppress(IndexError):  # another thread may have taken it
                idle.pop(0).sock.close()
        idle.append(connection._replace(since=now))

    def _close(self) -> None:
        for idle in list(self._idle.values()):  # another thread may add one
            while (connection := _popped(idle)) is not None:
                connection.sock.close()


class Network(_Network):
    """Sends requests and waits for their responses. Several threads may use it at once."""

    def send(self, method: str, to: Address, *, headers: Mapping[str, str], body: bytes, limit: int, timeout: float) -> Received:
        """Send a request and return its response.

        Args:
            limit: most bytes to read of the response's body.
            timeout: seconds for everything.

        Raises:
            NetworkFailure: no response came in time.
            Unsendable: HTTP cannot express a header.
        """
        proxy, until = self._proxies.of(to), monotonic() + timeout
        sent = write(Request(method, to, headers, body), proxy=proxy, user_agent=self._user_agent)
        place, stale = _place(to, proxy), False
        while True:
            kept = self._kept(place)
            connection = kept or self._connect(to, proxy, min(until, monotonic() + self._connect_timeout), sent=stale)
            try:
                steps = ask(connection.channel, sent, limit=limit, reused=kept is not None, proxied=proxy is not None)
                response, keep = run(steps, connection.sock, until)
            except Stale:
                stale = True
                connection.sock.close()
            except BaseException:
                connection.sock.close()
                raise
            else:
                self._put_back(place, connection, keep=keep)
                return response

    def close(self) -> None:
        """Close the idle connections. Requests still work, each over a connection of its own."""
        self._closed = True
        self._close()

    def _connect(self, to: Address, proxy: Proxy | None, until: float, *, sent: bool) -> _Connection:
        """Open a connection. `sent`: whether the server may have received the request over an older one."""
        sock: socket | None = None
        try:
            sock = dial(*_peer(to, proxy), until=until)
            channel = run(open_channel(to, proxy=proxy, context=self._tls), sock, until)
        except BaseException as error:
            _raise_unreached(error, sock, proxy, sent=sent)
        return _Connection(sock, channel, 0.0)


class AsyncNetwork(_Network):
    """Sends requests, awaited. One event loop at a time uses it."""

    async def send(self, method: str, to: Address, *, headers: Mapping[str, str], body: bytes, limit: int, timeout: float) -> Received:
        """Send a request; see `Network.send`."""
        import asyncio  # noqa: PLC0415 - a blocking program does not pay for asyncio

        loop = asyncio.get_running_loop()
        proxy, until = self._proxies.of(to), loop.time() + timeout
        sent = write(Request(method, to, headers, body), proxy=proxy, user_agent=self._user_agent)
        place, stale = _place(to, proxy), False
        while True:
            kept = self._kept(place)
            connection = kept or await self._connect(to, proxy, min(until, loop.time() + self._connect_timeout), sent=stale)
            try:
                async with asyncio.timeout_at(until):
                    steps = ask(connection.channel, sent, limit=limit, reused=kept is not None, proxied=proxy is not None)
                    response, keep = await run_async(steps, connection.sock, loop)
            except Stale:
                stale = True
                connection.sock.close()
            except BaseException as error:
                connection.sock.close()  # the response may still come, and the next request would take it for its own
                if isinstance(error, TimeoutError):
                    raise NetworkFailure("none came in time", timed_out=True) from error
                raise
            else:
                self._put_back(place, connection, keep=keep)
                return response

    async def close(self) -> None:
        """Close the idle connections."""
        self._closed = True
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.close()

    async def _connect(self, to: Address, proxy: Proxy | None, until: float, *, sent: bool) -> _Connection:
        """Open a connection. `sent`: whether the server may have received the request over an older one."""
        import asyncio  # noqa: PLC0415 - the same

        sock: socket | None = None
        try:
            async with asyncio.timeout_at(until):
                sock = await dial_async(*_peer(to, proxy))
                channel = await run_async(open_channel(to, proxy=proxy, context=self._tls), sock, asyncio.get_running_loop())
        except BaseException as error:
            _raise_unreached(error, sock, proxy, sent=sent)
        return _Connection(sock, channel, 0.0)


def _popped(idle: list[_Connection]) -> _Connection | None:
    """Take the newest idle connection; other threads may do so at the same time."""
    try:
        return idle.pop()
    except IndexError:
        return None


def _place(to: Address, proxy: Proxy | None) -> tuple[str, str]:
    """Return where a connection leads: the server, and the proxy on the way."""
    if proxy is None:
        return to.origin, ""
    return to.origin if to.secure else "", f"{proxy.host}:{proxy.port}"


def _peer(to: Address, proxy: Proxy | None) -> tuple[str, int]:
    return (to.host, to.port) if proxy is None else (proxy.host, proxy.port)


def _is_open(sock: socket) -> bool:
    """Tell whether an idle connection is still open: the peer closed it if there is an end to read, and broke it if there are bytes."""
    sock.setblocking(False)
    try:
        sock.recv(1, MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _raise_unreached(error: BaseException, sock: socket | None, proxy: Proxy | None, *, sent: bool) -> NoReturn:
    """Close what was opened, and say that no connection was made. `sent`: whether the server may have the request all the same."""
    if sock is not None:
        sock.close()
    failure = _unreached(error, proxy)
    if failure is None:
        raise error
    failure.sent = sent
    raise failure from (None if failure is error else error)


def _unreached(error: BaseException, proxy: Proxy | None) -> NetworkFailure | None:
    """Return the error for a connection that was not made; None for one that the network did not make."""
    whom = "the proxy: " if proxy is not None else ""
    if isinstance(error, NetworkFailure):
        return error
    if isinstance(error, TimeoutError):
        return NetworkFailure(f"{whom}no connection in time", timed_out=True)
    if isinstance(error, gaierror):
        return NetworkFailure(f"{whom}the host name is not known ({error.strerror})")
    if isinstance(error, OSError | UnicodeError):
        number = getattr(error, "errno", None)  # its own words may name an address
        return NetworkFailure(f"{whom}{(os.strerror(number) if number else str(error)).lower()}")
    return None
