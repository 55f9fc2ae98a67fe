"""HTTP by a library (pyreqwest), for rare calls: the platform's credentials, STS's unsigned calls, and all calls through a proxy.

Sets how these calls treat proxies, redirects, certificates and the limits of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DetailedPyreqwestError, PyreqwestError, RequestTimeoutError

from offpoll.aws.connections import CONNECT_TIMEOUT, POOL_IDLE, Unreachable, Unsendable
from offpoll.network.http1 import Response

__all__ = ["ByProxy", "ask", "client"]


def client(*, direct: bool, certificates: bytes | None = None) -> Client:
    """Build a client.

    Args:
        direct: whether to ignore the environment's proxies, as for loopback and link-local addresses.
        certificates: PEM of authorities to trust beside the system's.
    """
    builder = (
        ClientBuilder()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .user_agent("offpoll")
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
        .pool_idle_timeout(timedelta(seconds=POOL_IDLE))
    )
    if direct:
        builder = builder.no_proxy()
    if certificates is not None:
        builder = builder.add_root_certificate_pem(certificates)
    return builder.build()


class ByProxy:
    """Sends to one origin through the proxy that the environment names, and obeys NO_PROXY. The twin of `connections.Connections`."""

    def __init__(self, origin: str, *, certificates: bytes | None = None) -> None:
        self._origin = origin
        self._client = client(direct=False, certificates=certificates)

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, timeout: float) -> Response:
        """Send a request and return its response.

        Raises:
            Unreachable: no response came in time. The effect is unknown.
            Unsendable: HTTP cannot express the target or a header.
        """
        try:
            builder = self._client.request(method, self._origin + target).headers(headers).timeout(timedelta(seconds=timeout))
            response = await (builder.body_bytes(body) if body else builder).build().send()
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status, lowered, bytes(await response.bytes()))
        except (BuilderError, ValueError) as error:
            raise Unsendable(str(error)) from error
        except PyreqwestError as error:
            raise Unreachable(_reason(error), timed_out=isinstance(error, RequestTimeoutError)) from error

    async def close(self) -> None:
        """Close all connections for good."""
        await self._client.close()


async def ask(
    http: Client, method: str, url: str, *, timeout: float, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    """Send one unsigned request, once, and return the response's status and body.

    Raises:
        Unreachable: no response came within `timeout` seconds, or the URL or a header cannot be sent.
    """
    try:
        builder = http.request(method, url).headers(dict(headers or {})).timeout(timedelta(seconds=timeout))
        response = await (builder.body_bytes(body) if body else builder).build().send()
        return response.status, bytes(await response.bytes())
    except PyreqwestError as error:
        raise Unreachable(str(error)) from error


def _reason(error: PyreqwestError) -> str:
    """Say why no response came. The error itself only names the URL; its causes say why."""
    details = error.details if isinstance(error, DetailedPyreqwestError) else None
    causes = [cause["message"] for cause in details["causes"] or ()] if details else []
    return causes[-1] if causes else error.message
