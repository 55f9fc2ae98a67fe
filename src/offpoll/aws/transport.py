"""HTTP connections: how the clients that reach AWS are built.

Decides proxies, redirects, certificates and the limits of a connection. Must not know what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from offpoll.errors import ConfigurationError

__all__ = ["Unreachable", "ask", "ca_bundle", "client"]

#: Seconds for a connection to come about. AWS's endpoints are near; a peer that takes longer is not coming.
CONNECT_TIMEOUT = 3.1

#: Idle connections are dropped before AWS's load balancers drop them (S3 after 20 s or so), so that few requests meet a closed one.
POOL_IDLE = 15.0


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


class Unreachable(Exception):  # noqa: N818 - not an error to show: whoever asked knows what it means
    """Nobody answered."""


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
