"""How much of what handlers say fits into a status document, which is at most 4 KiB. Pure: texts in, texts out.

With every field at its limit here a document still fits; a property test holds that. Must not know documents or stores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

__all__ = [
    "MAX_BASE_URL",
    "MAX_BYTES",
    "MAX_MESSAGE",
    "base_url_that_fits",
    "cut",
    "encode",
    "error_that_fits",
    "json_error",
    "number",
    "quote",
    "result_that_fits",
    "well_formed",
]

#: A status document is read many times and must stay cheap to read: over this it is refused by readers.
MAX_BYTES = 4096

#: A result that is published is left out of the document from this size on; `links.self` has it.
MAX_RESULT_BYTES = 2048

#: Longest message of a progress, bytes as JSON.
MAX_MESSAGE = 200

#: A larger error is cut to its code and its message, of these sizes; bytes as JSON. The rest is in `links.self`.
MAX_ERROR_BYTES = 1024
MAX_CODE = 64
MAX_ERROR_MESSAGE = 400

#: An API's own address stands in a document three times. Longer ones give no links; host names have at most 253 characters.
MAX_BASE_URL = 400

#: DynamoDB's item of 400 KiB holds the error beside an input of up to 256 KiB; a larger one would be refused, again and again.
MAX_RECORDED_ERROR = 16 * 1024

_ELLIPSIS = "…"

#: ASCII out: byte counts are character counts, and no store or proxy needs to agree on an encoding.
encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

#: One text as the same JSON, quotes around it: what `encode` does, without an encoder made for it.
quote = json.encoder.encode_basestring_ascii


def number(value: float) -> str:
    """Return a number as the same JSON.

    Raises:
        ValueError: it is infinite, or not a number.
    """
    if not isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    return repr(value)


def well_formed(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no UTF-8 can say: file names may have them, stores and readers refuse them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, limit: int) -> str:
    """Return a well-formed text that takes at most `limit` bytes as JSON, quotes aside; an ellipsis says that it was cut."""
    text = well_formed(text)
    if len(text) <= limit and _size(text) <= limit:
        return text
    room, end = limit - _size(_ELLIPSIS), 0
    for character in text[:limit]:
        room -= _size(character)
        if room < 0:
            break
        end += 1
    return text[:end] + _ELLIPSIS


def json_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error as JSON can say it and a record can keep it: what JSON does not know becomes text, what is too much is cut."""
    try:
        fields = json.loads(well_formed(json.dumps(error, default=str, allow_nan=False, ensure_ascii=False)))
    except (ValueError, TypeError, RecursionError):  # NaN, a key that is no text, a loop: member by member, then
        fields = {well_formed(str(name)): _plain(value) for name, value in error.items()}
    fields["code"], fields["message"] = (well_formed(str(error.get(name, ""))) for name in ("code", "message"))
    return fields if len(encode(fields)) <= MAX_RECORDED_ERROR else _short(fields, message=MAX_RECORDED_ERROR // 2)


def error_that_fits(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error as a document shows it."""
    return dict(error) if len(encode(dict(error))) <= MAX_ERROR_BYTES else _short(error, message=MAX_ERROR_MESSAGE)


def result_that_fits(result: str | None) -> Any:
    """Return a result, JSON text, as a document shows it; None where it is too large for that."""
    return None if result is None or len(result) > MAX_RESULT_BYTES else json.loads(result)


def base_url_that_fits(base_url: str) -> str:
    """Return an API's own address, empty where it is too long to stand in a document."""
    return base_url if _size(base_url) <= MAX_BASE_URL else ""


def _plain(value: Any) -> str | int | None:
    return value if isinstance(value, int | None) else well_formed(value if isinstance(value, str) else repr(value))


def _short(error: Mapping[str, Any], *, message: int) -> dict[str, str]:
    return {"code": cut(str(error.get("code", "")), MAX_CODE), "message": cut(str(error.get("message", "")), message)}


def _size(text: str) -> int:
    return len(quote(text)) - 2
