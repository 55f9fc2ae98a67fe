"""The status document, `offpoll/1`: the JSON that clients read.

Defines the wire form, the rank of documents, and how a record becomes one. The JSON Schema is `document.schema.json` beside this file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from offpoll.errors import MalformedDocument
from offpoll.frozen import quick
from offpoll.instant import from_wire, to_wire
from offpoll.limits import MAX_BYTES, base_url_that_fits, encode, error_that_fits, number, quote, result_that_fits
from offpoll.operation import TERMINAL, TRANSITIONS, Progress, Record, Status, Submission

__all__ = ["MAX_BYTES", "SPEC", "Document", "Estimate", "PollHint", "links", "links_at", "project", "queued"]

SPEC = "offpoll/1"

#: The field in which a resubmitted operation names the failed one. It travels among the unknown fields: workers of all versions keep
#: those when they rewrite a document, and no message has to carry it.
RESUBMIT_OF = "resubmit_of"


@quick
@dataclass(frozen=True, kw_only=True)
class Estimate:
    """When the operation is expected to end: the 10 % quantile, the mean and the 90 % quantile, each None if unknown."""

    earliest: datetime | None = None
    mean: datetime | None = None
    latest: datetime | None = None


@quick
@dataclass(frozen=True, kw_only=True)
class PollHint:
    """When to poll: not before this instant, then every `interval` seconds."""

    not_before: datetime
    interval: float


@dataclass(frozen=True, kw_only=True)  # no slots, so that `queued` can make one at once
class Document:
    """One status document. `unknown` holds the fields of newer writers, and `resubmit_of`; it survives a rewrite."""

    id: str
    kind: str
    status: str
    revision: int = 1
    attempt: int = 0
    created_at: datetime
    started_at: datetime | None = None
    updated_at: datetime
    finished_at: datetime | None = None
    progress: Progress | None = None
    estimate: Estimate | None = None
    poll: PollHint | None = None
    result: Any = None
    error: Mapping[str, Any] | None = None
    digest: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None
    spec: str = SPEC
    unknown: Mapping[str, Any] = field(default_factory=dict)
    _bytes: bytes | None = field(default=None, init=False, repr=False, compare=False)  # a submit stores them and answers with them

    @property
    def done(self) -> bool:
        """Whether the status is terminal. An unknown status is treated as not done."""
        return self.status in TERMINAL

    @property
    def resubmit_of(self) -> str | None:
        """The id of the failed operation whose input was submitted again as this one, or None."""
        named = self.unknown.get(RESUBMIT_OF)
        return named if isinstance(named, str) else None

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What a publish never lowers: done, then attempt, then revision."""
        return (self.done, self.attempt, self.revision)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, fields in the order of the specification."""
        fields: dict[str, Any] = json.loads(self.to_bytes())
        return fields

    def to_bytes(self) -> bytes:
        """Return the document as stored: JSON in ASCII, without spaces."""
        written = self._bytes
        if written is None:
            written = _write(self).encode()
            object.__setattr__(self, "_bytes", written)
        return written

    @classmethod
    def from_bytes(cls, body: bytes) -> Document:
        """Read a stored document.

        Raises:
            MalformedDocument: it is over 4 KiB, is not JSON, or does not follow this specification.
        """
        if len(body) > MAX_BYTES:
            raise MalformedDocument(f"a status document is at most {MAX_BYTES} bytes, this is {len(body)}")
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedDocument(f"a status document is JSON, this is not: {error}") from error
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Any) -> Document:
        """Read the JSON object of a document.

        Raises:
            MalformedDocument: a field is missing or has the wrong type, or `spec` is another.
        """
        if not isinstance(fields, dict):
            raise MalformedDocument("a status document is a JSON object, this is not")
        if fields.get("spec") != SPEC:
            raise MalformedDocument(f"this reads {SPEC}; the document says spec: {fields.get('spec')!r}")
        try:
            return _read(fields)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise MalformedDocument(f"the status document has a missing or wrong field: {error!r}") from error


def queued(submission: Submission, *, estimate: Estimate, poll: PollHint, expires_at: datetime, resubmit_of: str | None = None) -> Document:
    """Make the document that a submit creates. `resubmit_of` is the failed operation whose input this repeats, if any."""
    document = object.__new__(Document)
    # The __init__ of a frozen class sets its fields by a call each, here 21 times: 2 % of what accepting an operation costs.
    vars(document).update(
        id=submission.operation_id,
        kind=submission.kind,
        status=Status.QUEUED,
        created_at=submission.created_at,
        updated_at=submission.created_at,
        estimate=estimate,
        poll=poll,
        digest=submission.digest,
        links=links(submission),
        expires_at=expires_at,
        unknown={} if resubmit_of is None else {RESUBMIT_OF: resubmit_of},
    )
    return document


def project(
    record: Record,
    *,
    before: Document | None,
    updated_at: datetime,
    progress: Progress | None = None,
    estimate: Estimate | None = None,
    poll: PollHint | None = None,
    show_result: bool = False,
) -> Document:
    """Make the document that shows a record: known fields come from the record, unknown ones from the document before.

    Progress, estimate and poll hint come from the caller; a done document has none of them.

    Raises:
        ValueError: the record's status may not follow the status of the document before.
    """
    if before is not None and before.status in _STATUSES and record.status not in TRANSITIONS[Status(before.status)]:
        raise ValueError(f"{record.status} may not follow {before.status}")
    submission, outcome = record.submission, record.outcome
    # These instants come from three clocks (the API's, and both bounds of the store's). Readers see them in the order of events.
    started_at = None if record.started_at is None else max(record.started_at, submission.created_at)
    finished_at = None if record.finished_at is None else max(record.finished_at, started_at or submission.created_at)
    document = Document(
        id=submission.operation_id,
        kind=submission.kind,
        status=record.status,
        revision=1 if before is None else before.revision + 1,
        attempt=record.attempt,
        created_at=submission.created_at,
        started_at=started_at,
        updated_at=max(updated_at, finished_at or submission.created_at, submission.created_at if before is None else before.updated_at),
        finished_at=finished_at,
        progress=None if record.done or progress is None else progress.fitted(),
        estimate=None if record.done else estimate,
        poll=None if record.done else poll,
        result=result_that_fits(outcome.result) if outcome is not None and show_result else None,
        error=None if outcome is None or outcome.error is None else error_that_fits(outcome.error),
        digest=submission.digest,
        links=links(submission),
        expires_at=record.expires_at,
        unknown={} if before is None else before.unknown,
    )
    if len(document.to_bytes()) > MAX_BYTES:  # readers find a result elsewhere, but not the fields of a newer writer
        document = replace(document, result=None)
    return document if len(document.to_bytes()) <= MAX_BYTES else replace(document, unknown={})


def links(submission: Submission) -> dict[str, str]:
    """Return the absolute links of an operation; none if the API's address is unknown, or too long to appear three times."""
    if not base_url_that_fits(submission.base_url):
        return {}
    return links_at(submission.base_url, kind=submission.kind, operation_id=submission.operation_id)


def links_at(base_url: str, *, kind: str, operation_id: str) -> dict[str, str]:
    """Return the links of an operation of the API at this address."""
    own = f"{base_url}/{kind}/{operation_id}"
    return {"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"}


def _write(document: Document) -> str:
    """Write the JSON text field by field: this is most of what a submit computes."""
    created_at, estimate, poll, links = to_wire(document.created_at), document.estimate, document.poll, document.links
    updated_at = created_at if document.updated_at is document.created_at else to_wire(document.updated_at)
    started_at, finished_at, progress = document.started_at, document.finished_at, document.progress
    return (
        f'{{"spec":{quote(document.spec)},"id":{quote(document.id)},"kind":{quote(document.kind)},"status":{quote(document.status)}'
        f',"done":{"true" if document.done else "false"},"revision":{document.revision},"attempt":{document.attempt}'
        f',"created_at":"{created_at}","started_at":{"null" if started_at is None else _instant_text(started_at)}'
        f',"updated_at":"{updated_at}","finished_at":{"null" if finished_at is None else _instant_text(finished_at)},"progress":'
        + ("null" if progress is None else f'{{"fraction":{encode(progress.fraction)},"message":{encode(progress.message)}}}')
        + ',"estimate":'
        + ("null" if estimate is None else _estimate_text(estimate))
        + ',"poll":'
        + ("null" if poll is None else f'{{"not_before":"{to_wire(poll.not_before)}","interval":{number(poll.interval)}}}')
        + f',"result":{"null" if document.result is None else encode(document.result)}'
        f',"error":{"null" if document.error is None else encode(dict(document.error))}'
        f',"digest":{"null" if document.digest is None else quote(document.digest)}'
        f',"links":{{{",".join([f"{quote(name)}:{quote(href)}" for name, href in links.items()])}}}'
        f',"expires_at":{_instant_text(document.expires_at)}' + (f",{encode(document.unknown)[1:]}" if document.unknown else "}")
    )


def _estimate_text(estimate: Estimate) -> str:
    earliest, mean, latest = _instant_text(estimate.earliest), _instant_text(estimate.mean), _instant_text(estimate.latest)
    return f'{{"earliest":{earliest},"mean":{mean},"latest":{latest}}}'


def _instant_text(instant: datetime | None) -> str:
    return "null" if instant is None else f'"{to_wire(instant)}"'


_KNOWN = frozenset(each.name for each in dataclasses.fields(Document) if each.name not in {"unknown", "_bytes"}) | {"done"}

_STATUSES: frozenset[str] = frozenset(Status)


def _read(fields: dict[str, Any]) -> Document:
    progress, estimate, poll = fields.get("progress"), fields.get("estimate"), fields.get("poll")
    if progress is not None:
        progress = Progress(fraction=_number(progress.get("fraction")), message=_text_or_none(progress.get("message")))
    return Document(
        id=_text(fields["id"]),
        kind=_text(fields["kind"]),
        status=_text(fields["status"]),
        revision=int(fields["revision"]),
        attempt=int(fields["attempt"]),
        created_at=from_wire(fields["created_at"]),
        started_at=_instant(fields.get("started_at")),
        updated_at=from_wire(fields["updated_at"]),
        finished_at=_instant(fields.get("finished_at")),
        progress=progress,
        estimate=None
        if estimate is None
        else Estimate(
            earliest=_instant(estimate.get("earliest")), mean=_instant(estimate.get("mean")), latest=_instant(estimate.get("latest"))
        ),
        poll=None if poll is None else PollHint(not_before=from_wire(poll["not_before"]), interval=float(poll["interval"])),
        result=fields.get("result"),
        error=None if fields.get("error") is None else dict(fields["error"]),
        digest=_text_or_none(fields.get("digest")),
        links={name: _text(href) for name, href in (fields.get("links") or {}).items()},
        expires_at=_instant(fields.get("expires_at")),
        unknown={name: value for name, value in fields.items() if name not in _KNOWN},
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else from_wire(text)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
