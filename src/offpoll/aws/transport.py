"""HTTP by a library, for what is rare: credentials from the platform, STS's unsigned calls, and all calls where a proxy is in the way.

Decides proxies, redirects, certificates and the limits of a connection. Must not know what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DetailedPyreqwestError, PyreqwestError, RequestTimeoutError

from offpoll.aws.connections import CONNECT_TIMEOUT, POOL_IDLE, Unreachable, Unsendable
from offpoll.aws.http1 import Response
from offpoll.errors import ConfigurationError

__all__ = ["ByProxy", "ask", "ca_bundle", "client", "names_a_proxy"]


def client(*, direct: bool, certificates: bytes | None = None) -> Client:
    """Build a client.

    Args:
        direct: ignore the proxies of the environment, as for loopback and link-local addresses.
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
    """Sends to one origin through the proxy that the environment names; NO_PROXY is heeded. See `connections.Connections`."""

    def __init__(self, origin: str, *, certificates: bytes | None = None) -> None:
        self._origin = origin
        self._client = client(direct=False, certificates=certificates)

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, timeout: float) -> Response:
        """Send a request and return its answer.

        Raises:
            Unreachable: none came in time. Whether there was an effect is unknown.
            Unsendable: the target or a header holds what HTTP cannot say.
        """
        try:
            builder = self._client.request(method, self._origin + target).headers(headers).timeout(timedelta(seconds=timeout))
            answer = await (builder.body_bytes(body) if body else builder).build().send()
            return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, bytes(await answer.bytes()))
        except (BuilderError, ValueError) as error:
            raise Unsendable(str(error)) from error
        except PyreqwestError as error:
            raise Unreachable(_reason(error), timed_out=isinstance(error, RequestTimeoutError)) from error

    async def close(self) -> None:
        """Close all connections, for good."""
        await self._client.close()


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment names a proxy for http or https, as curl and the SDKs read it."""
    return any(environ.get(name) or environ.get(name.lower()) for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"))


async def ask(
    http: Client, method: str, url: str, *, timeout: float, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    """Send one unsigned request, once, and return its answer's status and body.

    Raises:
        Unreachable: no answer within `timeout` seconds, or a URL or header that cannot be sent.
    """
    try:
        builder = http.request(method, url).headers(dict(headers or {})).timeout(timedelta(seconds=timeout))
        response = await (builder.body_bytes(body) if body else builder).build().send()
        return response.status, bytes(await response.bytes())
    except PyreqwestError as error:
        raise Unreachable(str(error)) from error


def ca_bundle(environ: Mapping[str, str]) -> bytes | None:
    """Return the certificates that AWS_CA_BUNDLE names, None where it is not set.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = environ.get("AWS_CA_BUNDLE")
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"AWS_CA_BUNDLE={path}: {error.strerror}") from error


def _reason(error: PyreqwestError) -> str:
    """Say why there was no answer. The causes say it, the error itself only names the URL."""
    details = error.details if isinstance(error, DetailedPyreqwestError) else None
    causes = [cause["message"] for cause in details["causes"] or ()] if details else []
    return causes[-1] if causes else error.message
