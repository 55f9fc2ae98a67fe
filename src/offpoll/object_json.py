"""Writes objects as JSON so that nothing is lost on the way, or says what would be.

An input is an object on one side and an object on the other:

    object ──write──► JSON ──read──► object        the reader's object must be the same, or the writer learns what would change

Decides how to write an input: under the names by which its type reads it, and else under those by which its type writes. Each form is read
again and compared before anything is sent. That costs a second reading, and only objects pay for it: JSON that comes as bytes, or as a dict
of JSON's own types, is checked by nobody here.

A result goes one way, to readers in any language, as the type's serializers say and OpenAPI describes it. What nobody has said is
refused: a secret that becomes asterisks, and a class that a reader would take for another.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

from offpoll.errors import InvalidInput
from offpoll.json_types import Adapter, Plain, adapter_of, faults, is_plain, refuse_constant, refuse_json_text
from offpoll.values.changes import Change, changes, secrets
from offpoll.values.input_names import under_input_names

__all__ = ["NO_INPUT", "LossError", "input_form", "result_form", "result_to_json", "secret_in_schema", "to_json", "why_unwritable"]

#: The input of a kind that takes none, as requests and messages carry it.
NO_INPUT = b"{}"

#: How pydantic writes a secret, whatever it is.
_ASTERISKS = "*" * 10


class LossError(ValueError):
    """A result's JSON would say something else than the object. The message names the place."""


def to_json(value: object) -> str:
    """Write an input whose reader is not known as JSON. Bytes are taken as JSON.

    Pydantic models, dataclasses, NamedTuples and msgspec Structs are written so that their own class reads the same object, also inside of
    lists and dicts.

    Raises:
        InvalidInput: it has no JSON form, or would not be read as the same object, or is JSON text in a `str`.
    """
    return _to_json(value, _own_form)


def result_to_json(value: object) -> str:
    """Write a result whose type is not known as JSON, as `to_json` does, but as its class's serializers say.

    Raises:
        InvalidInput: it has no JSON form, or a secret in it would become asterisks, or it is JSON text in a `str`.
    """
    return _to_json(value, _own_result)


def input_form(adapter: Adapter, value: Any) -> Any:
    """Return the JSON form of an input for a reader of a known type. What is JSON already stays as it is, whether it is taken or not.

    Raises:
        InvalidInput: the reader would get another object.
        Exception: it has no JSON form; the user's own serializers may raise anything.
    """
    if is_plain(value):
        return value
    if not isinstance(adapter, Plain):
        try:
            expected = adapter.validate_python(value)
        except Exception:  # not an object of this type, but maybe one whose JSON form fits; the reader says what is wrong with that
            return json.loads(to_json(value))
        return _faithful(adapter, expected)
    form = json.loads(to_json(value))
    lost = next((each for each in changes(value, form) if each.words in ("it is lost", "it has more keys")), None)
    if lost is not None:
        raise InvalidInput(f"JSON has only text as keys: {lost.at}")
    return form


def result_form(adapter: Adapter, value: Any) -> Any:
    """Return the JSON form of a result of a known type, under the names that OpenAPI gives.

    Raises:
        LossError: its JSON would say something else than the object, and its type has not said so.
        Exception: it has no JSON form; the user's own serializers may raise anything.
    """
    form = adapter.dump_python(value, mode="json", by_alias=True, warnings="error")
    if form is value:
        return form
    try:
        text = json.dumps(form, allow_nan=False)
    except ValueError:  # NaN or Infinity; a type can say that it is written as text
        form = _written(adapter, value, by_alias=True)
        if _change(adapter, value, form) is not None:
            raise
        return form
    _refuse_losses(adapter, value, form, text)
    return form


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


def why_unwritable(value: Any, error: BaseException) -> Change:
    """Say why a value has no JSON form, or not that of its type. The place is for logs only: a key of a dict may be private."""
    found = faults(error)
    if found is not None:
        words = "; ".join(f"{'.'.join(str(part) for part in each['loc']) or 'it'}: {each['msg']}" for each in found)
        return Change(at="", what="class", words=words)
    if isinstance(error, LossError | InvalidInput):
        return Change(at="", what="class", words=str(error))
    from offpoll.values.unwritable import unwritable  # noqa: PLC0415 - only after an error

    try:
        where = unwritable(value)
    except RecursionError:
        where = Change(at="", what="value", words="it is nested too deeply")
    return where or Change(at="", what="class", words=f"a serializer or validator raised {type(error).__name__}")


def _to_json(value: object, form: Callable[[Any], Any]) -> str:
    refuse_json_text(value)
    try:
        if isinstance(value, bytes):
            json.loads(value, parse_constant=refuse_constant)
            return value.decode()
        whole = form(value) if isinstance(value, tuple) and hasattr(value, "_fields") else value
        return json.dumps(whole, separators=(",", ":"), allow_nan=False, default=form)
    except InvalidInput:
        raise
    except Exception as error:  # the user's own serializers may raise anything
        raise InvalidInput(f"A {type(value).__name__} cannot be written as JSON: {error or type(error).__name__}") from error


def _own_form(value: Any) -> Any:
    """Return the JSON form of an object that its own class reads as the same object."""
    adapter = _adapter_of_class(value)
    if adapter is None:
        return _by_hand(value)
    dump = getattr(value, "model_dump", None)
    own = (lambda: dump(mode="json")) if dump is not None and not _is_pydantics(dump) else None
    return _faithful(adapter, value, own=own)


def _own_result(value: Any) -> Any:
    adapter = _adapter_of_class(value)
    if adapter is None:
        return _by_hand(value)
    return result_form(adapter, value)


def _by_hand(value: Any) -> Any:
    """Return the JSON form of an object that no library reads: of a dataclass where pydantic is missing, and of what has a `model_dump`."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _adapter_of_class(value: Any) -> Adapter | None:
    """Return an adapter of an object's own class; None if it is no class with fields, or if pydantic is needed and missing."""
    of: Any = type(value)
    fields = ("__pydantic_fields__", "__dataclass_fields__", "__struct_fields__", "_fields")
    if not any(hasattr(of, each) for each in fields):
        return None
    try:
        return _cached_adapter_of(of)
    except (ImportError, TypeError, NameError):  # no pydantic, or a class that it does not know
        return None


@lru_cache(maxsize=64)
def _cached_adapter_of(of: Any) -> Adapter:
    return adapter_of(of)


def _is_pydantics(dump: Any) -> bool:
    return str(getattr(dump, "__module__", "")).partition(".")[0] == "pydantic"


def _faithful(adapter: Adapter, value: Any, *, own: Callable[[], Any] | None = None) -> Any:
    """Return the first JSON form of an object that is read as the same object.

    Raises:
        InvalidInput: there is none; it names the first place where the object would change.
    """
    refused: str | None = None
    tried: list[Any] = []
    for form in _forms(adapter, value, own):
        if form not in tried:
            tried.append(form)
            found = _change(adapter, value, form)
            if found is None:
                return form
            refused = refused or str(found)
    raise InvalidInput(
        f"this {type(value).__name__} would reach the handler as another one: {refused}. Change its type so that it can be read from what "
        "it writes, or pass its JSON form: a dict, or JSON as bytes."
    )


def _forms(adapter: Adapter, value: Any, own: Callable[[], Any] | None) -> Iterator[Any]:
    if own is not None:
        yield own()
    yield under_input_names(value, _written(adapter, value, by_alias=False, round_trip=True, warnings=False))
    yield _written(adapter, value, by_alias=True, round_trip=True, warnings=False)
    # A default need not be what the field's own validator makes of it.
    yield under_input_names(value, _written(adapter, value, by_alias=False, round_trip=True, warnings=False, exclude_unset=True))


def _written(adapter: Adapter, value: Any, **options: Any) -> Any:
    """Return the JSON form of an object as its library writes it to text: NaN as a string, for one, if the type says so."""
    dump = getattr(adapter, "dump_json", None)
    return adapter.dump_python(value, mode="json", **options) if dump is None else json.loads(dump(value, **options))


def _change(adapter: Adapter, value: Any, form: Any) -> Change | None:
    try:
        again = adapter.validate_json(json.dumps(form, allow_nan=False))
    except Exception as error:  # the user's own validators may raise anything
        masked = next(secrets(value), None)
        if masked is not None:
            return masked
        found = faults(error)
        if not found:
            return why_unwritable(value, error)
        at = ".".join(str(part) for part in found[0]["loc"])
        return Change(at=at, what="value", words=f"it cannot be read again ({found[0]['msg']})")
    return next(changes(value, again), None)


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
