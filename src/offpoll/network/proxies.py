"""Decides which proxy serves which address, by an argument or by the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from offpoll.errors import ConfigurationError
from offpoll.network.address import Address, address
from offpoll.proxies import names_a_proxy, proxy_for

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
        self._environ = dict(environ) if given is None and names_a_proxy(environ) else {}
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
        value = proxy_for(to.origin, self._environ)
        try:
            return None if value is None else _proxy(value)
        except ConfigurationError as error:
            names = ("HTTPS_PROXY" if to.secure else "HTTP_PROXY", "ALL_PROXY")
            name = next((each for each in names if self._environ.get(each) or self._environ.get(each.lower())), names[0])
            raise ConfigurationError(f"the variable {name} cannot be used: {error}. Pass proxy=, or set NO_PROXY") from None


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
