"""Reads addresses, and writes each in one spelling, so that spellings of the same API or the same operation compare equal.

    HTTPS://API.Example.com:443/v1/./order/5f2b…/   the operation `order/5f2b…` of https://api.example.com/v1
    /v1/order/5f2b…                                 the same, as a `Location` header has it
    order/5f2b…                                     the same, relative to the API's address

Source: RFC 3986, section 6.2.2 and 6.2.3 (equivalence), 5.2.4 (dot segments).
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from offpoll.document import Document
from offpoll.operation import is_kind, is_operation_id

__all__ = ["OperationAddress", "api_of", "api_of_url", "canonical", "operation_at"]

_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_PORTS = {"http": 80, "https": 443}
_ENCODED = re.compile(r"%([0-9a-fA-F]{2})")
_UNSAFE = re.compile(r"[^!-~]|[\"<>\\^`{|}]")
_HOST = re.compile(r"[a-z0-9_.-]+")

#: What the links of an operation add to its own address.
_LINKS = ("/status-link", "/cancel")


class OperationAddress(NamedTuple):
    """An operation's address. `api`: the API's, as `canonical` writes it."""

    api: str
    kind: str
    operation_id: str

    @property
    def url(self) -> str:
        """The address itself."""
        return f"{self.api}/{self.kind}/{self.operation_id}"


@lru_cache(maxsize=256)
def canonical(url: str) -> str:
    """Return the one spelling of an address: scheme and host in lowercase, no default port, no dot segments, no needless encoding.

    Raises:
        ValueError: it is no http or https address, or it has a user.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.netloc:
        raise ValueError("not an http or https address")
    if "@" in parts.netloc:
        raise ValueError("an address with a user")
    port = "" if parts.port in (None, _PORTS[scheme]) else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{_host(parts.hostname or '')}{port}{_path(parts.path)}{query}"


def operation_at(text: str, *, base_url: str) -> OperationAddress | None:
    """Return the operation that an address names; None for other addresses, such as a status link.

    Args:
        text: absolute, or relative to the API's address; also one of the operation's other links.
        base_url: the API's address, canonical; empty if unknown.

    Raises:
        ValueError: this is no address.
    """
    url = canonical(_absolute(text.strip(), base_url))
    if "?" in url:  # a status link's query holds its signature
        return None
    path = url.rstrip("/")
    for link in _LINKS:
        path = path.removesuffix(link)
    api, _, operation_id = path.rpartition("/")
    api, _, kind = api.rpartition("/")
    if not is_operation_id(operation_id) or not is_kind(kind) or api.endswith(("/", ":")):
        return None
    return OperationAddress(_same_api(api, base_url), kind, operation_id)


def api_of_url(url: str) -> str | None:
    """Return the API's address in an operation's address; None for any other text, such as a status link or a path."""
    try:
        own = operation_at(url, base_url="")
    except ValueError:
        return None
    return None if own is None else own.api


def api_of(document: Document) -> str | None:
    """Return the API's address that a document names, or None."""
    return api_of_url(document.links.get("self", ""))


def _absolute(text: str, base_url: str) -> str:
    """Resolve an address. A path may begin with the API's own path or below it: gateways may remove it before the server sees it."""
    text = text.partition("#")[0]
    if "://" in text.partition("?")[0] or not base_url:
        return text
    if text.startswith("//"):
        return base_url.partition(":")[0] + ":" + text
    origin, path = _split(base_url)
    whole = _path(text.partition("?")[0]) if text.startswith("/") else ""
    if path and whole.startswith(path + "/"):
        return origin + text
    return urljoin(base_url + "/", text.lstrip("/"))


def _same_api(api: str, base_url: str) -> str:
    """Return the API's address as the caller knows it: an API behind a TLS proxy may write `http` into addresses of itself."""
    return base_url if api == base_url.replace("https://", "http://", 1) else api


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path


def _host(name: str) -> str:
    """Return a host's one spelling: lowercase, in ASCII, without the root's dot."""
    if ":" in name:
        return f"[{IPv6Address(name).compressed}]"
    name = name.removesuffix(".")
    if not name.isascii():
        name = name.encode("idna").decode()
    if not _HOST.fullmatch(name):
        raise ValueError("not a host name")
    return name


def _path(path: str) -> str:
    path = "".join(each if each.isascii() else "".join(f"%{byte:02X}" for byte in each.encode()) for each in path)
    path = _ENCODED.sub(_decoded, path)
    if _UNSAFE.search(path):
        raise ValueError("characters that no path may have")
    kept: list[str] = []
    segments = path.split("/")
    for number, segment in enumerate(segments):
        if segment in (".", ".."):
            if segment == ".." and len(kept) > 1:
                kept.pop()
            if number == len(segments) - 1:
                kept.append("")
        else:
            kept.append(segment)
    return "/".join(kept)


def _decoded(found: re.Match[str]) -> str:
    byte = int(found[1], 16)
    return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"
