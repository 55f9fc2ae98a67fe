"""AWS Signature Version 4, on hashlib alone: header signatures for calls, query signatures for links.

Expensive steps are rare: the signing key is derived once a day, and everything that stays the same within a second is computed once a
second. One link then costs three SHA-256 operations, on hash states that already contain the key (`keyed_hash`).

Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and sigv4-query-string-auth.html.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from offpoll.aws.credentials import Credentials
from offpoll.errors import ConfigurationError
from offpoll.keyed_hash import KeyedHash
from offpoll.setting_ranges import MAX_LINK_LIFETIME

__all__ = ["EMPTY_SHA256", "MAX_LIFETIME", "HeaderSigner", "Presigner", "SignedHeaders", "header_lines", "quote_key"]

#: Longest lifetime of a presigned URL, whole seconds.
MAX_LIFETIME = int(MAX_LINK_LIFETIME)

#: SHA-256 of nothing, as hex: the payload hash of a request without a body.
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

#: Layouts that are kept for one second. Nearly all calls have one of a few sets of headers; those with an etag come once each.
MAX_SHAPES = 64

_ALGORITHM = "AWS4-HMAC-SHA256"
_PAYLOAD = "\0payload\0"
_is_plain = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch
_sha256 = hashlib.sha256


def quote_key(key: str) -> str:
    """Quote an object key for a path: every UTF-8 byte but the unreserved ones and `/`, once, without normalising.

    Raises:
        ConfigurationError: the key has a lone surrogate, which UTF-8 cannot encode.
    """
    if _is_plain(key):
        return key
    try:
        return quote(key, safe="/~")
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"the object key {key!r} cannot be written as UTF-8") from error


class _Second:
    """The parts that all header signatures of one second share, and those that calls with the same headers share."""

    __slots__ = ("_host", "amz_date", "authorization", "begins_at", "credentials", "ends_at", "inner", "key", "outer", "shapes")

    def __init__(self, credentials: Credentials, at: datetime, *, scope: str, host: str, key: KeyedHash) -> None:
        self.credentials = credentials
        self.begins_at = at
        self.ends_at = at + timedelta(seconds=1)
        self.amz_date = _amz_date(at)
        self.authorization = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders="
        self.key = key
        self.inner = key.inner.copy()
        self.inner.update(f"{_ALGORITHM}\n{self.amz_date}\n{scope}\n".encode())
        self.outer = key.outer
        self.shapes: dict[tuple[tuple[str, str], ...], _Shape] = {}
        self._host = host

    def shape(self, given: tuple[tuple[str, str], ...], *, content_sha256: bool) -> _Shape:
        """Lay out what calls with these headers share."""
        fixed = {**dict(given), "x-amz-date": self.amz_date}
        if self.credentials.session_token:
            fixed["x-amz-security-token"] = self.credentials.session_token
        signed = {**fixed, "host": self._host, **({"x-amz-content-sha256": _PAYLOAD} if content_sha256 else {})}
        listed = ";".join(sorted(signed))
        canonical = "".join([f"{name}:{signed[name]}\n" for name in sorted(signed)]) + f"\n{listed}\n{_PAYLOAD}"
        if len(self.shapes) == MAX_SHAPES:
            self.shapes.clear()
        found = _Shape(canonical.split(_PAYLOAD), fixed, header_lines(fixed), f"{self.authorization}{listed}, Signature=")
        self.shapes[given] = found
        return found


class _Shape(NamedTuple):
    """What calls with the same headers share within a second.

    Attributes:
        canonical: their canonical headers, cut where the payload's hash goes.
        fixed: the headers to send but those of the signature.
        lines: the same as text; empty if HTTP cannot express them.
        authorization: begins the header of that name.
    """

    canonical: list[str]
    fixed: dict[str, str]
    lines: str
    authorization: str


class SignedHeaders(dict[str, str]):
    """The headers of a signed request. `lines` is the text of them; empty if HTTP cannot express them."""

    __slots__ = ("lines",)

    lines: str


def header_lines(headers: Mapping[str, str]) -> str:
    """Write headers as the lines of a request; nothing if one holds a line break."""
    given = "".join([*headers, *headers.values()])
    return "" if "\n" in given or "\r" in given else "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


class HeaderSigner:
    """Signs calls of one service in one region.

    Args:
        service: its name in signatures: `s3`, `sqs`, `dynamodb`, `sts`. `s3` requires `x-amz-content-sha256`, others do not.
        region: as `eu-west-1`.
        host: the `Host` header that the calls will carry, with the port unless it is the scheme's default.
    """

    __slots__ = ("_content_sha256", "_host", "_now", "_region", "_service")

    def __init__(self, *, service: str, region: str, host: str) -> None:
        self._service = service
        self._region = region
        self._host = host
        self._content_sha256 = service == "s3"
        self._now: _Second | None = None

    def sign(
        self,
        credentials: Credentials,
        *,
        at: datetime,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> SignedHeaders:
        """Return the headers to send: the given ones, all of them signed, and those of the signature. `Host` is signed but not included.

        Args:
            credentials: sign the call.
            at: the time of the signature, aware.
            method: as `PUT`.
            path: quoted, as it goes on the wire. S3 signs it as it is; for all other services only `/` may be passed.
            query: quoted, its parameters sorted by name.
            headers: names in lower case; values without surrounding or repeated spaces.
            body: the body, which is signed too.
        """
        second = self._now
        if second is None or second.credentials is not credentials or not second.begins_at <= at < second.ends_at:
            second = self._now = self._begin(credentials, at)
        given = tuple(headers.items())
        shape = second.shapes.get(given) or second.shape(given, content_sha256=self._content_sha256)
        payload = _sha256(body).hexdigest() if body else EMPTY_SHA256
        inner, outer = second.inner.copy(), second.outer.copy()
        canonical = f"{method}\n{path}\n{query}\n{payload.join(shape.canonical)}"
        inner.update(_sha256(canonical.encode()).hexdigest().encode())
        outer.update(inner.digest())
        signed = SignedHeaders(shape.fixed)
        authorization = signed["authorization"] = shape.authorization + outer.hexdigest()
        signed.lines = shape.lines and f"{shape.lines}authorization: {authorization}\r\n"
        if self._content_sha256:
            signed["x-amz-content-sha256"] = payload
            signed.lines = shape.lines and f"{signed.lines}x-amz-content-sha256: {payload}\r\n"
        return signed

    def _begin(self, credentials: Credentials, at: datetime) -> _Second:
        at = at.replace(microsecond=0)
        date = _amz_date(at)[:8]
        scope = f"{date}/{self._region}/{self._service}/aws4_request"
        before = self._now
        same_day = before is not None and before.credentials is credentials and before.amz_date[:8] == date
        if same_day and before:
            key = before.key
        else:
            key = _signing_key(credentials.secret_key, date=date, region=self._region, service=self._service)
        return _Second(credentials, at, scope=scope, host=self._host, key=key)


class _Stamp:
    """The parts that links of one second, one signer and one lifetime share: everything but the path."""

    __slots__ = ("begins_at", "credentials", "ends_at", "expires_at", "hashed", "inner", "key", "lifetime", "outer", "url_query")

    def __init__(self, credentials: Credentials, at: datetime, *, lifetime: int, region: str, host: str, before: _Stamp | None) -> None:
        self.credentials = credentials
        self.lifetime = lifetime
        self.begins_at = at.replace(microsecond=0)
        self.ends_at = self.begins_at + timedelta(seconds=1)
        self.expires_at = self.begins_at + timedelta(seconds=lifetime)
        amz_date = _amz_date(self.begins_at)
        scope = f"{amz_date[:8]}/{region}/s3/aws4_request"
        reuse = before is not None and before.credentials is credentials and before.begins_at.date() == self.begins_at.date()
        if before is not None and reuse:
            self.key: KeyedHash = before.key
        else:
            self.key = _signing_key(credentials.secret_key, date=amz_date[:8], region=region, service="s3")
        self.inner = self.key.inner.copy()
        self.inner.update(f"{_ALGORITHM}\n{amz_date}\n{scope}\n".encode())
        self.outer = self.key.outer
        credential = quote(f"{credentials.access_key}/{scope}", safe="~")
        head = f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={amz_date}&X-Amz-Expires={lifetime}"
        token = f"&X-Amz-Security-Token={quote(credentials.session_token, safe='~')}" if credentials.session_token else ""
        signed = "&X-Amz-SignedHeaders=host"
        # The URL has botocore's order; the canonical query is sorted. They differ only in the place of the token.
        self.url_query = f"?{head}{signed}{token}&X-Amz-Signature="
        self.hashed = f"\n{head}{token}{signed}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD".encode()


class Presigner:
    """Presigns GETs of the objects of one bucket.

    Args:
        region: the bucket's.
        origin: scheme and host of the URLs, with the port unless it is the scheme's default, as clients will use them.
        host: the `Host` header that clients will send.
        path: the path before the quoted key: `/` for virtual-host style, `/bucket/` for path style.
    """

    __slots__ = ("_host", "_origin", "_path", "_region", "_stamp")

    def __init__(self, *, region: str, origin: str, host: str, path: str = "/") -> None:
        self._region = region
        self._origin = origin
        self._host = host
        self._path = path
        self._stamp: _Stamp | None = None

    def presign(self, credentials: Credentials, key: str, *, at: datetime, lifetime: int) -> tuple[str, datetime]:
        """Return a URL that reads the object, and the instant when the URL expires.

        Args:
            credentials: sign the URL. It also ends when they do; the caller must allow for that.
            key: the object's key, unquoted.
            at: the time of the signature, aware UTC, cut to the full second.
            lifetime: whole seconds from then, 1 to MAX_LIFETIME.

        Raises:
            ConfigurationError: the lifetime is out of range, or UTF-8 cannot encode the key.
        """
        stamp = self._stamp
        if stamp is None or stamp.lifetime != lifetime or stamp.credentials is not credentials or not stamp.begins_at <= at < stamp.ends_at:
            stamp = self._stamp = self._begin(credentials, at, lifetime)
        # quote_key tests this too; testing here saves the call for nearly every key.
        path = self._path + (key if _is_plain(key) else quote_key(key))
        canonical = _sha256(f"GET\n{path}".encode())
        canonical.update(stamp.hashed)
        inner, outer = stamp.inner.copy(), stamp.outer.copy()
        inner.update(canonical.hexdigest().encode())
        outer.update(inner.digest())
        return f"{self._origin}{path}{stamp.url_query}{outer.hexdigest()}", stamp.expires_at

    def _begin(self, credentials: Credentials, at: datetime, lifetime: int) -> _Stamp:
        if not 1 <= lifetime <= MAX_LIFETIME:
            raise ConfigurationError(
                f"a link can live for 1 to {MAX_LIFETIME} seconds (7 days), not {lifetime}: change OFFPOLL_LINK_LIFETIME_CAP"
            )
        return _Stamp(credentials, at, lifetime=lifetime, region=self._region, host=self._host, before=self._stamp)


def _signing_key(secret_key: str, *, date: str, region: str, service: str) -> KeyedHash:
    """Derive the key of one day, region and service."""
    key = ("AWS4" + secret_key).encode()
    for part in (date, region, service, "aws4_request"):
        key = KeyedHash(key).digest(part.encode())
    return KeyedHash(key)


def _amz_date(instant: datetime) -> str:
    """Write an instant as `20261123T180000Z`."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
