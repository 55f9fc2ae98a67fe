"""Finds the part of a value that has no JSON form, to name its type and its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from offpoll.values.changes import Change, fields_of

__all__ = ["unwritable"]


def unwritable(value: Any) -> Change | None:
    """Return the place and type of the part that has no JSON form; None if it is not found."""
    return _look(value, "", ())


def _look(value: Any, at: str, inside: tuple[int, ...]) -> Change | None:
    if id(value) in inside:
        return Change(at=at, what="value", words="it contains itself")
    parts = _parts(value)
    if parts is not None:
        found = (_look(each, f"{at}.{name}" if at else str(name), (*inside, id(value))) for name, each in parts)
        return next((each for each in found if each is not None), None)
    if isinstance(value, float) and not isfinite(value):
        return Change(at=at, what="value", words="NaN and Infinity are not JSON")
    if isinstance(value, str):
        return None if _encodes(value) else Change(at=at, what="value", words="half of a surrogate pair is no character")
    return None if _is_writable(value) else Change(at=at, what="value", words=f"a {type(value).__name__} has no JSON form")


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return list(enumerate(value))
    fields = fields_of(value)
    return None if fields is None else list(fields.items())


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_writable(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        pass
    else:
        return True
    try:
        from pydantic import TypeAdapter  # noqa: PLC0415 - only after an error, and only if it was needed before

        TypeAdapter(Any).dump_python(value, mode="json")
    except Exception:  # the user's own serializers may raise anything
        return False
    return True
