"""Reads references to an operation: a ticket, saved or as curl stored it, an address, a status link, in any of their forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from offpoll.document import Document
from offpoll.errors import ConfigurationError, MalformedDocument
from offpoll.link import StatusLink
from offpoll.ticket import Ticket

__all__ = ["Reference", "referred"]

#: A ticket, its JSON or the API's 202 answer, a status document or a link (JSON or objects), or an address (`links.self`, `Location`).
Reference: TypeAlias = Ticket | str | bytes | Mapping[str, Any]

#: Without the value, which may be a status link, and so a secret.
_EXPECTED = "a ticket, the API's 202 answer, the operation's address (`links.self`, `Location`) or a status link"


def referred(reference: Reference) -> Ticket | StatusLink | str:
    """Return the ticket, link or address in a reference.

    Raises:
        ConfigurationError: there is none.
    """
    if isinstance(reference, Ticket):
        return reference
    if isinstance(reference, bytes):
        reference = reference.decode("utf-8", "replace")
    try:
        if isinstance(reference, str):
            return _in_text(reference.strip().removeprefix("\ufeff"))
        if isinstance(reference, Mapping):
            return _in_fields(reference)
    except (MalformedDocument, ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigurationError(f"this is not {_EXPECTED}: {error}") from None  # the cause may carry the link
    raise ConfigurationError(f"expected {_EXPECTED}, not {type(reference).__name__}")


def _in_text(text: str) -> Ticket | StatusLink | str:
    if text.startswith(("HTTP/", "Location:", "location:")):  # as `curl -i` and `curl -D -` print an answer
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        if head.startswith("HTTP/") and " 100 " in head.partition("\n")[0]:
            return _in_text(body.strip())
        return _in_text(body.strip()) if body.strip() else _in_fields(dict(_header(line) for line in head.split("\n")))
    if text.startswith(("{", '"')):
        fields = json.loads(text)
        return _in_text(fields) if isinstance(fields, str) else _in_fields(fields)
    if not text:
        raise ValueError("it is empty")
    if "/" not in text or any(each.isspace() for each in text):
        raise ValueError("it is neither JSON nor an address")
    return text


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _in_fields(fields: Mapping[str, Any]) -> Ticket | StatusLink | str:
    if "status_link" in fields or str(fields.get("spec", "")).startswith("offpoll-ticket/"):
        return Ticket.from_dict(dict(fields))
    if "spec" in fields:
        document = Document.from_dict(dict(fields))
        return document.links.get("self") or f"/{document.kind}/{document.id}"
    if "href" in fields:
        return StatusLink.from_dict(dict(fields))
    for name, value in fields.items():  # the answer's headers
        if str(name).lower() == "location" and isinstance(value, str):
            return _in_text(value)
    raise ValueError("it has neither `status_link`, `links` nor `Location`")
