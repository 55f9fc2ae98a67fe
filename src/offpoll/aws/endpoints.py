"""Finds the AWS region and each service's address, as every SDK does: in variables, then in the profile.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html and feature-region.html.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from offpoll.aws.configuration import Configuration, check_supported, expanded
from offpoll.aws.names import check_region
from offpoll.aws.partitions import aws_host
from offpoll.errors import ConfigurationError
from offpoll.limits import shown_url

__all__ = ["AwsEndpoint", "Endpoints", "bucket_endpoint", "ca_bundle", "is_loopback"]

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_DOTTED_BUCKET = re.compile(r"(?!.*\.\.)(?!.*(\.-|-\.))(?!(\d+\.){3}\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DEFAULT_PORTS = {"http": 80, "https": 443}

#: Names that only SDKs know: `aws-global`, `fips-us-east-1`, `us-east-1-fips`.
_PSEUDO_REGION = re.compile(r"^fips-|-fips$|^aws-.*global$")

#: Suffixes of the names of directory buckets (S3 Express One Zone), and of aliases of Object Lambda and Outposts.
_OTHER_BUCKETS = ("--x-s3", "--xa-s3", "--ol-s3", "--op-s3")

_ACCOUNT = re.compile(r"[0-9]{12}")

#: Variables and keys of settings that several lines need.
_S3_GLOBAL = ("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT", "s3_us_east_1_regional_endpoint")
_STS_GLOBAL = ("AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints")
_ACCOUNT_MODE = ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "account_id_endpoint_mode")


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
        fips, dualstack, s3_dualstack: which of AWS's own hosts are wanted. A service with a URL has no others.
        s3_global: whether S3 in us-east-1 is at its old global host.
        sts_global: what asks for STS's old global host; empty if nothing does.
        account_id: the account whose own DynamoDB host is used.
        bucket_style: how the profile addresses buckets: `path`, `virtual` or `auto`.
    """

    region: str
    overrides: Mapping[str, str]
    fips: bool = False
    dualstack: bool = False
    s3_dualstack: bool = False
    s3_global: bool = False
    sts_global: str = ""
    account_id: str = ""
    bucket_style: str = "auto"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, region: str | None = None) -> Endpoints:
        """Read the region, the endpoints and their variants from the variables and the shared files.

        Raises:
            ConfigurationError: no region is set, or a setting is malformed or asks for what offpoll cannot do.
        """
        return cls.of(Configuration.load(environ), region=region)

    @classmethod
    def of(cls, given: Configuration, *, region: str | None = None) -> Endpoints:
        """Read what `from_environment` does from files that are read already."""
        region = region or given.region
        if not region:
            raise ConfigurationError("no AWS region is set: set AWS_REGION, for example to eu-west-1")
        if not _REGION.fullmatch(region) or _PSEUDO_REGION.search(region):
            advice = "; for FIPS endpoints set AWS_USE_FIPS_ENDPOINT=true" if "fips" in region else ""
            raise ConfigurationError(f"AWS_REGION, AWS_DEFAULT_REGION or the profile's region: {region!r} is not a region{advice}")
        check_supported(given)
        s3_global = _S3_GLOBAL if given.text(*_S3_GLOBAL) else ("", "s3.us_east_1_regional_endpoint")
        return cls(
            region=region,
            overrides=_overrides(given),
            fips=given.flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            dualstack=given.flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
            s3_dualstack=given.flag("", "s3.use_dualstack_endpoint"),
            s3_global=given.choice(*s3_global, "legacy", "regional") == "legacy",
            sts_global=given.shown(*_STS_GLOBAL) if given.choice(*_STS_GLOBAL, "legacy", "regional") == "legacy" else "",
            account_id=_account_id(given),
            bucket_style=given.choice("", "s3.addressing_style", "auto", "path", "virtual") or "auto",
        )

    def service(self, name: str) -> AwsEndpoint:
        """Return the address of a service: `s3`, `sqs`, `dynamodb` or `sts`.

        Raises:
            ConfigurationError: the URL set for it is not an endpoint, or AWS has no such host.
        """
        override = self.overrides.get(name) or self.overrides.get("")
        if override:
            try:
                return AwsEndpoint.parse(override)
            except ConfigurationError as error:
                where = f"AWS_ENDPOINT_URL_{name.upper()}, AWS_ENDPOINT_URL or the profile's endpoint_url"
                raise ConfigurationError(f"{where}: {error}") from error
        check_region(self.region)
        if name == "sts" and self.sts_global:
            raise ConfigurationError(f"{self.sts_global} cannot be used: offpoll asks STS in its own region. Set it to regional")
        dualstack = self.dualstack or (name == "s3" and self.s3_dualstack)
        if name == "s3" and self.s3_global and self.region == "us-east-1" and not self.fips and not dualstack:
            return AwsEndpoint.parse("https://s3.amazonaws.com", custom=False)
        host = aws_host(name, region=self.region, fips=self.fips, dualstack=dualstack, account_id=self.account_id)
        return AwsEndpoint.parse(f"https://{host}", custom=False)


def _overrides(given: Configuration) -> dict[str, str]:
    """Return the URLs by service. Any variable beats any file, and there a service's own URL beats the general one."""
    if given.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"):
        return {}
    variables = {
        name.removeprefix("AWS_ENDPOINT_URL").removeprefix("_").lower(): url
        for name, url in given.environ.items()
        if url and (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_"))
    }
    if "" in variables:
        return variables
    keys = {service: values.get("endpoint_url", "") for service, values in given.services.items() if isinstance(values, Mapping)}
    found = {"": given.key("endpoint_url"), **keys, **variables}
    return {service: url for service, url in found.items() if url}


def _account_id(given: Configuration) -> str:
    """Return the account that the static credentials name, if DynamoDB's host may depend on it."""
    mode = given.choice(*_ACCOUNT_MODE, "preferred", "disabled", "required")
    if mode == "disabled":
        return ""
    by_variables = given.environ.get("AWS_ACCESS_KEY_ID")
    found = given.environ.get("AWS_ACCOUNT_ID", "") if by_variables else given.key("aws_account_id")
    if found and not _ACCOUNT.fullmatch(found):
        raise ConfigurationError(f"AWS_ACCOUNT_ID={found!r} is not an account's id: write its twelve digits")
    if mode == "required" and not found:
        raise ConfigurationError(f"{given.shown(*_ACCOUNT_MODE)} needs the account's id: set AWS_ACCOUNT_ID beside the access key")
    return found


def bucket_endpoint(endpoint: AwsEndpoint, *, bucket: str, style: str = "auto") -> tuple[AwsEndpoint, str]:
    """Return the address for a bucket's requests, and the part of their path before the key.

    Args:
        endpoint: the address of S3.
        bucket: the bucket's name.
        style: `path` or `virtual`; `auto` is virtual on AWS, and path for custom endpoints. Names that no certificate for `*.s3.…` covers,
            as those with dots, are always in the path.

    Raises:
        ConfigurationError: no bucket is set, it is of a kind that is addressed otherwise, the style is unknown, or it is `virtual` and the
            host is an IP address.
    """
    if not bucket or "/" in bucket or ":" in bucket:
        raise ConfigurationError(f"{bucket!r} is not a bucket's name: set OFFPOLL_BUCKET")
    if bucket.endswith(_OTHER_BUCKETS):
        raise ConfigurationError(f"OFFPOLL_BUCKET={bucket} is a directory bucket or an alias: set it to a general purpose bucket")
    if style == "auto":
        style = "path" if endpoint.custom else "virtual"
    if style not in {"path", "virtual"} or (style == "virtual" and _ip_address(endpoint.host) is not None):
        raise ConfigurationError(f"addressing style {style!r} cannot be used with {endpoint.origin}: path, virtual or auto")
    hostable = _PLAIN_BUCKET if endpoint.origin.startswith("https:") else _DOTTED_BUCKET
    if style == "path" or not hostable.fullmatch(bucket):
        return endpoint, f"{endpoint.path}/{bucket}/"
    origin = endpoint.origin.replace("://", f"://{bucket}.", 1)
    return AwsEndpoint(origin=origin, host=f"{bucket}.{endpoint.host}", path=endpoint.path, custom=endpoint.custom), f"{endpoint.path}/"


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine: `localhost`, a name under it, or a loopback address."""
    name, address = _without_port(host), _ip_address(host)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def ca_bundle(environ: Mapping[str, str]) -> bytes | None:
    """Return the content of the file that AWS_CA_BUNDLE, the profile's `ca_bundle` or REQUESTS_CA_BUNDLE names; None if none is set.

    Raises:
        ConfigurationError: the file cannot be read, or holds no certificates.
    """
    given = Configuration.load(environ)
    path = given.text("AWS_CA_BUNDLE", "ca_bundle") or environ.get("REQUESTS_CA_BUNDLE")
    if not path:
        return None
    shown = given.shown("AWS_CA_BUNDLE", "ca_bundle") if given.text("AWS_CA_BUNDLE", "ca_bundle") else f"REQUESTS_CA_BUNDLE={path}"
    try:
        found = Path(expanded(path, environ)).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{shown}: {error.strerror}") from error
    if not _holds_certificates(found):
        raise ConfigurationError(f"{shown} cannot be used: the file holds no certificates in PEM, or broken ones")
    return found


def _holds_certificates(pem: bytes) -> bool:
    import ssl  # noqa: PLC0415 - few set a bundle

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        return False
    return context.cert_store_stats()["x509"] > 0


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_without_port(host))
    except ValueError:
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
