"""The status board: where status documents live, how one is published, and how a reader gets at it.

Decides the key of a document and the one rule of publishing: a document's rank only grows. Must not know S3, records or workers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from offpoll.document import Document, Estimate, PollHint, project, queued
from offpoll.document_store import DocumentStore
from offpoll.errors import ConfigurationError, DependencyUnavailable, DigestMismatch, DocumentChanged, DocumentExists, InvalidInput
from offpoll.instant import to_milliseconds, utc_now
from offpoll.json_types import to_json
from offpoll.link import StatusLink
from offpoll.link_lifetime import LinkLifetime
from offpoll.operation import PUBLIC, TERMINAL, Outcome, Progress, Record, Status, Submission, is_kind, is_operation_id, is_owner

__all__ = ["AsyncStatusBoard", "Stored"]

#: How often one publish looks again after another writer won. Each round somebody's rank grew, so a handful is plenty.
ROUNDS = 16

#: Seconds between looks at a document that exists and is not there to be read. S3 answers a create with 409 while another one is under
#: way, and that one may still fail; it takes as long as a PUT does.
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)

_PLAIN_OWNER = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A document as it was read or written, with the etag for the next conditional write."""

    document: Document
    etag: str


@dataclass(kw_only=True)
class AsyncStatusBoard:
    """The status documents of a service.

    Args:
        store: where they are kept.
        prefix: of every key.
        link_lifetime: for how long a status link works.
        window: seconds after which an operation is forgotten; a document says so in `expires_at`.
        clock: the wall clock, for `updated_at`.
    """

    store: DocumentStore
    prefix: str = "status"
    link_lifetime: LinkLifetime = field(default_factory=LinkLifetime)
    window: float = 14 * 86_400.0
    clock: Callable[[], datetime] = utc_now

    # --- where ---------------------------------------------------------------------------------

    def key(self, operation_id: str, *, owner: str = PUBLIC) -> str:
        """Return the key of an operation's document: prefix, owner segment, id. Computed, never looked up."""
        return f"{self.prefix}/{segment(owner)}/{operation_id}"

    def link(self, key: str, *, estimate: Estimate | None = None) -> StatusLink:
        """Return a fresh link to a document. It works for as long as that needs to be read, which its estimate tells."""
        return self.store.sign(key, lifetime=self.link_lifetime.covering(estimate, now=self.clock()))

    async def read(self, key: str) -> Stored | None:
        """Read a document, None where there is none.

        Raises:
            MalformedDocument: what is stored there is not a status document.
        """
        found = await self.store.read(key)
        return None if found is None else Stored(document=Document.from_bytes(found[0]), etag=found[1])

    def submission_of(self, document: Document, *, owner: str) -> Submission:
        """Return what a document says of the operation that was accepted."""
        return Submission(
            operation_id=document.id,
            kind=document.kind,
            owner=owner,
            status_key=self.key(document.id, owner=owner),
            digest=document.digest,
            base_url=document.links.get("self", "").removesuffix(f"/{document.kind}/{document.id}"),
            created_at=document.created_at,
        )

    # --- the library's face: an API and workers of one's own -------------------------------------

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

        Opening twice is harmless: the document that is there stays. `mean` is the expected duration and `interval` the time between
        polls, both in seconds; they are hints for the readers.

        Raises:
            ConfigurationError: the id, the kind or the owner cannot be one.
            MalformedDocument, DependencyUnavailable, DependencyRefused: by the store.
        """
        if not is_operation_id(operation_id) or not is_owner(owner) or not is_kind(kind):
            raise ConfigurationError(
                "an operation id is 32 hex digits, an owner 1 to 256 printable characters, a kind lowercase letters, digits, - _: "
                f"{operation_id!r}, {owner!r}, {kind!r}"
            )
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
        """Publish what a worker of one's own knows. Never goes backwards; terminal is final.

        Where there is a record (our worker), use `show`: this face has no authority behind it, so of two workers with the same `attempt`
        that end differently, the first one's document stays. `result` is an object with a JSON form; bytes are JSON already.

        Raises:
            ConfigurationError: there is no document, `open` it first; or the status or the attempt is not a worker's; or the result has
                no JSON form.
            MalformedDocument: what is stored there is not a status document.
            DependencyUnavailable, DependencyRefused: by the store.
        """
        if status not in {Status.RUNNING, *TERMINAL} or attempt < 1:
            raise ConfigurationError(f"a worker publishes running or a terminal status, of attempt 1 or later: {status!r}, {attempt}")
        stored = await self.read(self.key(operation_id, owner=owner))
        if stored is None:
            raise ConfigurationError(f"operation {operation_id} of {owner!r} has no status document: open it before publishing")
        text = None if result is None else _result_text(result)
        before, now, status = stored.document, to_milliseconds(self.clock()), Status(status)
        done = status in TERMINAL
        record = Record(
            submission=self.submission_of(before, owner=owner),
            attempt=attempt,
            started_at=before.started_at or now,
            finished_at=now if done else None,
            outcome=Outcome(status=status, result=text, error=error) if done else None,
            expires_at=before.expires_at or before.created_at + timedelta(seconds=self.window),
        )
        shown = await self.show(record, held=stored, progress=progress, poll=poll or before.poll, show_result=True)
        return before if shown is None else shown.document

    # --- what the protocol is made of ------------------------------------------------------------

    async def create(
        self,
        submission: Submission,
        *,
        estimate: Estimate,
        poll: PollHint,
        expires_at: datetime | None = None,
        resubmit_of: str | None = None,
    ) -> Stored:
        """Create the `queued` document. It says that the operation is forgotten at `expires_at`, or after this board's window.

        Raises:
            DocumentExists: there is one. It may be ours, where an answer was lost.
        """
        until = expires_at or submission.created_at + timedelta(seconds=self.window)
        document = queued(submission, estimate=estimate, poll=poll, expires_at=until, resubmit_of=resubmit_of)
        return Stored(document=document, etag=await self.store.create(submission.status_key, document.to_bytes()))

    async def ensure(
        self,
        submission: Submission,
        *,
        estimate: Estimate,
        poll: PollHint,
        expires_at: datetime | None = None,
        resubmit_of: str | None = None,
    ) -> tuple[Stored, bool]:
        """Create the `queued` document, or read the one that is there; tell which one it is, and whether it was created."""
        looks = 0
        while True:
            try:
                made = await self.create(submission, estimate=estimate, poll=poll, expires_at=expires_at, resubmit_of=resubmit_of)
                return made, True
            except DocumentExists:
                found = await self.read(submission.status_key)
            if found is not None:
                return found, False
            await self._until_settled(submission.status_key, looks)
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
    ) -> Stored | None:
        """Publish a record: one conditional write, repeated as long as others write in between.

        A decided record creates the document where it is missing, and has succeeded once the stored one is done. Any other never creates,
        never follows a done one, and never lowers the attempt.

        Args:
            record: what is true.
            held: the document as this caller last saw it, which saves a read.
            progress, estimate, poll: what a document shows beside the record, while it is not done.
            show_result: whether a result is published, or only read from `links.self`.

        Returns:
            What is stored now; None where there is no document and none was created.

        Raises:
            DigestMismatch: the document belongs to another input. It is left alone.
            DependencyUnavailable, DependencyRefused: by the store.
        """
        key = record.submission.status_key
        current = held or await self.read(key)
        looks = 0
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
                updated_at=to_milliseconds(self.clock()),
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
                await self._until_settled(key, looks - 1)
        raise DependencyUnavailable("status board", f"{key} kept changing under {ROUNDS} conditional writes")

    async def _until_settled(self, key: str, looks: int) -> None:
        """Wait a little before a document that exists and cannot be read is created again."""
        if looks == len(PAUSES):
            raise DependencyUnavailable("status board", f"{key} exists and cannot be read: grant s3:GetObject on {self.prefix}/*")
        await asyncio.sleep(PAUSES[looks])

    async def _write(self, key: str, document: Document, current: Stored | None) -> Stored | None:
        """Write over what was seen; None where another writer was faster."""
        try:
            if current is None:
                return Stored(document=document, etag=await self.store.create(key, document.to_bytes()))
            return Stored(document=document, etag=await self.store.replace(key, document.to_bytes(), etag=current.etag))
        except (DocumentExists, DocumentChanged):
            return None


def _result_text(result: object) -> str:
    try:
        return to_json(result)
    except InvalidInput as error:
        raise ConfigurationError(f"the result cannot be published: {error}") from error


def segment(owner: str) -> str:
    """Return the owner's part of a key: the owner where that is plain, else a digest of it, marked by a dot."""
    if _PLAIN_OWNER.fullmatch(owner):
        return owner
    return "." + base64.urlsafe_b64encode(hashlib.sha256(owner.encode()).digest()).decode().rstrip("=")
