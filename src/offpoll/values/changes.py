"""Finds what is different in an object that was written as JSON and read again. It names places and types; values may be secret.

Decides what makes two values the same. Classes count: a subclass that comes back as its base class has changed. Two NaNs are the same, and
so are objects without an `__eq__` whose attributes are. An array that comes back as another kind of sequence has changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Change", "LossError", "changes", "fields_of", "secrets"]

_ABSENT = object()

#: Types that a private attribute is compared in. Others are caches, locks and connections: no part of the value.
_DATA = (str, int, float, bool, bytes, list, dict, tuple, set, type(None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference.

    Attributes:
        at: where, as in `lines.0.price`; empty for the whole.
        what: a `subclass` replaced by its base, a `class` replaced by any other, a `secret` that was masked, a `number` (NaN,
            Infinity) that became null, or another `value`.
        words: what happened, without the value.
    """

    at: str
    what: Literal["subclass", "class", "secret", "number", "value"]
    words: str

    def __str__(self) -> str:
        return f"{self.at}: {self.words}" if self.at else self.words


class LossError(ValueError):
    """A result's JSON would differ from the object. The message names the place."""


def changes(before: Any, after: Any, at: str = "") -> Iterator[Change]:
    """Yield the differences between an object and what was read again."""
    if before is after:
        return
    if _is_secret(before):
        if type(before) is not type(after) or before.get_secret_value() != after.get_secret_value():
            yield _masked(before, at)
    elif type(before) is not type(after):
        yield from _of_types(before, after, at)
    elif (fields := fields_of(before)) is not None:
        others = fields_of(after) or {}
        for name in fields.keys() | others.keys() if fields.keys() != others.keys() else fields:
            yield from changes(fields.get(name, _ABSENT), others.get(name, _ABSENT), _join(at, name))
        yield from _of_private(before, after, at)
    elif isinstance(before, Mapping):
        yield from _of_mappings(before, after, at)
    elif isinstance(before, list | tuple):
        yield from _of_arrays(before, after, at)
    elif not _equal(before, after):
        yield _other(at)


def secrets(value: Any, at: str = "") -> Iterator[Change]:
    """Yield pydantic's secrets in an object: in JSON each is a row of asterisks, unless a serializer writes it otherwise."""
    if _is_secret(value):
        yield _masked(value, at)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, each in enumerate(value):
            yield from secrets(each, _join(at, index))
    else:
        for name, each in (value if isinstance(value, Mapping) else fields_of(value) or {}).items():
            yield from secrets(each, _join(at, name))


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of a pydantic model, a dataclass or a msgspec Struct, by name; None for everything else."""
    of = type(value)
    if dataclasses.is_dataclass(of):
        return {each.name: getattr(value, each.name, _ABSENT) for each in dataclasses.fields(of)}
    names = getattr(of, "__pydantic_fields__", None)
    if isinstance(names, dict):
        extra = getattr(value, "__pydantic_extra__", None) or {}
        return {**{name: getattr(value, name, _ABSENT) for name in names}, **extra}
    names = getattr(of, "__struct_fields__", None)
    return None if not isinstance(names, tuple) else {name: getattr(value, name, _ABSENT) for name in names}


def _of_types(before: Any, after: Any, at: str) -> Iterator[Change]:
    """Compare values of two types. Equal ones of JSON's own types count as the same: an enum in a field for text, 1 for 1.0."""
    if after is _ABSENT:
        yield Change(at=at, what="value", words="it is lost")
    elif before is _ABSENT:
        yield Change(at=at, what="value", words="it is new")
    elif isinstance(before, float) and after is None:
        yield Change(at=at, what="number", words="NaN and Infinity are not JSON, and become null")
    elif fields_of(before) is not None and fields_of(after) is not None:
        what: Literal["subclass", "class"] = "subclass" if isinstance(before, type(after)) else "class"
        yield Change(at=at, what=what, words=f"{_a(before)} is read as {_a(after)}")
    elif not (isinstance(before, str | int | float | dict) and not isinstance(before, bool) and _equal(before, after)):
        yield Change(at=at, what="value", words=f"{_a(before)} is read as {_a(after)}")


def _of_private(before: Any, after: Any, at: str) -> Iterator[Change]:
    mine, others = (getattr(each, "__pydantic_private__", None) or {} for each in (before, after))
    for name, value in mine.items():
        other = others.get(name)
        if isinstance(value, _DATA) and isinstance(other, _DATA) and not _equal(value, other):
            yield Change(at=_join(at, name), what="value", words="JSON has no place for a private attribute")


def _of_mappings(before: Mapping[Any, Any], after: Mapping[Any, Any], at: str) -> Iterator[Change]:
    for key, value in before.items():
        yield from changes(value, after.get(key, _ABSENT), _join(at, key if isinstance(key, str | int) else "…"))
    if len(after) > len(before):
        yield Change(at=at, what="value", words="it has more keys")


def _of_arrays(before: list[Any] | tuple[Any, ...], after: list[Any] | tuple[Any, ...], at: str) -> Iterator[Change]:
    if len(before) != len(after):
        yield Change(at=at, what="value", words="it is read with another length")
    else:
        for index, (mine, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(mine, other, _join(at, index))


def _equal(before: Any, after: Any) -> bool:
    try:
        if before == after:
            return True
        if before != before and after != after:  # noqa: PLR0124 - NaN, of float and of Decimal
            return True
    except Exception:  # an `__eq__` of the user's, or an array's
        return False
    compares = getattr(type(before), "__eq__", None)
    if compares is not getattr(object, "__eq__", None) or not hasattr(before, "__dict__"):
        return False
    mine, others = vars(before), vars(after)
    return mine.keys() == others.keys() and next((each for name in mine for each in changes(mine[name], others[name])), None) is None


def _is_secret(value: Any) -> bool:
    return hasattr(type(value), "get_secret_value")


def _masked(value: Any, at: str) -> Change:
    return Change(at=at, what="secret", words=f"{_a(value)} is written as asterisks")


def _other(at: str) -> Change:
    return Change(at=at, what="value", words="it is read as another value")


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def _join(at: str, name: object) -> str:
    return f"{at}.{name}" if at else str(name)
