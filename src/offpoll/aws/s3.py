"""Keeps status documents in an S3 bucket, or in any store with S3's protocol, and signs their links.

Decides which conditional write each verb becomes, and what the responses mean.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zlib import crc32

from offpoll.aws.credentials import Credentials, CredentialsProvider
from offpoll.aws.endpoints import AwsEndpoint, bucket_endpoint
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.sigv4 import MAX_LIFETIME, Presigner, quote_key
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError, DependencyUnavailable, DocumentChanged, DocumentExists, OffpollError
from offpoll.limits import quote
from offpoll.link import StatusLink

__all__ = ["S3DocumentStore", "encryption_headers"]

#: Links end this long before the credentials that sign them: clocks differ, and the last poll takes time.
MARGIN = timedelta(seconds=60)

_HEADERS = {"content-type": "application/json", "cache-control": "private, no-cache"}


#: Codes of a 409: another write to the key was under way. The last is Ceph's.
_CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted", "ConcurrentModification"})


class S3DocumentStore:
    """A `document_store.DocumentStore` in a bucket.

    Args:
        wire: makes the calls.
        endpoint: S3's address as this process reaches it.
        bucket: the bucket's name.
        region: the bucket's region.
        public_endpoint: S3's address as clients reach it, if different.
        style: how to address the bucket: `path`, `virtual` or `auto`.
        signer: gives the credentials that sign links: a role that can only read documents; None: the wire's. Every verb that does I/O
            fetches them, so that `sign` finds them.
        prefix: the first part of the keys, for `check` and for the advice in errors.
        encryption: headers of every PUT, from `encryption_headers`.
        checksums: whether PUTs carry a CRC-32 beside the signature's SHA-256, as buckets with Object Lock require.
        owner: the account that must own the bucket, by its id; empty for any. Links leave it out: clients would have to send it too.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        endpoint: AwsEndpoint,
        bucket: str,
        region: str,
        public_endpoint: AwsEndpoint | None = None,
        style: str = "auto",
        signer: CredentialsProvider | None = None,
        prefix: str = "status",
        encryption: Mapping[str, str] | None = None,
        owner: str = "",
        checksums: bool = False,
    ) -> None:
        address, self._path = bucket_endpoint(endpoint, bucket=bucket, style=style)
        public, public_path = bucket_endpoint(public_endpoint or endpoint, bucket=bucket, style=style)
        self._wire = wire
        self._service = AwsService("S3", name="s3", region=region, endpoint=address)
        self._presigner = Presigner(region=region, origin=public.origin, host=public.host, path=public_path)
        where = public.origin + public_path
        self._escaped = quote(where) == f'"{where}"'  # all that follows in a link is percent-encoded
        self._signer = signer
        self._signing = signer or wire.credentials
        self._always = {"x-amz-expected-bucket-owner": owner} if owner else {}
        self._put = {**_HEADERS, **self._always, **(encryption or {})}
        self._create = {**self._put, "if-none-match": "*"}
        self._checksums = checksums
        self._probe = f"{prefix}/offpoll-check"
        self._remedies = {
            "NoSuchBucket": f"bucket {bucket} does not exist in region {region}: set OFFPOLL_BUCKET or create it",
            "AccessDenied": f"grant s3:GetObject and s3:PutObject on the objects {bucket}/{prefix}/*; if the bucket's policy wants "
            "encryption named, set OFFPOLL_SERVER_SIDE_ENCRYPTION",
            "AllAccessDisabled": f"bucket {bucket} is disabled: set OFFPOLL_BUCKET to another one",
        }

    async def create(self, key: str, body: bytes) -> str:
        response = await self._call("PUT", key, headers=self._create, body=body)
        if response.status == 200:
            return self._etag(response)
        if response.status == 412 or _is_conflict(response):
            raise DocumentExists(key)
        raise self._service.refusal(response, self._remedies)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        response = await self._call("PUT", key, headers={**self._put, "if-match": etag}, body=body)
        if response.status == 200:
            return self._etag(response)
        if response.status == 412 or _is_conflict(response) or _is_missing(response):
            raise DocumentChanged(key)
        raise self._service.refusal(response, self._remedies)

    async def read(self, key: str) -> tuple[bytes, str] | None:
        response = await self._call("GET", key, headers=self._always)
        if response.status == 200:
            return response.body, self._etag(response)
        if _is_missing(response) or (response.status == 403 and response.fault.code == "AccessDenied"):
            return None
        raise self._service.refusal(response, self._remedies)

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        """Presign a GET.

        Raises:
            ConfigurationError: the lifetime is over seven days, or there are no credentials.
            DependencyUnavailable: the signer's credentials could not be fetched, or are about to end.
        """
        credentials = self._signing.current()
        now = self._wire.clock()
        seconds = int(lifetime)
        if credentials.expires_at is not None:
            seconds = _shortened(seconds, credentials, credentials.expires_at, now)
        href, expires_at = self._presigner.presign(credentials, key, at=now, lifetime=seconds)
        return StatusLink(href=href, expires_at=expires_at, escaped=self._escaped)

    async def check(self) -> None:
        """Read a key that does not exist, and fetch the signer's credentials.

        Raises:
            ConfigurationError: there are no credentials.
            DependencyRefused: the bucket or the credentials are wrong. This detects a missing s3:GetObject only if s3:ListBucket is
                granted: without it S3 responds alike to missing and forbidden keys.
            DependencyUnavailable: no usable response came.
        """
        await self._signing.get()
        await self.read(self._probe)

    def _call(self, method: str, key: str, *, headers: dict[str, str], body: bytes = b"") -> Coroutine[Any, Any, AwsResponse]:
        path = self._path + quote_key(key)
        if "/." in path and any(part in {".", ".."} for part in path.split("/")):
            raise ConfigurationError(f"the key {key!r} has a part `.` or `..`; HTTP clients remove those from URLs: change OFFPOLL_PREFIX")
        if self._checksums and method == "PUT":
            headers = {**headers, **_checksum(body)}
        if self._signer is None:
            return self._wire.call(self._service, method, path, headers=headers, body=body)
        return self._with_signer(self._signer, partial(self._wire.call, self._service, method, path, headers=headers, body=body))

    async def _with_signer(self, signer: CredentialsProvider, call: Callable[[], Awaitable[AwsResponse]]) -> AwsResponse:
        try:
            await signer.get()  # so that `sign` finds fresh credentials
        except OffpollError:
            pass  # the provider keeps it and `sign` raises it: a process that only publishes needs no signer
        return await call()

    def _etag(self, response: AwsResponse) -> str:
        """Return the etag without its quotes. In If-Match AWS accepts both forms, Ceph only this one."""
        etag = response.headers.get("etag")
        if not etag:
            raise DependencyUnavailable("S3", f"{self._service.endpoint.origin} answered without an ETag: it is not an S3 server")
        return etag.strip('"')


def encryption_headers(encryption: str, *, kms_key_id: str = "", bucket_key: bool = False) -> Mapping[str, str]:
    """Return the headers that ask S3 to encrypt an object; none if `encryption` is empty. `Settings` says what each value is."""
    named = {
        "x-amz-server-side-encryption": encryption,
        "x-amz-server-side-encryption-aws-kms-key-id": kms_key_id,
        "x-amz-server-side-encryption-bucket-key-enabled": "true" if bucket_key else "",
    }
    return {name: value for name, value in named.items() if value}


def _checksum(body: bytes) -> Mapping[str, str]:
    written = base64.b64encode(crc32(body).to_bytes(4, "big")).decode()
    return {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": written}


def _is_conflict(response: AwsResponse) -> bool:
    """Tell whether another write to the key was under way."""
    return response.status == 409 and response.fault.code in _CONFLICTS


def _is_missing(response: AwsResponse) -> bool:
    return response.status == 404 and response.fault.code == "NoSuchKey"


def _shortened(seconds: int, credentials: Credentials, end: datetime, now: datetime) -> int:
    """Return a lifetime, in seconds, that ends MARGIN before the credentials do.

    Raises:
        DependencyUnavailable: the credentials end in less than MARGIN.
    """
    left = int((end - MARGIN - now).total_seconds())
    if left < 1:
        why = f"the credentials {credentials.access_key} that sign links end at {end:%H:%M:%S}Z and could not be renewed"
        raise DependencyUnavailable("S3", why)
    return min(seconds, left) if seconds <= MAX_LIFETIME else seconds
