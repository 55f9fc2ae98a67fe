"""Finds the proxy that the environment names for a URL, as urllib, requests and botocore read its variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["names_a_proxy", "proxy_for"]

_SUFFIX = "_proxy"
_PORTS = {"http": 80, "https": 443}


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment names a proxy for http, https or all."""
    return any(environ.get(name) or environ.get(name.lower()) for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"))


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy's URL for a request to `url`; None if the request goes directly.

    `NO_PROXY` lists hosts and domains, each with or without a port, and networks (`10.0.0.0/8`); `*` stands for all.
    """
    parts = urlsplit(url)
    named = _named(environ)
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or _is_exempt(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0), named.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy.lstrip('/')}"


def _named(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables' values by scheme. A name in lower case beats others, even if it is empty (urllib's rule)."""
    found = {name.lower().removesuffix(_SUFFIX): value for name, value in environ.items() if value and name.lower().endswith(_SUFFIX)}
    if "REQUEST_METHOD" in environ:  # a CGI program, whose HTTP_PROXY is the header `Proxy` of a request
        found.pop("http", None)
    return found | {name.lower().removesuffix(_SUFFIX): value for name, value in environ.items() if name.endswith(_SUFFIX)}


def _is_exempt(name: str, port: int, listed: str) -> bool:
    if listed.strip() == "*":
        return True
    names = [f"{name}:{port}", name] if ":" not in name else [f"[{name}]:{port}", f"[{name}]", name]
    entries = [entry.strip().lstrip(".").lower() for entry in listed.split(",")]
    if any(each == entry or each.endswith(f".{entry}") for entry in entries if entry for each in names):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return any(address in network for network in map(_network, entries) if network is not None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if "/" in entry else None
    except ValueError:
        return None
