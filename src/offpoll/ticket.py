"""The ticket: what a submitter gets back for an accepted operation.

Decides the 202 answer, which this one class writes and reads, and the JSON that a ticket is saved as. Knows neither servers nor clients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offpoll.document import SPEC as DOCUMENT_SPEC
from offpoll.document import Document
from offpoll.errors import ApiError, MalformedDocument
from offpoll.exchange import Response
from offpoll.frozen import quick
from offpoll.link import StatusLink
from offpoll.operation import is_operation_id

__all__ = ["Ticket"]

#: The form of a saved ticket. Another one is refused, not guessed at.
SPEC = "offpoll-ticket/1"


@quick
@dataclass(frozen=True, kw_only=True)
class Ticket:
    """An accepted operation: its status document as the submit saw it, and the link to follow.

    Anyone who has the link can read the document, so `repr` leaves its signature out; `body`, `headers` and `to_json` may contain it.

    Attributes:
        document: the status document.
        link: the status link.
        location: the operation's address, absolute or `/{kind}/{id}`.
        retry_after: seconds until the first poll, whole ones, for clients that know only HTTP.
        operation_location: whether `headers` name the status link in `Operation-Location` (azure-core's pollers follow it).
        answered_at: the answer's own `Date`; None if it had none, and in a saved ticket.
        received: the client's monotonic time of the answer, in seconds. It means nothing outside that process, so it is not saved.
    """

    document: Document
    link: StatusLink
    location: str
    retry_after: int
    operation_location: bool = False
    answered_at: datetime | None = None
    received: float | None = field(default=None, compare=False, repr=False)

    @property
    def operation_id(self) -> str:
        """The operation's id, 32 lowercase hex digits."""
        return self.document.id

    @property
    def kind(self) -> str:
        """The operation's kind."""
        return self.document.kind

    @property
    def body(self) -> dict[str, Any]:
        """The body of the 202 answer: the document and `status_link: {href, expires_at}`."""
        fields: dict[str, Any] = json.loads(self.to_bytes())
        return fields

    def to_bytes(self) -> bytes:
        """Return `body` as JSON, around the document's bytes as they were stored: nothing is written twice."""
        return self.document.to_bytes()[:-1] + f',"status_link":{self.link.to_json()}}}'.encode()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the 202 answer, beside its content type; names in lowercase."""
        headers = {"location": self.location, "retry-after": str(self.retry_after), "cache-control": "no-store"}
        if self.operation_location:
            headers["operation-location"] = self.link.href
        return headers

    def to_response(self) -> Response:
        """Return the 202 answer whole."""
        return Response(status=202, headers={"content-type": "application/json", **self.headers}, body=self.to_bytes())

    @classmethod
    def from_answer(cls, *, status: int, headers: Mapping[str, str], body: bytes, received: float | None = None) -> Ticket:
        """Read a 202 answer: its status, its headers (names in any case) and its body; `received` as in a ticket.

        Raises:
            ApiError: the API refused, or this is not an offpoll answer.
        """
        answer = Response(status=status, headers={name.lower(): value for name, value in headers.items()}, body=body)
        if status != 202:
            raise answer.refusal()
        try:
            document, link = _read(answer.json())
        except (ValueError, ArithmeticError, MalformedDocument) as error:
            raise ApiError(f"the API accepted the request, but its answer is not offpoll's: {error}", status=status) from error
        return cls(
            document=document,
            link=link,
            location=answer.headers.get("location", ""),
            retry_after=answer.retry_after or 0,
            operation_location="operation-location" in answer.headers,
            answered_at=answer.date,
            received=received,
        )

    def to_json(self) -> str:
        """Return the ticket as JSON, to wait for the operation later or elsewhere. It contains the link: keep it as a secret."""
        fields = {"spec": SPEC, "location": self.location, "document": self.document.to_dict(), "status_link": self.link.to_dict()}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Ticket:
        """Read a saved ticket, or the body of a 202 answer. Its age is unknown, so a wait polls within one interval of its plan.

        Raises:
            ValueError: this is not a saved ticket, or one of another version.
        """
        try:
            fields = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"a saved ticket is JSON, this is not: {error}") from None  # the cause carries the text, and so the link
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Any) -> Ticket:
        """Read the JSON object of a saved ticket, or of a 202 answer.

        Raises:
            ValueError: as `from_json`.
        """
        spec = fields.get("spec") if isinstance(fields, dict) else None
        if spec == DOCUMENT_SPEC and "status_link" in fields:  # as curl stored it
            try:
                document, link = _read(fields)
            except (MalformedDocument, ValueError, ArithmeticError) as error:
                raise ValueError(f"the 202 answer cannot be read: {error}") from None
            return cls(document=document, link=link, location=document.links.get("self", ""), retry_after=0)
        if spec != SPEC:
            if isinstance(spec, str) and spec.startswith(SPEC.partition("/")[0] + "/"):
                raise ValueError(f"this ticket was saved as {spec}, by another version of offpoll; this one reads {SPEC}")
            raise ValueError(f"this is not a saved ticket of {SPEC}")
        try:
            document = Document.from_dict(fields.get("document"))
            link = StatusLink.from_dict(fields.get("status_link"))
        except (MalformedDocument, ValueError, ArithmeticError) as error:
            raise ValueError(f"the saved ticket cannot be read: {error}") from None
        if not is_operation_id(document.id):
            raise ValueError("the saved ticket's id is not 32 lowercase hex digits")
        return cls(document=document, link=link, location=str(fields.get("location", "")), retry_after=0)


def _read(fields: Any) -> tuple[Document, StatusLink]:
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    link = StatusLink.from_dict(fields.get("status_link"))
    # The link is beside the document, not in it: left there, it would count as an unknown field and survive rewrites.
    document = Document.from_dict({name: value for name, value in fields.items() if name != "status_link"})
    if not is_operation_id(document.id):
        raise ValueError("its id is not 32 lowercase hex digits")
    return document, link
