"""Writes objects as JSON without loss, or says what would be lost.

An input is an object on one side and an object on the other:

    object ──write──► JSON ──read──► object        the reader's object must be the same, or the writer learns what would change

Decides how to write an input: under the names by which its type reads it, and else under those by which its type writes. Each form is read
again and compared before anything is sent. Only objects pay for that second reading: JSON that comes as bytes, or as a dict
of JSON's own types, is not checked here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from offpoll.errors import InvalidInput
from offpoll.json_types import Adapter, Plain, adapter_of, faults, is_plain, refuse_constant, refuse_json_text
from offpoll.values.changes import Change, LossError, changes, secrets
from offpoll.values.input_names import under_input_names

__all__ = [
    "NO_INPUT",
    "adapter_of_class",
    "by_hand",
    "first_change",
    "input_form",
    "to_json",
    "to_text",
    "why_unwritable",
    "written",
]

#: The input of a kind that takes none, as requests and messages carry it.
NO_INPUT = b"{}"


def to_json(value: object) -> str:
    """Write an input whose reader is not known as JSON. Bytes are taken as JSON.

    Pydantic models, dataclasses, NamedTuples and msgspec Structs are written so that their own class reads the same object, also inside of
    lists and dicts.

    Raises:
        InvalidInput: it has no JSON form, or would not be read as the same object, or is JSON text in a `str`.
    """
    return to_text(value, _own_form)


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
        except Exception:  # not an object of this type, but its JSON form may fit; the reader says what is wrong with it
            return json.loads(to_json(value))
        return _faithful(adapter, expected)
    form = json.loads(to_json(value))
    lost = next((each for each in changes(value, form) if each.words in ("it is lost", "it has more keys")), None)
    if lost is not None:
        raise InvalidInput(f"JSON has only text as keys: {lost.at}")
    return form


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


def to_text(value: object, form: Callable[[Any], Any]) -> str:
    """Write a value as JSON. `form` returns the JSON form of an object.

    Raises:
        InvalidInput: it has none, or is JSON text in a `str`.
    """
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
    adapter = adapter_of_class(value)
    if adapter is None:
        return by_hand(value)
    dump = getattr(value, "model_dump", None)
    own = (lambda: dump(mode="json")) if dump is not None and not _is_pydantics(dump) else None
    return _faithful(adapter, value, own=own)


def by_hand(value: Any) -> Any:
    """Return the JSON form of an object that no library reads: of a dataclass where pydantic is missing, and of what has a `model_dump`."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def adapter_of_class(value: Any) -> Adapter | None:
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
            found = first_change(adapter, value, form)
            if found is None:
                return form
            refused = refused or str(found)
    raise InvalidInput(
        f"this {type(value).__name__} would reach the handler as a different one: {refused}. Change its type so that it reads what "
        "it writes, or pass its JSON form: a dict, or JSON as bytes."
    )


def _forms(adapter: Adapter, value: Any, own: Callable[[], Any] | None) -> Iterator[Any]:
    if own is not None:
        yield own()
    yield under_input_names(value, written(adapter, value, by_alias=False, round_trip=True, warnings=False))
    yield written(adapter, value, by_alias=True, round_trip=True, warnings=False)
    # A default need not be what the field's own validator makes of it.
    yield under_input_names(value, written(adapter, value, by_alias=False, round_trip=True, warnings=False, exclude_unset=True))


def written(adapter: Adapter, value: Any, **options: Any) -> Any:
    """Return the JSON form of an object as its library writes it to text: NaN as a string, for one, if the type says so."""
    dump = getattr(adapter, "dump_json", None)
    return adapter.dump_python(value, mode="json", **options) if dump is None else json.loads(dump(value, **options))


def first_change(adapter: Adapter, value: Any, form: Any) -> Change | None:
    """Return what would differ in an object read from this JSON form; None if nothing."""
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
