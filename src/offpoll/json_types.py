"""Reads values of a type from JSON and writes them to it, by pydantic or msgspec if the type or the value needs it.

Decides which types are plain: JSON's own types, whose values need no conversion. An app whose kinds take and return nothing else
starts without pydantic, which is a third of a function's cold start. A type with a msgspec Struct in it goes to msgspec, and all other
types and values to pydantic. Plain types give the values that pydantic would give, and the same words in an error.
"""

from __future__ import annotations

import json
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol

from offpoll.errors import InvalidInput
from offpoll.values.structs import StructAdapter, faults_of_struct, has_struct
from offpoll.values.typed_dicts import readable

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter

__all__ = ["Adapter", "Plain", "adapter_of", "faults", "is_plain", "refuse_constant", "refuse_json_text", "schema_of"]

#: Types whose values JSON has too, each with the Python type of its values; None: anything.
_PLAIN: tuple[tuple[Any, type | None], ...] = (
    (Any, None),
    (dict, dict),
    (dict[str, Any], dict),
    (list, list),
    (list[Any], list),
    (str, str),
    (bool, bool),
    (int, int),
    (type(None), type(None)),
)


#: Pydantic takes or refuses what is nested deeper, loops included: it has its own limits, 200 levels for text.
DEEP = 100


class Adapter(Protocol):
    """Reads and writes values of a type, as `pydantic.TypeAdapter` does. Errors are the library's, which are ValueErrors; see `faults`."""

    def validate_json(self, text: str, /) -> Any:
        """Make a value from JSON text."""

    def validate_python(self, value: Any, /) -> Any:
        """Make a value from an object."""

    def dump_python(
        self,
        value: Any,
        /,
        *,
        mode: Literal["json", "python"],
        by_alias: bool | None = None,
        round_trip: bool = False,
        warnings: bool | Literal["none", "warn", "error"] = True,
    ) -> Any:
        """Return the JSON form of a value."""

    def json_schema(self, *, mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
        """Return the type's JSON Schema."""


def adapter_of(type_: Any) -> Adapter:
    """Return an adapter that reads and writes values of a type.

    Raises:
        TypeError: the type has no JSON form that pydantic or msgspec knows.
    """
    for plain, expected in _PLAIN:
        if type_ == plain:
            return Plain(type_, expected)
    return StructAdapter(type_) if has_struct(type_) else _by_pydantic(type_)


def schema_of(adapter: Adapter, *, mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
    """Return the JSON Schema of an adapter's type; an empty one, which allows everything, if there is no schema for it."""
    import warnings  # noqa: PLC0415 - only for descriptions, which no request asks for

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pydantic's, about defaults that have no JSON form
            if not hasattr(adapter, "core_schema"):
                return adapter.json_schema(mode=mode)
            from offpoll.values.input_schema import InputSchema  # noqa: PLC0415 - imports pydantic, which is there then

            by_pydantic: Any = adapter
            described: dict[str, Any] = by_pydantic.json_schema(mode=mode, schema_generator=InputSchema)
            return described
    except (ValueError, TypeError, RuntimeError):  # pydantic's PydanticInvalidForJsonSchema is a RuntimeError
        return {}


def faults(error: BaseException) -> list[dict[str, Any]] | None:
    """Return what is wrong with a value, without the value: `loc`, `msg` and `type` each. None if the error is not about a value."""
    if not isinstance(error, ValueError):
        return None
    found = faults_of_struct(error)
    if found is not None:
        return found
    try:
        from pydantic import ValidationError  # noqa: PLC0415 - loaded already, if it raised the error
    except ImportError:
        return None
    if not isinstance(error, ValidationError):
        return None
    return [dict(each) for each in error.errors(include_url=False, include_input=False, include_context=False)]


def refuse_json_text(value: object) -> None:
    """Refuse a `str` that is itself a JSON object or array: its sender meant the object, but a reader would get a string.

    Raises:
        InvalidInput: it says what to pass instead.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return
        raise InvalidInput("This str is JSON text. Pass the object that it stands for, or the text as bytes, which offpoll reads as JSON.")


def refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have (RFC 8259): for `parse_constant`. Raises ValueError."""
    raise ValueError(f"{name} is not JSON")


def _by_pydantic(type_: Any, config: ConfigDict | None = None) -> TypeAdapter[Any]:
    from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter  # noqa: PLC0415 - 128 ms of import
    from pydantic_core import SchemaError  # noqa: PLC0415 - the same

    try:
        return TypeAdapter(readable(type_), config=config)
    except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError) as error:
        raise TypeError(str(error)) from error


class Plain:
    """Reads and writes values of a plain type.

    Args:
        type_: the type.
        expected: what its values are; None: anything.
    """

    def __init__(self, type_: Any, expected: type | None) -> None:
        self._type, self._expected = type_, expected

    def validate_json(self, text: str, /) -> Any:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # another producer's message; pydantic's words say what is wrong with it
            return self._full.validate_json(text)
        return value if self.has(value, text) else self._full.validate_json(text)

    def has(self, value: Any, text: str) -> bool:
        """Tell whether a value, decoded from this JSON text, is one of this type as it is."""
        return self._fits(value) and (text.count("[") + text.count("{") <= DEEP or is_plain(value))

    def validate_python(self, value: Any, /) -> Any:
        return value if self._fits(value) and is_plain(value) else self._full.validate_python(value)

    def dump_python(self, value: Any, /, *, mode: Literal["json", "python"], **options: Any) -> Any:
        return value if self._fits(value) and is_plain(value) else self._full.dump_python(value, mode=mode, **options)

    def json_schema(self, *, mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
        return self._full.json_schema(mode=mode)

    def _fits(self, value: Any) -> bool:
        return self._expected in (None, type(value))

    @cached_property
    def _full(self) -> TypeAdapter[Any]:
        from pydantic import ConfigDict  # noqa: PLC0415 - as in `_by_pydantic`

        return _by_pydantic(self._type, ConfigDict(ser_json_inf_nan="constants"))  # else NaN would silently become null


def is_plain(value: Any, depth: int = 0) -> bool:
    """Tell whether an object is its own JSON form. An object of a subclass is not: it may have another form."""
    kind = type(value)
    if kind is dict:
        return depth < DEEP and all(type(name) is str and is_plain(each, depth + 1) for name, each in value.items())
    if kind is list:
        return depth < DEEP and all(is_plain(each, depth + 1) for each in value)
    return kind in (str, int, bool, type(None)) or (kind is float and isfinite(value))
