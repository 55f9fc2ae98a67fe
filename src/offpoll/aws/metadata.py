"""Fetches credentials from the platform: the container endpoint (ECS, EKS, SnapStart) or EC2's instance metadata.

Decides which hosts to ask, and which to trust with the request.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and feature-imds-credentials.html.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offpoll.aws.configuration import expanded
from offpoll.aws.connections import Unreachable
from offpoll.aws.credentials import Credentials, complete
from offpoll.aws.endpoints import is_loopback
from offpoll.aws.transport import ask, client
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.instant import from_wire
from offpoll.network.network import AsyncNetwork

__all__ = ["from_container", "from_instance"]

#: ECS's credentials endpoint. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is relative to it.
CONTAINER_HOST = "http://169.254.170.2"

#: EC2's instance metadata service.
INSTANCE = "http://169.254.169.254"
INSTANCE_IPV6 = "http://[fd00:ec2::254]"

#: Hosts that may be asked without TLS, beside loopback: ECS, and EKS Pod Identity by IPv4 and IPv6.
_TRUSTED = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

#: Seconds for one request to the container endpoint, and tries. The endpoint is on the same host.
TIMEOUT = 2.0
TRIES = 3

#: The longest session that the metadata service grants: 6 h.
_SESSION = {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}
_ROLES = "/latest/meta-data/iam/security-credentials/"


async def from_container(environ: Mapping[str, str], *, host: str = CONTAINER_HOST) -> Credentials | None:
    """Ask the container endpoint; return None if the environment names none.

    Raises:
        ConfigurationError: the environment names an untrusted host, or a token file that cannot be read.
        DependencyUnavailable: the endpoint sent no usable response.
    """
    relative, full = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not relative and not full:
        return None
    url = host + relative if relative else _trusted_url(full or "")
    headers = {"accept": "application/json"}
    token = _container_token(environ)
    if token:
        headers["authorization"] = token
    async with client(direct=_is_local(url)) as http:
        for tries in range(1, TRIES + 1):
            try:
                status, body = await ask(http, "GET", url, headers=headers, timeout=TIMEOUT)
            except Unreachable as error:
                if tries == TRIES:
                    raise DependencyUnavailable("container credentials", f"{url} gave no answer: {error}") from error
                continue
            if status < 500 or tries == TRIES:
                break
    if status != 200:
        raise DependencyUnavailable("container credentials", f"{url} answered HTTP status {status}")
    return _read(body, source=f"the container endpoint {url}")


async def from_instance(environ: Mapping[str, str]) -> Credentials | None:
    """Ask the instance metadata service, version 2.

    Returns:
        Credentials; None if there is no such service, the instance has no role, or AWS_EC2_METADATA_DISABLED is true.

    Raises:
        DependencyUnavailable: the service opened a session, but then sent no usable response.
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    mode = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    origin = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or (INSTANCE_IPV6 if mode == "ipv6" else INSTANCE)
    timeout = _seconds(environ.get("AWS_METADATA_SERVICE_TIMEOUT"))
    async with client(direct=True) as http:
        return await _instance_role(http, origin.rstrip("/"), timeout)


async def _instance_role(http: AsyncNetwork, origin: str, timeout: float) -> Credentials | None:
    try:
        status, session = await ask(http, "PUT", f"{origin}/latest/api/token", headers=_SESSION, timeout=timeout)
    except Unreachable:
        return None  # not on EC2
    if status != 200:
        return None  # something else lives at that address, or the service is switched off
    headers = {"x-aws-ec2-metadata-token": session.decode("latin-1")}
    try:
        status, roles = await ask(http, "GET", origin + _ROLES, headers=headers, timeout=timeout)
        if status == 404:
            return None  # an instance without a role
        role = roles.decode("latin-1").partition("\n")[0].strip()
        if status == 200 and role:
            status, body = await ask(http, "GET", origin + _ROLES + role, headers=headers, timeout=timeout)
            if status == 200:
                return _read(body, source="the instance metadata service")
    except Unreachable as error:
        raise DependencyUnavailable("instance metadata", f"{origin} gave no answer: {error}") from error
    raise DependencyUnavailable("instance metadata", f"{origin} answered HTTP status {status}")


def _trusted_url(url: str) -> str:
    """Return AWS_CONTAINER_CREDENTIALS_FULL_URI if it may be asked: any host by HTTPS, without it only this machine and its link."""
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and _is_local(url)):
        return url
    trusted = ", ".join(sorted(_TRUSTED))
    raise ConfigurationError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI={url}: without https only loopback and {trusted} may be asked")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _TRUSTED or is_loopback(f"[{host}]" if ":" in host else host)


def _container_token(environ: Mapping[str, str]) -> str | None:
    """Return the Authorization header. A token file takes precedence, and is read each time: EKS rotates it."""
    path = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if path:
        try:
            token = Path(expanded(path, environ)).read_text()
        except OSError as error:
            raise ConfigurationError(f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={path}: {error.strerror}") from error
    token = token.strip() if token else None
    if token and ("\r" in token or "\n" in token):
        raise ConfigurationError("the container authorization token has a line break, which would end the HTTP header")
    return token


def _seconds(written: str | None) -> float:
    try:
        return float(written) if written else 1.0
    except ValueError:
        raise ConfigurationError(f"AWS_METADATA_SERVICE_TIMEOUT={written} is not a number") from None


def _read(body: bytes, *, source: str) -> Credentials:
    try:
        fields: Any = json.loads(body)
        expires_at: datetime | None = from_wire(fields["Expiration"]) if fields.get("Expiration") else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DependencyUnavailable("credentials", f"{source} sent a response that cannot be read") from error
    if fields.get("Code", "Success") != "Success":
        raise DependencyUnavailable("credentials", f"{source} answered {fields['Code']}: {fields.get('Message', '')}")
    return complete(fields.get("AccessKeyId"), fields.get("SecretAccessKey"), fields.get("Token"), expires_at, source=source)
