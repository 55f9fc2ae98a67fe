"""The status board: where status documents live, how to publish one, and how readers reach it.

Decides the key of a document, and holds the one rule of publishing: a document's rank only grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from offpoll.arguments import is_number, need
from offpoll.document import Document, Estimate, PollHint, project, queued
from offpoll.document_store import DocumentStore
from offpoll.errors import ConfigurationError, DependencyUnavailable, DigestMismatch, DocumentChanged, DocumentExists, InvalidInput
from offpoll.frozen import quick
from offpoll.instant import to_milliseconds, utc_now
from offpoll.limits import MAX_RESULT_BYTES, json_error, result_fits
from offpoll.link import LinkLifetime, StatusLink
from offpoll.operation import PUBLIC, TERMINAL, Outcome, Progress, Record, Status, Submission, is_kind, is_operation_id, is_owner
from offpoll.owner_segment import segment
from offpoll.poll_plan import MAX_ESTIMATE
from offpoll.result_json import result_to_json
from offpoll.settings import Settings

__all__ = ["AsyncStatusBoard", "Stored"]

#: How often one publish tries again after another writer won. Each round raised somebody's rank, so a handful is plenty.
ROUNDS = 16

#: Seconds between reads of a document that exists but cannot be read. S3 answers a create with 409 while another create runs; that one
#: may still fail, and takes as long as a PUT.
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)


@quick
@dataclass(frozen=True, kw_only=True)
class Stored:
    """A document as read or written, with the etag for the next conditional write."""

    document: Document
    etag: str


@dataclass(kw_only=True)
class AsyncStatusBoard:
    """The status documents of a service.

    Args:
        store: keeps them.
        prefix: the beginning of every key.
        link_lifetime: how long a status link works.
        window: seconds after which an operation is forgotten, as `expires_at` of its document says.
        clock: the wall clock, for `updated_at`.
    """

    store: DocumentStore
    prefix: str = "status"
    link_lifetime: LinkLifetime = field(default_factory=LinkLifetime)
    window: float = 14 * 86_400.0
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def of(cls, settings: Settings, *, store: DocumentStore, clock: Callable[[], datetime] = utc_now) -> AsyncStatusBoard:
        """Make a board from the settings."""
        lifetime = LinkLifetime(floor=settings.link_lifetime_floor, cap=settings.link_lifetime_cap)
        return cls(store=store, prefix=settings.prefix, link_lifetime=lifetime, window=settings.record_window, clock=clock)

    def key(self, operation_id: str, *, owner: str = PUBLIC) -> str:
        """Return the key of an operation's document: prefix, owner segment, id. Computed, never looked up."""
        return f"{self.prefix}/{segment(owner)}/{operation_id}"

    def link(self, key: str, *, estimate: Estimate | None = None) -> StatusLink:
        """Return a fresh link to a document. The document's estimate decides how long it works."""
        if not isinstance(key, str) or not (estimate is None or isinstance(estimate, Estimate)):
            raise ConfigurationError("link takes a document's key, `board.key(operation_id, owner=…)`, and its estimate or None")
        return self.store.sign(key, lifetime=self.link_lifetime.covering(estimate, now=self.clock()))

    async def read(self, key: str) -> Stored | None:
        """Read a document, None if there is none.

        Raises:
            MalformedDocument: the stored object is not a status document.
        """
        need(key, str, what="a document's key is `board.key(operation_id, owner=…)`")
        found = await self.store.read(key)
        return None if found is None else Stored(document=Document.from_bytes(found[0]), etag=found[1])

    def submission_of(self, document: Document, *, owner: str) -> Submission:
        """Return what a document says about the accepted operation."""
        return Submission(
            operation_id=document.id,
            kind=document.kind,
            owner=owner,
            status_key=self.key(document.id, owner=owner),
            digest=document.digest,
            base_url=document.links.get("self", "").removesuffix(f"/{document.kind}/{document.id}"),
            created_at=document.created_at,
        )

    async def open(
        self,
        operation_id: str,
        *,
        kind: str,
        owner: str = PUBLIC,
        base_url: str = "",
        mean: float = 10.0,
        interval: float = 2.0,
    ) -> StatusLink:
        """Create the `queued` document of an operation and return a link to it.

        Opening twice is harmless: an existing document stays. `mean` is the expected duration and `interval` the time between polls,
        both in seconds; they are hints for readers.

        Raises:
            ConfigurationError: the id, the kind or the owner is not valid.
            MalformedDocument, DependencyUnavailable, DependencyRefused: by the store.
        """
        if not is_operation_id(operation_id) or not is_owner(owner) or not is_kind(kind):
            raise ConfigurationError(
                "an operation id is 32 hex digits, an owner 1 to 256 printable characters, a kind lowercase letters, digits, - _: "
                f"{operation_id!r}, {owner!r}, {kind!r}"
            )
        if not is_number(mean, least=0) or mean > MAX_ESTIMATE or not is_number(interval, least=0) or not isinstance(base_url, str):
            raise ConfigurationError("mean and interval are seconds, at least 0, and base_url is the API's address or empty")
        now = to_milliseconds(self.clock())
        submission = Submission(
            operation_id=operation_id,
            kind=kind,
            owner=owner,
            status_key=self.key(operation_id, owner=owner),
            digest=None,
            base_url=base_url,
            created_at=now,
        )
        end = now + timedelta(seconds=mean)
        stored, _ = await self.ensure(submission, estimate=Estimate(mean=end), poll=PollHint(not_before=end, interval=interval))
        return self.link(submission.status_key, estimate=stored.document.estimate)

    async def publish(
        self,
        operation_id: str,
        *,
        owner: str = PUBLIC,
        status: Status | str,
        attempt: int = 1,
        progress: Progress | None = None,
        result: object = None,
        error: Mapping[str, Any] | None = None,
        poll: PollHint | None = None,
    ) -> Document:
        """Publish what your own worker knows. A document never goes backwards, and a terminal one is final.

        With a record (our worker) use `show`. No record stands behind this method: if two workers with the same `attempt` end
        differently, the first document stays. `result` is an object with a JSON form; bytes are taken as JSON.

        Raises:
            ConfigurationError: there is no document (`open` it first), a worker cannot have this status or attempt, or the result has no
                JSON form, or is over 2 KiB and the document names no API.
            MalformedDocument: the stored object is not a status document.
            DependencyUnavailable, DependencyRefused: by the store.
        """
        if not isinstance(status, str) or status not in {Status.RUNNING, *TERMINAL} or type(attempt) is not int or attempt < 1:
            raise ConfigurationError(f"a worker publishes running or a terminal status, of attempt 1 or later: {status!r}, {attempt}")
        stored = await self.read(self.key(operation_id, owner=owner))
        if stored is None:
            raise ConfigurationError(f"operation {operation_id} of {owner!r} has no status document: open it before publishing")
        text = None if result is None else _result_text(result)
        if text is not None and not stored.document.links and not result_fits(text):
            raise ConfigurationError(
                f"the result has {len(text)} bytes as JSON, a document shows at most {MAX_RESULT_BYTES}, and this one names no API that "
                "has the result: store it elsewhere, and publish its address"
            )
        before, now, status = stored.document, to_milliseconds(self.clock()), Status(status)
        done = status in TERMINAL
        record = Record(
            submission=self.submission_of(before, owner=owner),
            attempt=attempt,
            started_at=before.started_at or now,
            finished_at=now if done else None,
            outcome=Outcome(status=status, result=text, error=None if error is None else json_error(error)) if done else None,
            expires_at=before.expires_at or before.created_at + timedelta(seconds=self.window),
        )
        shown = await self.show(record, held=stored, progress=progress, poll=poll or before.poll, show_result=True)
        return before if shown is None else shown.document

    async def ensure(
        self,
        submission: Submission,
        *,
        estimate: Estimate,
        poll: PollHint,
        expires_at: datetime | None = None,
        resubmit_of: str | None = None,
    ) -> tuple[Stored, bool]:
        """Create the `queued` document, or read the existing one; return it, and whether it was created.

        The operation is forgotten at `expires_at`, by default after this board's window.
        """
        key, until = submission.status_key, expires_at or submission.created_at + timedelta(seconds=self.window)
        document = queued(submission, estimate=estimate, poll=poll, expires_at=until, resubmit_of=resubmit_of)
        looks = 0
        while True:
            try:
                return Stored(document=document, etag=await self.store.create(key, document.to_bytes())), True
            except DocumentExists:
                found = await self.read(key)  # it may be ours, if an answer was lost
            if found is not None:
                return found, False
            await self._pause(key, looks)
            looks += 1

    async def show(
        self,
        record: Record,
        *,
        held: Stored | None = None,
        progress: Progress | None = None,
        estimate: Estimate | None = None,
        poll: PollHint | None = None,
        show_result: bool = False,
        at: datetime | None = None,
    ) -> Stored | None:
        """Publish a record: one conditional write, repeated while others write in between.

        A decided record creates a missing document, and has succeeded once the stored document is done. Any other record never creates
        one, never follows a done one, and never lowers the attempt.

        Args:
            record: what is true.
            held: the document as this caller last saw it, which saves a read.
            progress, estimate, poll: what a document shows beside the record, while it is not done.
            show_result: whether to publish the result; if not, readers find it at `links.self` only.
            at: the time that the document shows; by default the board's clock.

        Returns:
            The stored document; None if there is none and none was created.

        Raises:
            DigestMismatch: the document belongs to another input. It is left alone.
            DependencyUnavailable, DependencyRefused: by the store.
        """
        key = record.submission.status_key
        current, looks = held or await self.read(key), 0
        for _ in range(ROUNDS):
            if current is None and not record.done:
                return None
            if current is not None:
                if current.document.digest != record.submission.digest:
                    raise DigestMismatch(f"{key} belongs to another input than the record of this operation")
                if current.document.done or (current.document.attempt > record.attempt and not record.done):
                    return current
            document = project(
                record,
                before=None if current is None else current.document,
                updated_at=to_milliseconds(at or self.clock()),
                progress=progress,
                estimate=estimate,
                poll=poll,
                show_result=show_result,
            )
            written = await self._write(key, document, current)
            if written is not None:
                return written
            looks = looks + 1 if current is None else 0
            current = await self.read(key)
            if current is not None and current.document == document:
                return current  # ours: the answer to the write was lost
            if current is None and looks:
                await self._pause(key, looks - 1)
        raise DependencyUnavailable("status board", f"{key} kept changing under {ROUNDS} conditional writes")

    async def _pause(self, key: str, looks: int) -> None:
        """Wait a little before trying again to create a document that exists but cannot be read."""
        if looks == len(PAUSES):
            raise DependencyUnavailable("status board", f"{key} exists and cannot be read: grant s3:GetObject on {self.prefix}/*")
        await asyncio.sleep(PAUSES[looks])

    async def _write(self, key: str, document: Document, current: Stored | None) -> Stored | None:
        """Write over the document that was read; None if another writer was faster."""
        try:
            if current is None:
                return Stored(document=document, etag=await self.store.create(key, document.to_bytes()))
            return Stored(document=document, etag=await self.store.replace(key, document.to_bytes(), etag=current.etag))
        except (DocumentExists, DocumentChanged):
            return None


def _result_text(result: object) -> str:
    try:
        return result_to_json(result)
    except InvalidInput as error:
        raise ConfigurationError(f"the result cannot be published: {error}") from error
