"""Cuts what handlers say so that it fits into a status document, which has at most 4 KiB.

With every field at its limit a document still fits; a property test checks that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

__all__ = [
    "MAX_BASE_URL",
    "MAX_BYTES",
    "MAX_MESSAGE",
    "MAX_RESULT_BYTES",
    "base_url_that_fits",
    "cut",
    "encode",
    "error_that_fits",
    "json_error",
    "number",
    "quote",
    "result_fits",
    "result_that_fits",
    "shown_url",
    "well_formed",
]

#: A status document is read many times and must stay cheap to read: readers refuse a larger one.
MAX_BYTES = 4096

#: The document leaves out a larger result, even if results are published; `links.self` has it.
MAX_RESULT_BYTES = 2048

#: Longest message of a progress, bytes as JSON.
MAX_MESSAGE = 200

#: A larger error is cut to its code and its message, of these sizes; bytes as JSON. `links.self` has the rest.
MAX_ERROR_BYTES = 1024
MAX_CODE = 64
MAX_ERROR_MESSAGE = 400

#: A document contains the API's address three times. A longer address gives no links; host names have at most 253 characters.
MAX_BASE_URL = 400

#: DynamoDB's item of 400 KiB holds the error beside an input of up to 256 KiB. It would refuse a larger error, again and again.
MAX_RECORDED_ERROR = 16 * 1024

_ELLIPSIS = "…"

_USER = re.compile(r"//[^/?#]*@")


def encoder(*, ascii_only: bool, sort_keys: bool) -> Callable[[Any], str]:
    """Return a function that writes JSON without spaces, as `json.JSONEncoder` does. It refuses NaN, and raises RecursionError for circles.

    A JSONEncoder makes the encoder in C anew for every text, and for a small one that is most of the work.
    """
    plain = json.JSONEncoder(ensure_ascii=ascii_only, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    text = json.encoder.encode_basestring_ascii if ascii_only else json.encoder.encode_basestring
    pieces = make(None, plain.default, text, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(pieces(value, 0))


#: Writes JSON in ASCII: byte counts are character counts, and no store or proxy has to agree on an encoding.
encode = encoder(ascii_only=True, sort_keys=False)

#: Writes one text as `encode` does, quotes around it.
quote = json.encoder.encode_basestring_ascii


def shown_url(url: str) -> str:
    """Return a URL for people: without user and password, which an error message must not repeat."""
    return _USER.sub("//", url)


def number(value: float) -> str:
    """Write a number as `encode` does.

    Raises:
        ValueError: it is infinite, or not a number.
    """
    if not isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    return repr(value)


def well_formed(text: str) -> str:
    """Return a text without lone surrogates, which have no UTF-8: file names may have them, stores and readers refuse them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, limit: int) -> str:
    """Return a well-formed text that takes at most `limit` bytes as JSON, quotes aside; an ellipsis marks a cut."""
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
    """Return an error that has a JSON form and fits into a record: values without one become text, and a large error is cut."""
    try:
        fields = json.loads(well_formed(json.dumps(error, default=str, allow_nan=False, ensure_ascii=False)))
    except (ValueError, TypeError, RecursionError):  # NaN, a key that is not text, or a loop: convert member by member
        fields = {well_formed(str(name)): _plain(value) for name, value in error.items()}
    fields["code"], fields["message"] = (well_formed(str(error.get(name, ""))) for name in ("code", "message"))
    return fields if len(encode(fields)) <= MAX_RECORDED_ERROR else _short(fields, message=MAX_RECORDED_ERROR // 2)


def error_that_fits(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error as a document shows it."""
    return dict(error) if len(encode(dict(error))) <= MAX_ERROR_BYTES else _short(error, message=MAX_ERROR_MESSAGE)


def result_that_fits(result: str | None) -> Any:
    """Return a result, JSON text, as a document shows it; None if it is too large."""
    return json.loads(result) if result is not None and result_fits(result) else None


def result_fits(result: str) -> bool:
    """Tell whether a document shows a result, JSON text, of this size."""
    return len(result) <= MAX_RESULT_BYTES


@lru_cache(maxsize=64)  # a service has few addresses, and asks for each operation
def base_url_that_fits(base_url: str) -> str:
    """Return an API's address, empty if it is too long for a document."""
    return base_url if _size(base_url) <= MAX_BASE_URL else ""


def _plain(value: Any) -> str | int | None:
    return value if isinstance(value, int | None) else well_formed(value if isinstance(value, str) else repr(value))


def _short(error: Mapping[str, Any], *, message: int) -> dict[str, str]:
    return {"code": cut(str(error.get("code", "")), MAX_CODE), "message": cut(str(error.get("message", "")), message)}


def _size(text: str) -> int:
    return len(quote(text)) - 2
