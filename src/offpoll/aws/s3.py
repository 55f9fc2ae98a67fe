"""Status documents in an S3 bucket, or in whatever speaks its protocol.

Decides which conditional write each verb is, what the answers mean, and how links are signed. Must not know what a document says.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from offpoll.aws.credentials import Credentials, CredentialsProvider
from offpoll.aws.endpoints import AwsEndpoint, bucket_endpoint
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.sigv4 import MAX_LIFETIME, Presigner, quote_key
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError, DependencyUnavailable, DocumentChanged, DocumentExists, OffpollError
from offpoll.link import StatusLink

__all__ = ["S3DocumentStore"]

#: Links end this much before the credentials that sign them, seconds: clocks differ, and the last poll takes time.
MARGIN = timedelta(seconds=60)

_HEADERS = {"content-type": "application/json", "cache-control": "private, no-cache"}
_CREATE = {**_HEADERS, "if-none-match": "*"}


class S3DocumentStore:
    """A `board.DocumentStore` in a bucket.

    Args:
        wire: makes the calls.
        endpoint: S3's address as this process reaches it.
        bucket: its name.
        region: the bucket's.
        public_endpoint: S3's address as clients reach it, where that is another one.
        style: `path`, `virtual` or `auto`: how the bucket is addressed.
        signer: whose credentials sign the links, where they are not the wire's: a role that can do nothing but read documents. They
            are fetched by the verbs that do I/O, so that `sign` finds them.
        prefix: the keys that this process may read, for `check`.
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
    ) -> None:
        address, self._path = bucket_endpoint(endpoint, bucket=bucket, style=style)
        public, public_path = bucket_endpoint(public_endpoint or endpoint, bucket=bucket, style=style)
        self._wire = wire
        self._service = AwsService("S3", name="s3", region=region, endpoint=address)
        self._presigner = Presigner(region=region, origin=public.origin, host=public.host, path=public_path)
        self._signer = signer
        self._signing = signer or wire.credentials
        self._probe = f"{prefix}/offpoll-check"
        self._remedies = {
            "NoSuchBucket": f"bucket {bucket} does not exist in region {region}: set OFFPOLL_BUCKET or create it",
            "AccessDenied": f"grant s3:GetObject and s3:PutObject on arn:aws:s3:::{bucket}/{prefix}/*",
            "AllAccessDisabled": f"bucket {bucket} is disabled: set OFFPOLL_BUCKET to another one",
        }

    async def create(self, key: str, body: bytes) -> str:
        answer = await self._call("PUT", key, headers=_CREATE, body=body)
        if answer.status == 200:
            return self._etag(answer)
        if answer.status == 412 or _is_conflict(answer):
            raise DocumentExists(key)
        raise self._service.refusal(answer, self._remedies)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        answer = await self._call("PUT", key, headers={**_HEADERS, "if-match": etag}, body=body)
        if answer.status == 200:
            return self._etag(answer)
        if answer.status == 412 or _is_conflict(answer) or _is_missing(answer):
            raise DocumentChanged(key)
        raise self._service.refusal(answer, self._remedies)

    async def read(self, key: str) -> tuple[bytes, str] | None:
        answer = await self._call("GET", key, headers={})
        if answer.status == 200:
            return answer.body, self._etag(answer)
        if _is_missing(answer) or (answer.status == 403 and answer.fault.code == "AccessDenied"):
            return None
        raise self._service.refusal(answer, self._remedies)

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        """Presign a GET.

        Raises:
            ConfigurationError: a lifetime over seven days, or no credentials.
            DependencyUnavailable: the signer's credentials could not be fetched, or are about to end.
        """
        credentials = self._signing.current()
        now = self._wire.clock()
        seconds = int(lifetime)
        if credentials.expires_at is not None:
            seconds = _shortened(seconds, credentials, credentials.expires_at, now)
        href, expires_at = self._presigner.presign(credentials, key, at=now, lifetime=seconds)
        return StatusLink(href=href, expires_at=expires_at)

    async def check(self) -> None:
        """Read a key that is not there, and fetch the signer's credentials.

        Raises:
            ConfigurationError: there are no credentials.
            DependencyRefused: the bucket or the credentials are wrong. A missing s3:GetObject shows only where s3:ListBucket is
                granted: without it S3 hides what is missing and what is forbidden alike.
            DependencyUnavailable: no answer.
        """
        await self._signing.get()
        await self.read(self._probe)

    async def _call(self, method: str, key: str, *, headers: dict[str, str], body: bytes = b"") -> AwsResponse:
        path = self._path + quote_key(key)
        if "/." in path and any(part in {".", ".."} for part in path.split("/")):
            raise ConfigurationError(f"the key {key!r} has a part `.` or `..`, which HTTP clients remove from URLs: change OFFPOLL_PREFIX")
        if self._signer is not None:
            await self._prepare(self._signer)
        return await self._wire.call(self._service, method, path, headers=headers, body=body)

    async def _prepare(self, signer: CredentialsProvider) -> None:
        """Let `sign` find fresh credentials. Where there are none, `sign` raises: a process that only publishes needs none."""
        try:
            await signer.get()
        except OffpollError:
            pass  # kept by the provider, raised by sign()

    def _etag(self, answer: AwsResponse) -> str:
        """Return the etag without its quotes: AWS takes it either way in If-Match, Ceph only so."""
        etag = answer.headers.get("etag")
        if not etag:
            raise DependencyUnavailable("S3", f"{self._service.endpoint.origin} answered without an ETag: it is not an S3 server")
        return etag.strip('"')


def _is_conflict(answer: AwsResponse) -> bool:
    """Tell whether another write was under way at the same time."""
    return answer.status == 409 and answer.fault.code in {"ConditionalRequestConflict", "OperationAborted"}


def _is_missing(answer: AwsResponse) -> bool:
    return answer.status == 404 and answer.fault.code == "NoSuchKey"


def _shortened(seconds: int, credentials: Credentials, end: datetime, now: datetime) -> int:
    """Return a lifetime that ends MARGIN before the credentials do; less than the margin itself cannot be signed for."""
    left = int((end - MARGIN - now).total_seconds())
    if left < 1:
        why = f"the credentials {credentials.access_key} that sign links end at {end:%H:%M:%S}Z and could not be renewed"
        raise DependencyUnavailable("S3", why)
    return min(seconds, left) if seconds <= MAX_LIFETIME else seconds
