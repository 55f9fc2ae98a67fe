"""Writes results as JSON, as OpenAPI describes them: to readers in any language, under the names and as the serializers of the type say.

Decides what is not a result: an object whose JSON would differ from it, unless its type says so: asterisks for a secret, null for NaN,
another class for the reader, or a subclass without its fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from offpoll.json_types import Adapter, Plain
from offpoll.object_json import adapter_of_class, by_hand, first_change, to_text, written
from offpoll.values.changes import LossError, changes, secrets

__all__ = ["result_form", "result_to_json", "secret_in_schema"]

#: How pydantic writes a secret, whatever it is.
_ASTERISKS = "*" * 10

#: Types of values that hold no others, and are not masked.
_LEAVES = frozenset({str, int, bool, type(None), bytes})

#: Modules that have only such types. Not imported here: every client would pay for them.
_LEAF_MODULES = frozenset({"datetime", "decimal", "uuid"})


def result_to_json(value: object) -> str:
    """Write a result whose type is not known as JSON, as `to_json` does, but as its class's serializers say.

    Raises:
        InvalidInput: it has no JSON form, or a secret in it would become asterisks, or it is JSON text in a `str`.
    """
    return to_text(value, _own_result)


def result_form(adapter: Adapter, value: Any) -> Any:
    """Return the JSON form of a result of a known type, under the names that OpenAPI gives.

    Raises:
        LossError: its JSON would differ from the object, and its type does not declare that.
        Exception: it has no JSON form; the user's own serializers may raise anything.
    """
    form = adapter.dump_python(value, mode="json", by_alias=True, warnings="error")
    if form is value or _is_flat(adapter, value):
        return form
    try:
        text = json.dumps(form, allow_nan=False)
    except ValueError:  # NaN or Infinity; a type can say that it is written as text
        form = written(adapter, value, by_alias=True)
        if first_change(adapter, value, form) is not None:
            raise
        return form
    _refuse_losses(adapter, value, form, text)
    return form


def _is_flat(adapter: Adapter, value: Any) -> bool:
    """Tell whether a result is of the declared class itself, with nothing inside that could be lost. Most are, and need no check."""
    schema = getattr(adapter, "core_schema", None)
    if not isinstance(schema, dict) or schema.get("cls") is not type(value) or getattr(value, "__pydantic_extra__", None):
        return False
    return all(_is_leaf(each) for each in getattr(value, "__dict__", {"": ...}).values())


def _is_leaf(value: Any) -> bool:
    of = type(value)
    return of in _LEAVES or of.__module__ in _LEAF_MODULES or (of is float and isfinite(value))


def _refuse_losses(adapter: Adapter, value: Any, form: Any, text: str) -> None:
    for masked in secrets(value) if _ASTERISKS in text else ():
        raise LossError(str(masked))
    if isinstance(adapter, Plain):
        return
    try:
        again = adapter.validate_json(text)
    except Exception:  # what it is written as is not what it is read from: its serializers say so
        return
    for change in changes(value, again):
        if change.what == "class" or (change.what == "subclass" and _has_more(adapter, value, form)):
            raise LossError(f"{change}. Declare the class that the handler returns; a union needs a discriminator")
        # A serializer may make null of NaN, and then does so in Python's mode too. Without one, pydantic does it in a field without a type.
        if change.what == "number" and _has_endless(adapter.dump_python(value, mode="python", warnings=False)):
            raise LossError(str(change))


def _has_more(adapter: Adapter, value: Any, form: Any) -> bool:
    """Tell whether an object has fields that its declared type leaves out: those of a subclass, unless they are `SerializeAsAny`."""
    dump = getattr(adapter, "dump_json", None)  # msgspec leaves nothing out
    try:
        return dump is not None and bool(json.loads(dump(value, by_alias=True, warnings=False, serialize_as_any=True)) != form)
    except ValueError:  # pydantic 2.11 takes `SerializeAsAny` within such a dump for a circle
        return False


def _has_endless(form: Any) -> bool:
    if isinstance(form, Mapping | list | tuple):
        return any(_has_endless(each) for each in (form.values() if isinstance(form, Mapping) else form))
    return isinstance(form, float) and not isfinite(form)


def secret_in_schema(adapter: Adapter) -> bool:
    """Tell whether pydantic would write asterisks for a field of this type, whatever its value."""
    schema = getattr(adapter, "core_schema", None)
    return isinstance(schema, dict) and _masks(schema, set())


def _own_result(value: Any) -> Any:
    adapter = adapter_of_class(value)
    if adapter is None:
        return by_hand(value)
    return result_form(adapter, value)


def _masks(node: Any, seen: set[int]) -> bool:
    """Look for pydantic's own serializer of secrets in a core schema, where no other serializer, nor `exclude`, comes before it."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    if isinstance(node, list | tuple):
        return any(_masks(each, seen) for each in node)
    if not isinstance(node, dict) or node.get("serialization_exclude") is True:
        return False
    function = (node.get("serialization") or {}).get("function") if isinstance(node.get("serialization"), dict) else None
    if function is not None:
        return function.__module__ == "pydantic.types" and "secret" in function.__name__
    return any(_masks(each, seen) for each in node.values())
