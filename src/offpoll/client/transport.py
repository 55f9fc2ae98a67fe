"""Sends the client's requests: two protocols, and the network behind them.

A transport sends a request and returns the response. It follows no redirects, retries nothing, and raises nothing when the network fails.
The in-memory system has its own transports.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Protocol, TypeAlias

from offpoll.arguments import need
from offpoll.errors import ConfigurationError
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.network.address import address
from offpoll.network.failure import NetworkFailure, Unsendable
from offpoll.network.http1 import Received
from offpoll.network.network import AsyncNetwork, Network

__all__ = ["AsyncHttpTransport", "AsyncTransport", "Ca", "HttpTransport", "Transport", "refuse_both"]

#: Certificates: the path of a PEM file, or its bytes.
Ca: TypeAlias = str | PathLike[str] | bytes

USER_AGENT = "offpoll-python"


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
    """Sends requests over the network. Several threads may use it at once.

    Args:
        proxy, ca: as for `Client`.

    Raises:
        ConfigurationError: `proxy` is not an address, or `ca` holds no certificates.
    """

    def __init__(self, *, proxy: str | None = None, ca: Ca | None = None) -> None:
        self._network = Network(user_agent=USER_AGENT, proxy=proxy, certificates=_certificates(ca))

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        try:
            to = address(fetch.url)
        except ValueError:
            return _NOT_A_URL
        try:
            received = self._network.send(
                fetch.method, to, headers=fetch.headers, body=fetch.body or b"", limit=fetch.max_bytes, timeout=fetch.timeout
            )
        except NetworkFailure as failure:
            return _no_answer(failure)
        except Unsendable as error:
            raise _unsendable(fetch) from error
        return _read(received)

    def close(self) -> None:
        """Close the connections."""
        self._network.close()


class AsyncHttpTransport:
    """Sends requests over the network, awaited. Arguments and errors are those of `HttpTransport`."""

    def __init__(self, *, proxy: str | None = None, ca: Ca | None = None) -> None:
        self._network = AsyncNetwork(user_agent=USER_AGENT, proxy=proxy, certificates=_certificates(ca))

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        try:
            to = address(fetch.url)
        except ValueError:
            return _NOT_A_URL
        try:
            received = await self._network.send(
                fetch.method, to, headers=fetch.headers, body=fetch.body or b"", limit=fetch.max_bytes, timeout=fetch.timeout
            )
        except NetworkFailure as failure:
            return _no_answer(failure)
        except Unsendable as error:
            raise _unsendable(fetch) from error
        return _read(received)

    async def close(self) -> None:
        """Close the connections."""
        await self._network.close()


#: Without the URL itself: a status link is a secret.
_NOT_A_URL = NoAnswer(reason="the link is not a URL", sent=False, hopeless=True)


def refuse_both(transport: object | None, *, proxy: str | None, ca: Ca | None) -> None:
    """Refuse a proxy or certificates beside a transport: they would have no effect.

    Raises:
        ConfigurationError: both were given.
    """
    if transport is not None and (proxy is not None or ca is not None):
        raise ConfigurationError("proxy= and ca= configure the client's default transport: pass them to your own transport instead")
    if proxy is not None:
        need(proxy, str, what="proxy is an address, such as http://proxy.example.com:3128")


def _certificates(ca: Ca | None) -> bytes | None:
    """Return valid PEM. OpenSSL would take a text without certificates for an empty list, and add no trust.

    Raises:
        ConfigurationError: there is no certificate, or a broken one.
    """
    if ca is None:
        return None
    need(ca, str, bytes, PathLike, what="ca is the path of a PEM file, or its bytes")
    from ssl import SSLError  # noqa: PLC0415 - without https nobody pays for ssl

    from offpoll.network.tls import tls_context  # noqa: PLC0415 - the same

    pem = ca if isinstance(ca, bytes) else _file(Path(ca))
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            tls_context(pem)
            return pem
    except SSLError:
        pass  # raised below
    where = "these bytes" if isinstance(ca, bytes) else str(ca)
    raise ConfigurationError(f"ca holds no readable certificate in PEM: {where}")


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a path may be one that no file can have
        raise ConfigurationError(f"ca={str(path)!r}: {getattr(error, 'strerror', None) or error}") from error


def _unsendable(fetch: Fetch) -> ConfigurationError:
    # Without the value, which may be a credential.
    names = ", ".join(fetch.headers)
    return ConfigurationError(f"one of these headers has a character that no header may have, for example a line break: {names}")


def _no_answer(failure: NetworkFailure) -> NoAnswer:
    return NoAnswer(reason=failure.reason, sent=failure.sent, hopeless=failure.hopeless)


def _read(received: Received) -> Response:
    return Response(status=received.status, headers=received.headers, body=received.body, complete=received.complete)
