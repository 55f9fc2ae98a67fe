"""What the answers to a client's requests mean, for an operation that is looked up and for one that has ended."""

from __future__ import annotations

from datetime import datetime

from offpoll.client.addresses import OperationAddress
from offpoll.document import Document, links_at
from offpoll.errors import ApiError, ApiUnavailable, ClientError, MalformedDocument, OperationCanceled, OperationFailed
from offpoll.exchange import NoAnswer, Reply, Response, is_outage
from offpoll.operation import Status, is_operation_id

__all__ = ["document_in", "raise_for_end", "unread", "unseen", "words_of"]


def unseen(own: OperationAddress, seen_at: datetime) -> Document:
    """Return what an operation's address alone says about it."""
    links = links_at(own.api, kind=own.kind, operation_id=own.operation_id)
    return Document(id=own.operation_id, kind=own.kind, status="", revision=0, created_at=seen_at, updated_at=seen_at, links=links)


def document_in(reply: Reply, *, operation_id: str, status: int = 200) -> Document | None:
    """Return the document in a response; None if there is none, or another operation's."""
    if not isinstance(reply, Response) or reply.status != status:
        return None
    try:
        document = Document.from_bytes(reply.body)
    except (MalformedDocument, ArithmeticError):
        return None
    return document if is_operation_id(document.id) and document.id == (operation_id or document.id) else None


def unread(reply: Reply, *, api: bool) -> ClientError:
    if api and isinstance(reply, Response):
        return reply.refusal()
    if not isinstance(reply, Response) or is_outage(reply.status):
        words = f"answered {reply.status}" if isinstance(reply, Response) else f"gave no answer: {reply.reason if reply else ''}"
        return ApiUnavailable(f"the store {words}. Try again, or use the operation's own address")
    why = "the link has ended, or leads to no status document"
    return ApiError(f"{why} (the store answered {reply.status}). Use the operation's own address", status=reply.status)


def raise_for_end(document: Document) -> None:
    if document.status == Status.FAILED:
        raise OperationFailed(document.id, document.error)
    if document.status == Status.CANCELED:
        raise OperationCanceled(document.id)


def words_of(reply: Reply) -> str:
    if isinstance(reply, NoAnswer):
        return f"it gave no answer: {reply.reason}"
    return str(reply.refusal()) if reply else ""
