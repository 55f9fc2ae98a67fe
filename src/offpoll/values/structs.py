"""Reads and writes types that have a msgspec Struct in them. msgspec is no dependency: a type can have one only if it is loaded.

Decides which types msgspec handles: those with a Struct that it knows in every part. It reads dataclasses, TypedDicts and NamedTuples too,
but a pydantic model beside a Struct has no reader.
"""

from __future__ import annotations

import re
import sys
from typing import Any

__all__ = ["StructAdapter", "faults_of_struct", "has_struct"]

# Not compiled here: every client imports this, and few have a Struct.
_PLACE = r" - at `\$(?P<path>.*)`$"
_PART = r"\.([^.\[]+)|\[(\d+|\.\.\.)\]"

#: msgspec quotes the value that it did not expect, and a value may be secret.
_VALUE = r"(?s)^(Invalid (?:enum )?value) .*"


def has_struct(type_: Any) -> bool:
    """Tell whether msgspec reads this type, and a Struct is in it."""
    if "msgspec" not in sys.modules:
        return False
    from msgspec import inspect  # noqa: PLC0415 - an optional library, loaded already

    try:
        found = set(_kinds(inspect.type_info(type_), set()))
    except Exception:  # a type that it does not know; its errors for that differ
        return False
    return "StructType" in found and not found & {"CustomType", "RawType", "ExtType"}


def faults_of_struct(error: BaseException) -> list[dict[str, Any]] | None:
    """Return what msgspec says of a value, without the value; None if this is another error."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is None or not isinstance(error, msgspec.MsgspecError):
        return None
    text = str(error)
    place = re.search(_PLACE, text)
    message = re.sub(_VALUE, r"\1", text if place is None else text[: place.start()])
    parts = [] if place is None else re.findall(_PART, place["path"])
    found = tuple(int(index) if index.isdigit() else name or index for name, index in parts)
    return [{"loc": found, "msg": message, "type": "msgspec"}]


class StructAdapter:
    """Reads and writes values of a type as `json_types.Adapter` asks. Errors are msgspec's, which are ValueErrors."""

    def __init__(self, type_: Any) -> None:
        import msgspec  # noqa: PLC0415 - an optional library, loaded already

        self._type = type_
        self._msgspec = msgspec
        self._decode = msgspec.json.Decoder(type_).decode

    def validate_json(self, text: str, /) -> Any:
        return self._decode(text)

    def validate_python(self, value: Any, /) -> Any:
        """Make a value from an object. A Struct's constructor checks nothing, so even one of the right class is looked through."""
        made = self._msgspec.convert(self.dump_python(value, mode="json"), self._type)
        return made if isinstance(value, dict | list | str | int | float | None) else value

    def dump_python(self, value: Any, /, **_: Any) -> Any:
        return self._msgspec.to_builtins(value, str_keys=True)

    def json_schema(self, **_: Any) -> dict[str, Any]:
        schema: dict[str, Any] = self._msgspec.json.schema(self._type)
        return schema


def _kinds(node: Any, seen: set[int]) -> list[str]:
    """Return the kinds of type in a description of a type."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    if isinstance(node, tuple):
        return [kind for each in node for kind in _kinds(each, seen)]
    if type(node).__module__ != "msgspec.inspect":
        return []
    inner = [kind for name in type(node).__struct_fields__ for kind in _kinds(getattr(node, name), seen)]
    return [type(node).__name__, *inner]
