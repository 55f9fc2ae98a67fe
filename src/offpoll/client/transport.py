"""How requests get onto the wire: two protocols, and pyreqwest behind them.

A transport sends what it is given and says what came of it; it decides nothing else. It follows no redirect, retries nothing, and raises
nothing for a network's failure. An in-memory system has transports of its own.
"""

from __future__ import annotations

from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import BaseRequestBuilder
from pyreqwest.response import BaseResponse

from offpoll.errors import ConfigurationError
from offpoll.exchange import Fetch, NoAnswer, Response

__all__ = ["AsyncHttpTransport", "AsyncTransport", "Ca", "HttpTransport", "Transport", "refuse_both"]

#: Where certificates are: a path, or PEM itself.
Ca: TypeAlias = str | PathLike[str] | bytes

USER_AGENT = "offpoll-python"

B = TypeVar("B", bound=BaseRequestBuilder)
C = TypeVar("C", bound=BaseClientBuilder)


class Transport(Protocol):
    """Sends requests."""

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request and return what came of it, within its `timeout` and reading at most its `max_bytes`."""

    def close(self) -> None:
        """Give connections back."""


class AsyncTransport(Protocol):
    """Sends requests, awaited."""

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request and return what came of it, within its `timeout` and reading at most its `max_bytes`."""

    async def close(self) -> None:
        """Give connections back."""


class HttpTransport:
    """The network, by pyreqwest. May be used by several threads at once.

    Args:
        proxy: address of a proxy for all requests, `http(s)://[user:password@]host[:port]`; None for what `HTTP_PROXY`, `HTTPS_PROXY` and
            `NO_PROXY` say.
        ca: authorities to trust beside the system's: the path of a PEM file, or its bytes.

    Raises:
        ConfigurationError: `proxy` is not an address, or `ca` holds no certificates.
    """

    def __init__(self, *, proxy: str | None = None, ca: Ca | None = None) -> None:
        self._client = _configured(SyncClientBuilder(), proxy=proxy, ca=ca).build()

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        try:
            builder = self._client.request(fetch.method, fetch.url)
        except ValueError:
            return _NOT_A_URL
        body = bytearray()
        try:
            with _filled(builder, fetch).build_streamed() as response:
                while len(body) <= fetch.max_bytes and (chunk := response.body_reader.read_chunk()) is not None:
                    body += chunk
        except PyreqwestError as error:
            return NoAnswer(reason=_reason(error))
        return _answer(response, body, fetch)

    def close(self) -> None:
        """Give connections back."""
        self._client.close()


class AsyncHttpTransport:
    """The network, by pyreqwest, awaited. Arguments and errors are those of `HttpTransport`."""

    def __init__(self, *, proxy: str | None = None, ca: Ca | None = None) -> None:
        self._client = _configured(ClientBuilder(), proxy=proxy, ca=ca).build()

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        from asyncio import CancelledError, current_task  # noqa: PLC0415 - a sync program does not pay for asyncio

        # The library loses a cancellation that comes while its answer does: Ctrl-C, or a timeout around a wait, would have no effect.
        task = current_task()
        before = 0 if task is None else task.cancelling()
        reply = await self._send(fetch)
        if task is not None and task.cancelling() > before:
            raise CancelledError
        return reply

    async def _send(self, fetch: Fetch) -> Response | NoAnswer:
        try:
            builder = self._client.request(fetch.method, fetch.url)
        except ValueError:
            return _NOT_A_URL
        body = bytearray()
        try:
            async with _filled(builder, fetch).build_streamed() as response:
                while len(body) <= fetch.max_bytes and (chunk := await response.body_reader.read_chunk()) is not None:
                    body += chunk
        except PyreqwestError as error:
            return NoAnswer(reason=_reason(error))
        return _answer(response, body, fetch)

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()


#: Says nothing of the URL itself: a status link is a secret.
_NOT_A_URL = NoAnswer(reason="the link is not a URL")


def refuse_both(transport: object | None, *, proxy: str | None, ca: Ca | None) -> None:
    """Refuse what would have no effect.

    Raises:
        ConfigurationError: there is a transport, and a proxy or certificates beside it.
    """
    if transport is not None and (proxy is not None or ca is not None):
        raise ConfigurationError("proxy= and ca= are for the client's own transport: give them to the transport that you made")


def _configured(builder: C, *, proxy: str | None, ca: Ca | None) -> C:
    # No redirects: credentials and signatures are for the address they were made for. No referer: it would carry a link to another host.
    builder = builder.follow_redirects(False).referer(False).user_agent(USER_AGENT)
    if proxy is not None:
        builder = builder.proxy(_proxy(proxy))
    if ca is not None:
        builder = builder.add_root_certificate_pem(_certificates(ca))
    return builder


def _proxy(address: str) -> ProxyBuilder:
    try:
        if address.lower().startswith(("http://", "https://")):
            return ProxyBuilder.all(address)
    except ValueError:
        pass  # said below, without the address: there may be a password in it
    raise ConfigurationError("proxy is an address, as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128")


def _certificates(ca: Ca) -> bytes:
    """Return PEM, seen to be that: the library takes a file without any certificate for an empty list, and trusts nobody by it.

    Raises:
        ConfigurationError: there is none, or it is broken.
    """
    pem = ca if isinstance(ca, bytes) else _read(Path(ca))
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            SyncClientBuilder().add_root_certificate_pem(pem).build().close()
            return pem
    except PyreqwestError:
        pass  # said below
    where = "these bytes" if isinstance(ca, bytes) else str(ca)
    raise ConfigurationError(f"ca holds no certificate in PEM that can be read: {where}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"ca={path}: {error.strerror}") from error


def _filled(builder: B, fetch: Fetch) -> B:
    try:
        builder = builder.headers(dict(fetch.headers)).timeout(timedelta(seconds=fetch.timeout))
    except ValueError:
        # Without its words, and without its cause: they repeat the value, and that may be a credential.
        names = ", ".join(fetch.headers)
        raise ConfigurationError(f"one of these headers has a character that no header may have, a line end for example: {names}") from None
    if fetch.body is None:
        return builder
    # Said explicitly where it is 0, which the library leaves out and some proxies refuse to guess (411).
    return builder.body_bytes(fetch.body) if fetch.body else builder.header("content-length", "0")


def _answer(response: BaseResponse, body: bytearray, fetch: Fetch) -> Response:
    headers: dict[str, str] = {}
    for name in response.headers:
        try:
            value = response.get_header(name)
        except ValueError:
            continue  # not ASCII: some proxy's own, and none that is read here
        headers.setdefault(name.lower(), value or "")
    return Response(status=response.status, headers=headers, body=bytes(body[: fetch.max_bytes]), complete=len(body) <= fetch.max_bytes)


def _reason(error: PyreqwestError) -> str:
    """Say what happened, in the innermost words that name no URL."""
    causes: Any = (error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None) or []
    words = [cause["message"] for cause in causes if "://" not in cause["message"]]
    return f"{error.message}: {words[-1]}" if words else error.message
