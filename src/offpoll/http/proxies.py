"""What proxies in front of the server say about a request: who sent it, by which scheme, to which host, and below which path.

Only trusted proxies count, because anybody may send these headers. Each proxy adds its value at the end of a list, so the first value
is what the client used; of the addresses, the client is the last one that is not a trusted proxy.

    X-Forwarded-For: 198.51.100.7, 10.0.0.1      X-Forwarded-Proto: https, http      X-Forwarded-Host: api.example.com, api.internal
    Forwarded: for=198.51.100.7;proto=https;host=api.example.com, for=10.0.0.1       (RFC 7239) for what no X-Forwarded-… says
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import Any

from offpoll.http.fast_path import AsgiApp, Scope

__all__ = ["BehindProxies", "TrustedProxies"]

_NAMES = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})

_SCHEMES = {b"https": "https", b"http": "http"}

#: One parameter of `Forwarded`, with what separates it from the next: a semicolon within a proxy's element, a comma after it.
_PARAMETER = re.compile(r'\s*(?:([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?\s*([;,]|$)')

#: Longest address to parse, characters: an IPv6 address with a zone and a port. Longer ones are not addresses.
MAX_ADDRESS = 100


class TrustedProxies:
    """The addresses whose headers are trusted.

    Args:
        listed: addresses and networks, separated by commas, or `*` for all.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, listed: str) -> None:
        names = [each.strip() for each in listed.split(",") if each.strip()]
        self.all = "*" in names
        try:
            self._networks = [ipaddress.ip_network(each, strict=False) for each in names if each != "*"]
        except ValueError as error:
            raise ValueError(f"{error}. It takes addresses and networks, such as 10.0.0.0/8, separated by commas, or *") from None
        self._trusts = lru_cache(maxsize=4096)(self._look_up)

    def __contains__(self, address: str) -> bool:
        return self.all or (len(address) <= MAX_ADDRESS and self._trusts(address))

    def client(self, chain: Sequence[str]) -> tuple[str, int]:
        """Return the address and port of the client, from the addresses that proxies noted, the client's own first."""
        if not self.all:
            for each in reversed(chain):
                if (hop := _address(each))[0] not in self:
                    return hop
        return _address(chain[0])

    def _look_up(self, address: str) -> bool:
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return False
        known = getattr(known, "ipv4_mapped", None) or known  # of a server that listens on IPv6 and IPv4 at once
        return any(known in network for network in self._networks)


class BehindProxies:
    """An ASGI application that sees each request as the client sent it.

    Args:
        app: the application behind it.
        trusted: the proxies.
        root_path: the path under which they publish the application, whether they remove it or pass it on; such as `/v1`.
    """

    def __init__(self, app: AsgiApp, *, trusted: TrustedProxies, root_path: str = "") -> None:
        self.app, self.root_path = app, root_path
        self._trusted = trusted

    def __call__(self, scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        """Answer a request."""
        if scope["type"] == "http":
            self.see(scope)
        return self.app(scope, receive, send)

    def see(self, scope: Scope) -> None:
        """Change a request to what the client sent."""
        if self.root_path:
            scope["root_path"] = self.root_path
        client = scope.get("client")
        if (client[0] if client else "") in self._trusted:
            said = [each for each in scope["headers"] if each[0] in _NAMES]
            if said:
                self._believe(said, scope)

    def _believe(self, said: list[tuple[bytes, bytes]], scope: Scope) -> None:
        values = dict(said)
        if len(values) < len(said):  # several lines of a header are one list
            values = {name: b",".join(value for other, value in said if other == name) for name in values}
        if b"forwarded" in values:
            noted = _forwarded(values[b"forwarded"].decode("latin-1"))
            values = {**{name: value for name, value in noted.items() if value}, **{name: value for name, value in values.items() if value}}
        scheme = _SCHEMES.get(values.get(b"x-forwarded-proto", b"")) or _SCHEMES.get(_first(values.get(b"x-forwarded-proto", b"")).lower())
        if scheme:
            scope["scheme"] = scheme
        if host := _first(values.get(b"x-forwarded-host", b"")):
            scope["headers"] = [(b"host", host), *[each for each in scope["headers"] if each[0] != b"host"]]
        if addresses := values.get(b"x-forwarded-for", b"").decode("latin-1").strip(" ,"):
            scope["client"] = self._trusted.client(addresses.split(","))


def _first(value: bytes) -> bytes:
    """Return the first value of a list that is not empty."""
    first = value.partition(b",")[0].strip()
    return first or next((each.strip() for each in value.split(b",") if each.strip()), b"")


def _forwarded(value: str) -> dict[bytes, bytes]:
    """Return what a `Forwarded` header says, as X-Forwarded headers do. An unreadable one says nothing."""
    found: dict[bytes, list[str]] = {b"for": [], b"proto": [], b"host": []}
    place = 0
    while place < len(value):
        match = _PARAMETER.match(value, place)
        if match is None:
            return {}
        name = (match[1] or "").lower().encode()
        if name in found and match[2]:
            quoted = match[2].startswith('"')
            found[name].append(re.sub(r"\\(.)", r"\1", match[2][1:-1]) if quoted else match[2])
        place = match.end()
    return {b"x-forwarded-" + name: ",".join(values).encode("latin-1") for name, values in found.items()}


def _address(text: str) -> tuple[str, int]:
    """Split an address from its port, 0 if it has none: `192.0.2.1:80`, `[2001:db8::1]:80`, or one of them alone."""
    text = text.strip()
    if ":" not in text:
        return text, 0
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", text) or re.fullmatch(r"([^:]*):([0-9]{1,5})", text)
    return (bracketed[1], int(bracketed[2] or 0)) if bracketed else (text, 0)
