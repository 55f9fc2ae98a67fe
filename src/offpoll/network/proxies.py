"""Decides which proxy serves which address, by an argument or by the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from offpoll.errors import ConfigurationError
from offpoll.network.address import Address, address

__all__ = ["Proxies", "Proxy"]


class Proxy(NamedTuple):
    """A proxy. `authorization` is the value of `Proxy-Authorization`, or empty."""

    secure: bool
    host: str
    port: int
    authorization: str


class Proxies:
    """The proxies of one client.

    Args:
        given: the address of a proxy for everything; None for those of the environment.
        environ: the environment's variables.

    Raises:
        ConfigurationError: `given` is not the address of a proxy.
    """

    def __init__(self, given: str | None, *, environ: Mapping[str, str]) -> None:
        self._all = None if given is None else _proxy(given)
        self._environ = {} if given is not None else _variables(environ)
        self._direct = [each for each in re.split(r"[\s,]+", self._environ.get("no_proxy", "").lower()) if each]
        self._found: dict[str, Proxy | None] = {}

    def of(self, to: Address) -> Proxy | None:
        """Return the proxy for an address; None for a direct connection.

        Raises:
            ConfigurationError: a variable of the environment names no usable proxy.
        """
        if self._all is not None or not self._environ:
            return self._all
        if to.origin not in self._found:
            self._found[to.origin] = self._by_environment(to)
        return self._found[to.origin]

    def _by_environment(self, to: Address) -> Proxy | None:
        names = ("https_proxy" if to.secure else "http_proxy", "all_proxy")
        name = next((each for each in names if self._environ.get(each)), None)
        if name is None or any(_matches(each, to) for each in self._direct):
            return None
        value = self._environ[name]
        try:
            return _proxy(value if "://" in value else f"http://{value}")
        except ConfigurationError as error:
            raise ConfigurationError(f"the variable {name.upper()} cannot be used: {error}. Pass proxy=, or set NO_PROXY") from None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables by their names in lowercase. Where both spellings exist, lowercase counts, as in curl."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    found = {name: environ.get(name) or environ.get(name.upper(), "") for name in names}
    if "REQUEST_METHOD" in environ:  # a CGI program: a caller's `Proxy` header would be HTTP_PROXY
        found["http_proxy"] = environ.get("http_proxy", "")
    return found if any(found[name] for name in names[:3]) else {}


def _proxy(value: str) -> Proxy:
    try:
        user, at, rest = urlsplit(value).netloc.rpartition("@")
        to = address(value.replace(f"{user}{at}{rest}", rest, 1))
    except ValueError:
        # Without the address, which may contain a password.
        raise ConfigurationError(
            "proxy is an address, such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128"
        ) from None
    return Proxy(to.secure, to.host, to.port, "Basic " + b64encode(unquote_to_bytes(user)).decode() if at else "")


def _matches(pattern: str, to: Address) -> bool:
    """Tell whether an entry of NO_PROXY means an address: `*`, a domain and all below it, a host, an IP network; with or without a port."""
    if pattern == "*":
        return True
    name, port = _split_port(pattern)
    if port is not None and port != to.port:
        return False
    name = name.strip("[]").removeprefix("*").lstrip(".")
    if "/" in name:
        return _in_network(to.host, name)
    return to.host == name or (bool(name) and to.host.endswith(f".{name}"))


def _split_port(pattern: str) -> tuple[str, int | None]:
    name, colon, port = pattern.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
        return name, int(port)
    return pattern, None


def _in_network(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network  # noqa: PLC0415 - rarely needed

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
