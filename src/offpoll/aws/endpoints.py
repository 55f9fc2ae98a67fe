"""Finds the AWS region and each service's address in the environment's variables, as every SDK reads them.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html and feature-region.html.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from offpoll.errors import ConfigurationError
from offpoll.limits import shown_url

__all__ = ["AwsEndpoint", "Endpoints", "bucket_endpoint", "ca_bundle", "is_loopback", "names_a_proxy"]

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_DEFAULT_PORTS = {"http": 80, "https": 443}

#: Partitions by the prefix of their regions, and the suffix of their hosts (botocore's endpoints.json).
_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsEndpoint:
    """One service's address.

    Attributes:
        origin: scheme, host and the port if the URL has one; no trailing slash.
        host: its `Host` header, without the scheme's default port.
        path: the prefix of every path, usually empty.
        custom: whether somebody set it; False for AWS's own.
    """

    origin: str
    host: str
    path: str = ""
    custom: bool = False

    @classmethod
    def parse(cls, url: str, *, custom: bool = True) -> AwsEndpoint:
        """Read a URL.

        Raises:
            ConfigurationError: the URL is not http or https, has no host, or has a user, a query or a fragment.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{shown_url(url)!r} is not a URL: {error}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ConfigurationError(f"{shown_url(url)!r} is not an endpoint: write it as https://host or http://host:port")
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        written = name if port is None else f"{name}:{port}"
        host = name if port == _DEFAULT_PORTS[parts.scheme] else written
        return cls(origin=f"{parts.scheme}://{written}", host=host, path=parts.path.rstrip("/"), custom=custom)


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """A region, and the addresses of its services.

    Args:
        region: as `eu-west-1`.
        overrides: URLs that replace AWS's own, by service in lower case; "" stands for all services.
    """

    region: str
    overrides: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, region: str | None = None) -> Endpoints:
        """Read the variables AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>.

        Raises:
            ConfigurationError: no region is set, or it is malformed.
        """
        region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise ConfigurationError("no AWS region is set: set AWS_REGION, for example to eu-west-1")
        if not _REGION.fullmatch(region):
            raise ConfigurationError(f"AWS_REGION={region!r} is not a region")
        overrides: dict[str, str] = {}
        if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
            for name, value in environ.items():
                if value and (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")):
                    overrides[name.removeprefix("AWS_ENDPOINT_URL").removeprefix("_").lower()] = value
        return cls(region=region, overrides=overrides)

    def service(self, name: str) -> AwsEndpoint:
        """Return the address of a service: `s3`, `sqs`, `dynamodb` or `sts`.

        Raises:
            ConfigurationError: the URL set for it is not an endpoint.
        """
        override = self.overrides.get(name) or self.overrides.get("")
        if override:
            return AwsEndpoint.parse(override)
        suffix = next((suffix for prefix, suffix in _SUFFIXES if self.region.startswith(prefix)), "amazonaws.com")
        return AwsEndpoint.parse(f"https://{name}.{self.region}.{suffix}", custom=False)


def bucket_endpoint(endpoint: AwsEndpoint, *, bucket: str, style: str = "auto") -> tuple[AwsEndpoint, str]:
    """Return the address for a bucket's requests, and the part of their path before the key.

    Args:
        endpoint: the address of S3.
        bucket: the bucket's name.
        style: `path` or `virtual`; `auto` is virtual on AWS, and path for custom endpoints and for names with dots, which
            a certificate for `*.s3.…` does not cover.

    Raises:
        ConfigurationError: no bucket is set, the style is unknown, or it is `virtual` and the host is an IP address.
    """
    if not bucket or "/" in bucket:
        raise ConfigurationError(f"{bucket!r} is not a bucket's name: set OFFPOLL_BUCKET")
    if style == "auto":
        style = "path" if endpoint.custom or not _PLAIN_BUCKET.fullmatch(bucket) else "virtual"
    if style == "path":
        return endpoint, f"{endpoint.path}/{bucket}/"
    if style != "virtual" or _ip_address(endpoint.host) is not None:
        raise ConfigurationError(f"addressing style {style!r} cannot be used with {endpoint.origin}: path, virtual or auto")
    origin = endpoint.origin.replace("://", f"://{bucket}.", 1)
    return AwsEndpoint(origin=origin, host=f"{bucket}.{endpoint.host}", path=endpoint.path, custom=endpoint.custom), f"{endpoint.path}/"


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine: `localhost`, a name under it, or a loopback address."""
    name, address = _without_port(host), _ip_address(host)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment names a proxy for http or https, as curl and the SDKs read it."""
    return any(environ.get(name) or environ.get(name.lower()) for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"))


def ca_bundle(environ: Mapping[str, str]) -> bytes | None:
    """Return the content of the file that AWS_CA_BUNDLE names; None if it is not set.

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


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_without_port(host))
    except ValueError:
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
