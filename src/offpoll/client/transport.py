"""Sends the client's requests: two protocols, and pyreqwest behind them.

A transport sends a request and returns the response. It follows no redirects, retries nothing, and raises nothing when the network fails.
The in-memory system has its own transports.
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

#: Certificates: the path of a PEM file, or its bytes.
Ca: TypeAlias = str | PathLike[str] | bytes

USER_AGENT = "offpoll-python"

B = TypeVar("B", bound=BaseRequestBuilder)
C = TypeVar("C", bound=BaseClientBuilder)


class Transport(Protocol):
    """Sends requests."""

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request and return its response, within its `timeout` and reading at most its `max_bytes`."""

    def close(self) -> None:
        """Close the connections."""


class AsyncTransport(Protocol):
    """Sends requests, awaited."""

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request and return its response, within its `timeout` and reading at most its `max_bytes`."""

    async def close(self) -> None:
        """Close the connections."""


class HttpTransport:
    """Sends requests over the network, by pyreqwest. Several threads may use it at once.

    Args:
        proxy, ca: as for `Client`.

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
        return _read(response, body, fetch)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class AsyncHttpTransport:
    """Sends requests over the network, awaited. Arguments and errors are those of `HttpTransport`."""

    def __init__(self, *, proxy: str | None = None, ca: Ca | None = None) -> None:
        self._client = _configured(ClientBuilder(), proxy=proxy, ca=ca).build()

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        from asyncio import CancelledError, current_task  # noqa: PLC0415 - a sync program does not pay for asyncio

        # The library loses a cancellation that arrives together with its response: Ctrl-C, or a timeout around a wait, would do nothing.
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
        return _read(response, body, fetch)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


#: Without the URL itself: a status link is a secret.
_NOT_A_URL = NoAnswer(reason="the link is not a URL")


def refuse_both(transport: object | None, *, proxy: str | None, ca: Ca | None) -> None:
    """Refuse a proxy or certificates beside a transport: they would have no effect.

    Raises:
        ConfigurationError: both were given.
    """
    if transport is not None and (proxy is not None or ca is not None):
        raise ConfigurationError("proxy= and ca= configure the client's default transport: pass them to your own transport instead")


def _configured(builder: C, *, proxy: str | None, ca: Ca | None) -> C:
    # No redirects: credentials and signatures are for one address only. No referer: it would carry a link to another host.
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
        pass  # raised below without the address, which may contain a password
    raise ConfigurationError("proxy is an address, such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128")


def _certificates(ca: Ca) -> bytes:
    """Return valid PEM. The library would accept a file without certificates as an empty list, and add no trust.

    Raises:
        ConfigurationError: there is no certificate, or a broken one.
    """
    pem = ca if isinstance(ca, bytes) else _file(Path(ca))
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            SyncClientBuilder().add_root_certificate_pem(pem).build().close()
            return pem
    except PyreqwestError:
        pass  # raised below
    where = "these bytes" if isinstance(ca, bytes) else str(ca)
    raise ConfigurationError(f"ca holds no readable certificate in PEM: {where}")


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"ca={path}: {error.strerror}") from error


def _filled(builder: B, fetch: Fetch) -> B:
    try:
        builder = builder.headers(dict(fetch.headers)).timeout(timedelta(seconds=fetch.timeout))
    except ValueError:
        # Without the library's words and the cause: they repeat the value, which may be a credential.
        names = ", ".join(fetch.headers)
        raise ConfigurationError(f"one of these headers has a character that no header may have, a line end for example: {names}") from None
    if fetch.body is None:
        return builder
    # The library leaves out a length of 0, and some proxies then refuse the request (411).
    return builder.body_bytes(fetch.body) if fetch.body else builder.header("content-length", "0")


def _read(response: BaseResponse, body: bytearray, fetch: Fetch) -> Response:
    headers: dict[str, str] = {}
    for name in response.headers:
        try:
            value = response.get_header(name)
        except ValueError:
            continue  # not ASCII: some proxy's header, which offpoll does not read
        headers.setdefault(name.lower(), value or "")
    return Response(status=response.status, headers=headers, body=bytes(body[: fetch.max_bytes]), complete=len(body) <= fetch.max_bytes)


def _reason(error: PyreqwestError) -> str:
    """Return the library's innermost message that names no URL."""
    causes: Any = (error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None) or []
    words = [cause["message"] for cause in causes if "://" not in cause["message"]]
    return f"{error.message}: {words[-1]}" if words else error.message
