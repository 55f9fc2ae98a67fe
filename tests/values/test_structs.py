"""msgspec's Structs: which types go to msgspec, and what it says of values."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from offpoll.json_types import Plain, adapter_of, faults
from offpoll.values.structs import StructAdapter, has_struct


class Size(enum.Enum):
    SMALL = "s"


class Item(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    size: Size = Size.SMALL


class Tree(msgspec.Struct):
    kids: list[Tree] = []
    items: dict[str, Item] = {}


class Model(BaseModel):
    number: int


@dataclasses.dataclass
class Data:
    item: Item


class Dict(TypedDict):
    items: list[Item]


class Pair(NamedTuple):
    item: Item
    number: int


class Both(msgspec.Struct):
    model: Model


@pytest.mark.parametrize("type_", [Item, Tree, list[Item], dict[str, Item], Item | None, tuple[Item, ...], Data, Dict, Pair], ids=repr)
def test_types_with_a_struct(type_: Any) -> None:
    """A Struct anywhere in a type makes it msgspec's."""
    assert has_struct(type_)
    assert isinstance(adapter_of(type_), StructAdapter)


@pytest.mark.parametrize("type_", [int, dict, Model, list[Model], Both, dict[str, Model | Item], msgspec.Raw, Any, "Item"], ids=repr)
def test_types_without_one(type_: Any) -> None:
    """Everything else is not, and neither is a Struct beside a class that msgspec does not know."""
    assert not has_struct(type_)


def test_plain_types_stay_plain() -> None:
    """With msgspec loaded, JSON's own types need no library still."""
    assert isinstance(adapter_of(dict), Plain)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{"items": {"a": {"number": "x"}}}', ("items", "...", "number"), "Expected `int`, got `str`"),
        ('{"kids": [{}, {"kids": [3]}]}', ("kids", 1, "kids", 0), "Expected `object`, got `int`"),
        ('{"items": {"a": {"number": 1, "size": "hunter2"}}}', ("items", "...", "size"), "Invalid enum value"),
        ('{"items": {"a": {}}}', ("items", "..."), "Object missing required field `number`"),
        ("3", (), "Expected `object`, got `int`"),
        ("{", (), "Input data was truncated"),
    ],
)
def test_faults(text: str, place: tuple[object, ...], words: str) -> None:
    """A fault has its place and msgspec's words, without the value."""
    with pytest.raises(ValueError, match=r".") as raised:
        adapter_of(Tree).validate_json(text)
    assert faults(raised.value) == [{"loc": place, "msg": words, "type": "msgspec"}]


def test_results_are_checked() -> None:
    """A Struct's constructor checks nothing, so a result is looked through; JSON's own types become the Struct."""
    adapter = adapter_of(list[Item])
    item = Item(1)
    assert adapter.validate_python([item]) == adapter.validate_python([{"number": 1}]) == [item]
    with pytest.raises(ValueError, match="Expected `int`"):
        adapter.validate_python([Item("x")])  # type: ignore[arg-type]
