"""Compares a document with its record: whether they agree, what the operation waits for, and where its message must be.

A document may lag behind its record and still agree: publishing follows the readers, so it may say `queued` while attempt 2 runs. They
disagree if no rule of the protocol leaves them like this, or if a step of the protocol is missing that somebody can take now.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from offpoll.document import Document, project
from offpoll.operation import Record, Status, Submission
from offpoll.work.verdict import Begin, Decided, GiveUp, judge

__all__ = ["Agreement", "WaitReason", "Waiting", "advice", "compare", "waiting"]

#: What a terminal document takes from its record: both must say the same.
_SHOWN = ("status", "attempt", "finished_at", "error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Whether document and record agree.

    Attributes:
        agree: whether they do.
        repairable: whether publishing the record makes them agree.
        text: how they differ, for people.
    """

    agree: bool
    repairable: bool = False
    text: str


class WaitReason(StrEnum):
    """What an operation waits for."""

    NOTHING = "nothing"  # it has ended and shows it, or is forgotten
    DELIVERY = "delivery"  # nobody holds it: the worker that receives its message goes on
    LEASE = "lease"  # a claim counts as alive
    BACKOFF = "backoff"  # the last attempt raised, and the next one may not begin yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What an operation waits for.

    Attributes:
        what: the reason.
        until: in the store's time; None if no instant is known.
        text: the reason for people.
        message: where its message must be, by what the record says: a queue cannot be searched.
    """

    what: WaitReason
    until: datetime | None = None
    text: str
    message: str


def compare(document: Document | None, record: Record | None, *, key: str, owner: str, now: datetime) -> Agreement:
    """Tell whether a document and its record agree.

    Args:
        document, record: None if there is none. Read them in this order: otherwise an end between the two reads looks like a fault.
        key, owner: the document's key, and the owner who was asked for.
        now: the store's time.
    """
    if record is None:
        return _document_alone(document, now)
    submission = record.submission
    if submission.owner != owner:
        return Agreement(agree=False, text=f"the record belongs to the owner {submission.owner!r}, not to {owner!r}: use --owner")
    if submission.status_key != key:
        where = f"its workers publish to {submission.status_key}, this environment reads {key}"
        return Agreement(agree=False, text=f"{where}: was the operation submitted with another OFFPOLL_PREFIX?")
    if document is None:
        return _record_alone(record)
    if (document.digest, document.kind) != (submission.digest, submission.kind):
        return Agreement(agree=False, text="the document belongs to another input than the record; nobody overwrites it")
    return _ended(document, record) if record.done else _open(document, record)


def waiting(
    document: Document | None, record: Record | None, *, submission: Submission, now: datetime, attempts: int | None, window: float
) -> Waiting:
    """Tell what an operation waits for, by judging it as the next delivery of its message would.

    Args:
        document, record: at most one of them is None, because there is none.
        submission: what either says about the operation.
        now: the store's time.
        attempts: how many its kind allows; None if unknown.
        window: seconds after which an operation is too old to begin.
    """
    if record is None and document is not None and (document.done or _forgotten(document, now)):
        return Waiting(what=WaitReason.NOTHING, text="nothing: it is over", message="deleted")
    verdict = judge(record, submission, now=now, token=None, attempts=attempts or sys.maxsize, window=window)
    match verdict:
        case Decided():
            return _decided(document)
        case Begin(seen=seen):
            unless = "" if attempts else ", unless the attempts of its kind are spent"
            return _delivery(record, f"which begins attempt {seen + 1}{unless}")
        case GiveUp(outcome=outcome):
            return _delivery(record, f"which decides that it {outcome.status} ({(outcome.error or {}).get('code')})")
        case _:
            return _held(record)


def advice(
    document: Document | None, record: Record | None, agreement: Agreement | None, waits: Waiting | None, *, no_message: bool
) -> str:
    """Say what a person can do about an operation; empty if there is nothing to do, or if the agreement's text says it.

    Args:
        no_message: whether neither the queue nor its dead letters hold any message, so this operation's cannot be there.
    """
    if record is not None and record.done:
        if agreement is not None and agreement.repairable:
            return "--repair publishes the outcome. So do the next delivery of its message and GET at the API"
        kept = agreement is not None and agreement.agree and record.input is not None
        return "`offpoll resubmit` submits its input again, as a new operation" if kept else ""
    if waits is None or waits.what is WaitReason.NOTHING or not (record is None or no_message):
        return ""
    if document is None or document.status == Status.QUEUED:  # then a repeated submit sends a message
        return "if its message was never sent, or is lost, the client sends it again: the same POST with the same Idempotency-Key and body"
    if no_message:
        return "its message seems to be lost, and no worker goes on without one: cancel it at the API, or fix and send a parked message"
    return ""


def _document_alone(document: Document | None, now: datetime) -> Agreement:
    if document is None:
        return Agreement(agree=False, text="there is no such operation of this owner, or it is past its retention")
    if _forgotten(document, now):
        return Agreement(agree=True, text="the record has expired; the document stays until the bucket's lifecycle rule deletes it")
    if document.status == Status.QUEUED:
        return Agreement(agree=True, text="yes: nobody has claimed it, so there is no record")
    why = f"the document says {document.status}, but there is no record, and every claim and every decision leaves one"
    return Agreement(agree=False, text=f"{why}: do the workers use another OFFPOLL_RECORDS_TABLE, or was the item deleted?")


def _record_alone(record: Record) -> Agreement:
    if record.done:
        return Agreement(agree=False, repairable=True, text=f"the record says {record.status}, and there is no document")
    return Agreement(
        agree=False, text="there is no document; the end will create it, and until then GET at the API answers from the record"
    )


def _ended(document: Document, record: Record) -> Agreement:
    if not document.done:
        return Agreement(agree=False, repairable=True, text=f"the record says {record.status}, the document still {document.status}")
    made = project(record, before=None, updated_at=document.updated_at, show_result=document.result is not None)
    shown = Document.from_bytes(made.to_bytes())
    wrong = [name for name in (*_SHOWN, "result") if getattr(document, name) != getattr(shown, name)]
    if not wrong:
        return Agreement(agree=True, text="yes: the document shows the recorded outcome")
    return Agreement(
        agree=False, text=f"the document shows another end than the record ({', '.join(wrong)}), and an end is never rewritten"
    )


def _open(document: Document, record: Record) -> Agreement:
    if document.done:
        return Agreement(agree=False, text=f"the document says {document.status}, the record has no outcome: offpoll did not write that")
    if document.attempt > record.attempt:
        attempts = f"the document shows attempt {document.attempt}, the record only {record.attempt}"
        return Agreement(agree=False, text=f"{attempts}: was the item deleted, and the operation begun again?")
    lags = document.status != record.status or document.attempt != record.attempt
    return Agreement(agree=True, text="yes: the document is rewritten when its readers are about to look" if lags else "yes")


def _forgotten(document: Document, now: datetime) -> bool:
    return document.expires_at is not None and document.expires_at <= now


def _decided(document: Document | None) -> Waiting:
    if document is not None and document.done:
        return Waiting(what=WaitReason.NOTHING, text="nothing: it has ended", message="deleted, or its next delivery deletes it")
    return Waiting(
        what=WaitReason.DELIVERY,
        text="the next delivery of its message, which publishes the outcome",
        message="in the queue or with a worker: it is deleted only after the document is published",
    )


def _held(record: Record | None) -> Waiting:
    until = None if record is None else record.lease_until
    if record is not None and record.token is not None:
        message = "received by that worker, and hidden as long as it renews the lease"
        text = f"the worker{_name(record)} that holds attempt {record.attempt}, or the end of its lease"
        return Waiting(what=WaitReason.LEASE, until=until, text=text, message=message)
    return Waiting(
        what=WaitReason.BACKOFF, until=until, text="the end of a backoff", message="given back, and hidden until the backoff is over"
    )


def _name(record: Record) -> str:
    return f" {record.holder}" if record.holder else ""


def _delivery(record: Record | None, then: str) -> Waiting:
    if record is None:
        message = "in the queue, if the submit got that far"
    elif record.token is not None:
        message = f"with a worker{_name(record)} that let its lease lapse: visible again when its visibility timeout ends"
    else:
        message = "in the queue"
    return Waiting(what=WaitReason.DELIVERY, text=f"the next delivery of its message, {then}", message=message)
