"""Generated pydantic models, and objects of them: any fields, types, aliases and configurations that users combine."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, SecretStr, create_model

__all__ = ["Made", "lossless", "lossy"]


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"


class Made(NamedTuple):
    """A generated model, and an object of it."""

    model: type[BaseModel]
    value: BaseModel


class Typed(NamedTuple):
    """A type, and a strategy for its values."""

    type: Any
    values: st.SearchStrategy[Any]


#: Types whose every value has a JSON form that is read as the same value.
LOSSLESS = (
    Typed(int, st.integers()),
    Typed(str, st.text(max_size=8)),
    Typed(bool, st.booleans()),
    Typed(float, st.floats(allow_nan=False, allow_infinity=False)),
    Typed(datetime, st.datetimes(timezones=st.just(UTC))),
    Typed(date, st.dates()),
    Typed(time, st.times()),
    Typed(timedelta, st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=10_000))),
    Typed(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    Typed(uuid.UUID, st.uuids()),
    Typed(PurePosixPath, st.sampled_from(["/a", "b/c", "."]).map(PurePosixPath)),
    Typed(Size, st.sampled_from(Size)),
)

#: Types some of whose values have no JSON form, or are read as others.
LOSSY = (
    Typed(bytes, st.binary(max_size=4)),
    Typed(float, st.floats()),
    Typed(SecretStr, st.text(max_size=3).map(SecretStr)),
    Typed(int | str, st.integers() | st.text("0123456789", max_size=3)),
    Typed(str | date, st.dates() | st.dates().map(str)),
    Typed(float | int | None, st.floats() | st.integers() | st.none()),
    Typed(Any, st.integers() | st.dates() | st.tuples(st.integers()) | st.sets(st.integers())),
)

_NAMES = st.sampled_from(["one", "two_words", "three", "Four", "class_"])

_ALIASES: st.SearchStrategy[Callable[[str], dict[str, Any]]] = st.sampled_from([
    lambda name: {},
    lambda name: {"alias": f"{name}-alias"},
    lambda name: {"validation_alias": f"{name}-read"},
    lambda name: {"serialization_alias": f"{name}-written"},
    lambda name: {"validation_alias": f"{name}-read", "serialization_alias": f"{name}-written"},
    lambda name: {"validation_alias": AliasChoices(f"{name}-first", f"{name}-second")},
    lambda name: {"validation_alias": AliasPath("shared", name)},
    lambda name: {"validation_alias": AliasChoices(AliasPath(f"{name}-list", 1), f"{name}-else")},
])  # fmt: skip

_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "populate_by_name": st.booleans(),
        "strict": st.booleans(),
        "frozen": st.booleans(),
        "extra": st.sampled_from(["allow", "forbid", "ignore"]),
        "ser_json_timedelta": st.sampled_from(["iso8601"]),
        "serialize_by_alias": st.booleans(),
    },
)

_LOSSY_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "ser_json_timedelta": st.sampled_from(["float", "iso8601"]),
        "ser_json_bytes": st.sampled_from(["utf8", "base64", "hex"]),
        "val_json_bytes": st.sampled_from(["utf8", "base64", "hex"]),
        "ser_json_inf_nan": st.sampled_from(["null", "constants", "strings"]),
        "use_enum_values": st.booleans(),
    },
)


def _wrapped(inner: Typed) -> st.SearchStrategy[Typed]:
    choices = [
        Typed(list[inner.type], st.lists(inner.values, max_size=3)),
        Typed(dict[str, inner.type], st.dictionaries(st.text(max_size=3), inner.values, max_size=3)),
        Typed(tuple[inner.type, int], st.tuples(inner.values, st.integers())),
        Typed(inner.type | None, st.none() | inner.values),
    ]
    return st.sampled_from(choices)


def _types(leaves: tuple[Typed, ...], config: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Typed]:
    leaf = st.sampled_from(leaves)
    nested = _models(leaf | leaf.flatmap(_wrapped), config)
    return leaf | leaf.flatmap(_wrapped) | nested | nested.flatmap(_wrapped)


@st.composite
def _models(draw: st.DrawFn, types: st.SearchStrategy[Typed], configs: st.SearchStrategy[dict[str, Any]]) -> Typed:
    fields, values = {}, {}
    for name in draw(st.lists(_NAMES, max_size=4, unique=True)):
        typed = draw(types)
        extra = draw(_ALIASES)(name)
        default = {} if draw(st.booleans()) else {"default": draw(typed.values)}
        fields[name] = (typed.type, Field(**default, **extra))
        values[name] = typed.values if not default else typed.values | st.just(_LEFT_OUT)
    model: type[BaseModel] = create_model("Generated", __config__=ConfigDict(**draw(configs)), **fields)  # type: ignore[call-overload, typeddict-item]

    def make(given: dict[str, Any]) -> BaseModel:
        return model.model_construct(**{name: value for name, value in given.items() if value is not _LEFT_OUT})

    return Typed(model, st.fixed_dictionaries(values).map(make))


_LEFT_OUT = object()


@st.composite
def _made(draw: st.DrawFn, leaves: tuple[Typed, ...], config: st.SearchStrategy[dict[str, Any]]) -> Made:
    typed = draw(_models(_types(leaves, config), config))
    return Made(model=typed.type, value=draw(typed.values))


def lossless() -> st.SearchStrategy[Made]:
    """Return a strategy for objects that JSON holds completely."""
    return _made(LOSSLESS, _CONFIGS)


def lossy() -> st.SearchStrategy[Made]:
    """Return a strategy for objects of which JSON may lose something."""
    return _made(LOSSLESS + LOSSY, st.tuples(_CONFIGS, _LOSSY_CONFIGS).map(lambda both: {**both[0], **both[1]}))
