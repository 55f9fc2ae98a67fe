"""The protocol of a store of status documents, and its in-memory twin, which also answers HTTP so that clients can follow its links."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from offpoll.errors import DocumentChanged, DocumentExists
from offpoll.instant import from_wire, to_wire, utc_now
from offpoll.link import StatusLink

__all__ = ["DocumentStore", "MemoryDocumentStore"]

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


class DocumentStore(Protocol):
    """A store of small objects with conditional writes and presigned reads.

    Every method that does I/O raises DependencyUnavailable if the effect is unknown, DependencyRefused if the store refuses.
    """

    async def create(self, key: str, body: bytes) -> str:
        """Write a new object and return its etag. Raises DocumentExists if the key has one."""

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        """Overwrite the object with this etag and return the new etag. Raises DocumentChanged if it has another etag, or is gone."""

    async def read(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its etag; None if it is missing, or hidden (S3 answers 403 to a caller without ListBucket)."""

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        """Presign a GET. The link ends after `lifetime` seconds or with the signer's credentials, whichever comes first."""


@dataclass(kw_only=True)
class MemoryDocumentStore:
    """Documents in a dict. Links are signed and expire, as in a real store.

    Args:
        clock: the store's time.
        origin: the scheme and host of its links.
    """

    clock: Callable[[], datetime] = utc_now
    origin: str = "https://store.invalid"
    _objects: dict[str, bytes] = field(default_factory=dict)
    _written_at: dict[str, datetime] = field(default_factory=dict)
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    async def create(self, key: str, body: bytes) -> str:
        if key in self._objects:
            raise DocumentExists(key)
        return self._write(key, body)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        if key not in self._objects or _etag(self._objects[key]) != etag:
            raise DocumentChanged(key)
        return self._write(key, body)

    async def read(self, key: str) -> tuple[bytes, str] | None:
        body = self._objects.get(key)
        return None if body is None else (body, _etag(body))

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        expires_at = self.clock() + timedelta(seconds=lifetime)
        expires = to_wire(expires_at)  # no character of it needs an escape
        href = f"{self.origin}/{quote(key)}?expires={expires}&signature={self._signature(key, expires)}"
        return StatusLink(href=href, expires_at=expires_at)

    def answer(self, method: str, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Answer a request for a link as a store does: status, headers, body."""
        key, expires, signature = _parts(url)
        if method != "GET" or not hmac.compare_digest(signature.encode(), self._signature(key, expires).encode()):
            return self._refusal(403, "SignatureDoesNotMatch", "The request signature does not match")
        now = self.clock()
        if from_wire(expires) <= now:
            return self._refusal(403, "AccessDenied", "Request has expired")
        body = self._objects.get(key)
        if body is None:
            return self._refusal(403, "AccessDenied", "Access Denied")
        etag = _etag(body)
        fields = {
            "date": _http_date(now.replace(microsecond=0)),
            "last-modified": _http_date(self._written_at.get(key, now).replace(microsecond=0)),
            "etag": f'"{etag}"',
            "content-type": "application/json",
        }
        if headers.get("if-none-match", "").strip('"') == etag:
            return 304, fields, b""
        return 200, fields, body

    def _write(self, key: str, body: bytes) -> str:
        self._objects[key], self._written_at[key] = body, self.clock()
        return _etag(body)

    def _refusal(self, status: int, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
        date = _http_date(self.clock().replace(microsecond=0))
        return status, {"date": date, "content-type": "application/xml"}, _ERROR.format(code=code, message=message).encode()

    def _signature(self, key: str, expires: str) -> str:
        return hashlib.blake2b(f"{key}\n{expires}".encode(), key=self._secret).hexdigest()


# Every poll needs the following, and many polls share a document, a link or a second.


@lru_cache(maxsize=4096)
def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4096)
def _parts(url: str) -> tuple[str, str, str]:
    """Return a link's key, its expiry and its signature as written, empty if missing."""
    parts = urlsplit(url)
    query = dict(field.partition("=")[::2] for field in parts.query.split("&"))
    return unquote(parts.path.lstrip("/")), query.get("expires", ""), query.get("signature", "")


@lru_cache(maxsize=16)
def _http_date(second: datetime) -> str:
    return f"{second:%a, %d %b %Y %H:%M:%S GMT}"
