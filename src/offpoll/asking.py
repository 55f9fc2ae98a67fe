"""Asking the API about one operation: at which address, and what its answer says. Pure, and used by polls and by whole requests alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from offpoll.document import Document, links_at
from offpoll.errors import ApiError
from offpoll.exchange import Answer
from offpoll.operation import Status, is_kind, is_operation_id

__all__ = ["is_outage", "operation_url", "read_operation"]


def operation_url(document: Document, name: Literal["self", "status_link", "cancel"], *, base_url: str) -> str:
    """Return a link of an operation, made from the API's address where the document has none.

    Raises:
        ApiError: there is none, and the kind or the id is not one that a path may be made of.
    """
    if href := document.links.get(name):
        return href
    if not is_kind(document.kind) or not is_operation_id(document.id):
        raise ApiError(f"the status document has no {name!r} link, and none can be made for kind {document.kind!r}", status=0)
    return links_at(base_url, kind=document.kind, operation_id=document.id)[name]


def read_operation(answer: Answer, *, document: Document) -> Document | None:
    """Read how an operation ended from the answer to `GET {links.self}`; None where it does not say that it has.

    200 with JSON means succeeded. 404 with a problem document whose `operation_status` is `failed` or `canceled` means that, and its
    `error` is the operation's. The document returned is the one given, ended so.
    """
    status: str | None = None
    if answer.status == 200 and "json" in answer.headers.get("content-type", ""):
        try:
            answer.json()
            status = Status.SUCCEEDED
        except ValueError:
            return None
    problem = answer.problem if answer.status == 404 else {}
    if problem.get("operation_status") in (Status.FAILED, Status.CANCELED):
        status = str(problem["operation_status"])
    if status is None:
        return None
    error = problem.get("error")
    return replace(document, status=status, progress=None, estimate=None, poll=None, error=error if isinstance(error, dict) else None)


def is_outage(status: int) -> bool:
    """Tell an answer that says nothing about what was asked: overloaded or broken, for now."""
    return status >= 500 or status in (408, 429)
