"""HTTP for rare calls: the platform's credentials, STS's unsigned calls, and all calls through a proxy.

Sets how these calls treat proxies, certificates and the limits of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping

from offpoll.aws.connections import CONNECT_TIMEOUT, Unreachable, Unsendable
from offpoll.errors import ConfigurationError
from offpoll.network import failure
from offpoll.network.address import address
from offpoll.network.http1 import MAX_BODY, Response
from offpoll.network.network import AsyncNetwork

__all__ = ["ByProxy", "ask", "client"]


def client(*, direct: bool, proxy: str | None = None, certificates: bytes | None = None) -> AsyncNetwork:
    """Build a client.

    Args:
        direct: whether to ignore the environment's proxies, as for loopback and link-local addresses.
        proxy: a proxy to use instead of those.
        certificates: PEM of authorities to trust in addition to the system's.

    Raises:
        ConfigurationError: the proxy's URL cannot be used.
    """
    try:
        return AsyncNetwork(user_agent="offpoll", proxy=proxy, direct=direct, certificates=certificates, connect_timeout=CONNECT_TIMEOUT)
    except ConfigurationError as error:
        raise ConfigurationError(f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used: {error}") from None


class ByProxy:
    """Sends to one origin through a proxy. The twin of `connections.Connections`."""

    def __init__(self, origin: str, *, proxy: str, certificates: bytes | None = None) -> None:
        self._origin = origin
        self._client = client(direct=False, proxy=proxy, certificates=certificates)

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, timeout: float) -> Response:
        """Send a request and return its response.

        Raises:
            Unreachable: no response came in time. The effect is unknown.
            Unsendable: HTTP cannot express the target or a header.
        """
        return await _send(self._client, method, self._origin + target, headers=headers, body=body, timeout=timeout)

    async def close(self) -> None:
        """Close all connections for good."""
        await self._client.close()


async def ask(
    http: AsyncNetwork, method: str, url: str, *, timeout: float, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    """Send one unsigned request, once, and return the response's status and body.

    Raises:
        Unreachable: no response came within `timeout` seconds, or the URL or a header cannot be sent.
    """
    try:
        response = await _send(http, method, url, headers=headers or {}, body=body, timeout=timeout)
    except Unsendable as error:
        raise Unreachable(str(error)) from error
    return response.status, response.body


async def _send(http: AsyncNetwork, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> Response:
    try:
        received = await http.send(method, address(url), headers=headers, body=body, limit=MAX_BODY, timeout=timeout)
    except (failure.Unsendable, ValueError) as error:
        raise Unsendable(str(error)) from error
    except failure.NetworkFailure as error:
        raise Unreachable(error.reason, timed_out=error.timed_out) from error
    return Response(received.status, received.headers, received.body)
