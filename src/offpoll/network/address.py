"""Takes a URL apart for a request. It refuses what parsers could understand in different ways."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["Address", "address"]

_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII | re.IGNORECASE)

#: Everything printable: `quote` then encodes only the rest, and what is encoded already stays so. A signature covers the exact bytes.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a request goes.

    Attributes:
        host: a name in ASCII, or an IP address without brackets.
        target: path and query, in ASCII.
        authority: host and port, for the `Host` header; without the scheme's own port.
    """

    secure: bool
    host: str
    port: int
    target: str
    authority: str

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http{'s' if self.secure else ''}://{self.authority}"


def address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ValueError: it is no http or https URL, or has a user.
    """
    parts = urlsplit(url)
    host, port, authority = _authority(parts.scheme.lower(), parts.netloc)
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_PRINTABLE)
    return Address(parts.scheme.lower() == "https", host, port, target, authority)


@lru_cache(maxsize=64)
def _authority(scheme: str, netloc: str) -> tuple[str, int, str]:
    parts = urlsplit(f"//{netloc}")
    host = parts.hostname or ""
    if scheme not in PORTS or "@" in netloc or not host:
        raise ValueError("not an http or https URL")
    if not host.isascii():
        host = host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError("not a host name")
    own = PORTS[scheme]
    port = own if parts.port is None else parts.port
    shown = f"[{host}]" if ":" in host else host
    return host, port, shown if port == own else f"{shown}:{port}"
