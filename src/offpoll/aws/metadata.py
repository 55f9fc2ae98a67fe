"""Fetches credentials from the platform: the container endpoint (ECS, EKS, SnapStart) or EC2's instance metadata.

Decides which hosts to ask, and which to trust with the request.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and feature-imds-credentials.html.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from offpoll.aws.configuration import expanded
from offpoll.aws.connections import Unreachable
from offpoll.aws.credentials import Credentials, complete
from offpoll.aws.endpoints import AwsEndpoint, ca_bundle, is_loopback
from offpoll.aws.faults import MAX_MESSAGE
from offpoll.aws.transport import ask, client
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.instant import from_wire
from offpoll.limits import shown_url
from offpoll.network.network import AsyncNetwork

__all__ = ["from_container", "from_instance"]

#: ECS's credentials endpoint. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is relative to it.
CONTAINER_HOST = "http://169.254.170.2"

#: EC2's instance metadata service.
INSTANCE = "http://169.254.169.254"
INSTANCE_IPV6 = "http://[fd00:ec2::254]"

#: Hosts that may be asked without TLS, beside loopback: ECS, and EKS Pod Identity by IPv4 and IPv6.
_TRUSTED = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

#: What a URL or a token, a path, and a header may consist of.
_PLAIN, _PATH, _HEADER = re.compile("[!-~]+"), re.compile("/[!-~]*"), re.compile("[ -~]+")

#: Seconds for one request to the container endpoint, tries, and the pause before the next one, as in botocore. It is on the same host.
TIMEOUT, TRIES, PAUSE = 2.0, 3, 1.0

#: The longest session that the metadata service grants: 6 h.
_SESSION = {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}
_ROLES = "/latest/meta-data/iam/security-credentials/"

#: Answers to the request for a session that mean that there is only version 1 (botocore's).
_NO_SESSION = frozenset({403, 404, 405})


async def from_container(environ: Mapping[str, str], *, host: str = CONTAINER_HOST) -> Credentials | None:
    """Ask the container endpoint; return None if the environment names none.

    Raises:
        ConfigurationError: the environment names an untrusted host or no URL, or a token file that cannot be read.
        DependencyUnavailable: the endpoint sent no usable response.
    """
    relative, full = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not relative and not full:
        return None
    if relative and not _PATH.fullmatch(relative):
        raise ConfigurationError(f"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI={relative!r} is not a path: a path begins with a /")
    url = host + relative if relative else _trusted_url(full or "")
    headers = {"accept": "application/json"}
    token = _container_token(environ)
    if token:
        headers["authorization"] = token
    async with client(direct=_is_local(url), certificates=None if _is_local(url) else ca_bundle(environ)) as http:
        failure = DependencyUnavailable("container credentials", f"{url} was not asked")
        for tries in range(TRIES):
            if tries:
                await asyncio.sleep(PAUSE)
            try:
                status, body = await ask(http, "GET", url, headers=headers, timeout=TIMEOUT)
            except Unreachable as error:
                failure = DependencyUnavailable("container credentials", f"{url} gave no answer: {error}")
                continue
            if status == 200:
                return _read(body, source=f"the container endpoint {url}")
            failure = DependencyUnavailable("container credentials", f"{url} answered HTTP status {status}{_said(body)}")
            if status < 500 and status != 429:
                break
    raise failure


async def from_instance(environ: Mapping[str, str]) -> Credentials | None:
    """Ask the instance metadata service: version 2, and 1 where there is no other and AWS_EC2_METADATA_V1_DISABLED is not true.

    Returns:
        Credentials; None if there is no such service, the instance has no role, or AWS_EC2_METADATA_DISABLED is true.

    Raises:
        ConfigurationError: a variable of the service's has a wrong value.
        DependencyUnavailable: the service opened a session, but then sent no usable response.
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    origin, timeout = _instance_origin(environ), _seconds(environ, "AWS_METADATA_SERVICE_TIMEOUT")
    attempts = _whole(environ, "AWS_METADATA_SERVICE_NUM_ATTEMPTS")
    async with client(direct=True) as http:
        service = _InstanceMetadata(http, origin, timeout=timeout, attempts=attempts)
        session = await service.session()
        if not session and (session is None or environ.get("AWS_EC2_METADATA_V1_DISABLED", "").lower() == "true"):
            return None
        return await service.credentials(session)


class _InstanceMetadata:
    """The service's three requests: for a session, for the role's name, and for its credentials. Each is tried `attempts` times."""

    def __init__(self, http: AsyncNetwork, origin: str, *, timeout: float, attempts: int) -> None:
        self._http, self._origin, self._timeout, self._attempts = http, origin, timeout, attempts

    async def session(self) -> str | None:
        """Return a session's token; empty if there may be only version 1; None if there is no service.

        Raises:
            DependencyUnavailable: the service fails.
        """
        status, body = 0, b""
        silent = False
        for _ in range(self._attempts):
            try:
                status, body = await ask(self._http, "PUT", f"{self._origin}/latest/api/token", headers=_SESSION, timeout=self._timeout)
            except Unreachable as error:
                status, silent = 0, error.timed_out  # a container's network may lose the answer, which may go one hop only
                continue
            if status < 500:
                break
        if status >= 500 or status == 429:
            raise DependencyUnavailable("instance metadata", f"{self._origin} answered HTTP status {status}{_said(body)}")
        if status in _NO_SESSION or (not status and silent):
            return ""
        token = body.decode("latin-1").strip()
        return token if status == 200 and _PLAIN.fullmatch(token) else None  # otherwise something else lives at that address

    async def credentials(self, session: str) -> Credentials | None:
        """Return the role's credentials; None if there is no role, or, without a session, no service.

        Raises:
            DependencyUnavailable: the service fails.
        """
        headers = {"x-aws-ec2-metadata-token": session} if session else {}
        try:
            roles = await self._get(_ROLES, headers)
            role = quote((roles or b"").decode("latin-1").partition("\n")[0].strip())
            if not role:
                return None
            return _read(await self._get(_ROLES + role, headers) or b"", source="the instance metadata service")
        except DependencyUnavailable:
            if session:
                raise
            return None

    async def _get(self, path: str, headers: Mapping[str, str]) -> bytes | None:
        failure = DependencyUnavailable("instance metadata", f"{self._origin} was not asked")
        for _ in range(self._attempts):
            try:
                status, body = await ask(self._http, "GET", self._origin + path, headers=headers, timeout=self._timeout)
            except Unreachable as error:
                failure = DependencyUnavailable("instance metadata", f"{self._origin} gave no answer: {error}")
                continue
            if status == 404:
                return None
            if status == 200 and body and (path == _ROLES or _is_json(body)):
                return body
            failure = DependencyUnavailable("instance metadata", f"{self._origin} answered HTTP status {status}{_said(body)}")
        raise failure


def _instance_origin(environ: Mapping[str, str]) -> str:
    mode = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    if mode not in {"", "ipv4", "ipv6"}:
        raise ConfigurationError(f"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE={mode} cannot be used: write IPv4 or IPv6")
    written = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    if not written:
        return INSTANCE_IPV6 if mode == "ipv6" else INSTANCE
    try:
        found = AwsEndpoint.parse(written)
    except ConfigurationError as error:
        raise ConfigurationError(f"AWS_EC2_METADATA_SERVICE_ENDPOINT: {error}") from error
    return found.origin + found.path


def _trusted_url(url: str) -> str:
    """Return AWS_CONTAINER_CREDENTIALS_FULL_URI if it may be asked: any host by HTTPS, without it only this machine and its link."""
    try:
        parts = urlsplit(url)
        usable = _PLAIN.fullmatch(url) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        usable = None
    if usable and ((parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and _is_local(url))):
        return url
    trusted = ", ".join(sorted(_TRUSTED))
    raise ConfigurationError(
        f"AWS_CONTAINER_CREDENTIALS_FULL_URI={shown_url(url)!r} cannot be asked: it is no URL, or has no https; "
        f"without https only loopback and {trusted} are allowed"
    )


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _TRUSTED or is_loopback(f"[{host}]" if ":" in host else host)


def _container_token(environ: Mapping[str, str]) -> str | None:
    """Return the Authorization header. A token file takes precedence, and is read each time: EKS rotates it."""
    path = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if path:
        try:
            token = Path(expanded(path, environ)).read_text(encoding="ascii")
        except OSError as error:
            raise ConfigurationError(f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={path}: {error.strerror}") from error
        except ValueError:
            raise ConfigurationError(f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={path} holds no token: it is another file") from None
    token = token.strip() if token else None
    if token and not _HEADER.fullmatch(token):
        raise ConfigurationError("the container authorization token has a line break or another character that HTTP headers cannot carry")
    return token


def _seconds(environ: Mapping[str, str], variable: str) -> float:
    written = environ.get(variable, "").strip() or "1"
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ConfigurationError(f"{variable}={written} cannot be used: write a number of seconds")
    return seconds


def _whole(environ: Mapping[str, str], variable: str) -> int:
    written = environ.get(variable, "").strip() or "1"
    if not written.isascii() or not written.isdigit() or not 1 <= int(written[:4]) <= 1000:
        raise ConfigurationError(f"{variable}={written} cannot be used: write a whole number from 1")
    return int(written)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _said(body: bytes) -> str:
    """Return the start of an error's text, for people."""
    text = " ".join(body[:MAX_MESSAGE].decode("utf-8", "replace").split())
    return f": {text}" if text.isprintable() and text else ""


def _read(body: bytes, *, source: str) -> Credentials:
    try:
        fields: Any = json.loads(body)
        expires_at: datetime | None = from_wire(fields["Expiration"]) if fields.get("Expiration") else None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DependencyUnavailable("credentials", f"{source} sent a response that cannot be read") from error
    if fields.get("Code", "Success") != "Success":
        raise DependencyUnavailable("credentials", f"{source} answered {fields['Code']}: {fields.get('Message', '')}")
    keys = fields.get("AccessKeyId"), fields.get("SecretAccessKey"), fields.get("Token")
    return complete(*keys, expires_at, source=source, extensible=True)
