"""`typing.TypedDict` for pydantic: which keys must be there, and of which type."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from offpoll.values.typed_dicts import readable


class Inner(TypedDict):
    number: Annotated[int, Field(ge=1)]


class Whole(TypedDict, total=False):
    inner: Required[Inner]
    inners: list[Inner]
    maybe: NotRequired[Inner | None]


class Loop(TypedDict):
    loops: list[Loop]


@pytest.mark.parametrize("value", [{"inner": {"number": 1}}, {"inner": {"number": 1}, "inners": [{"number": 2}], "maybe": None}], ids=repr)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_it_takes(value: Any, wrapped: bool) -> None:
    """Required and other keys are told apart, also where annotations are text, and types inside of types are read."""
    type_: Any = dict[str, Annotated[Whole | None, "mine"]] if wrapped else Whole
    value = {"key": value} if wrapped else value
    assert TypeAdapter(readable(type_)).validate_python(value) == value


@pytest.mark.parametrize("value", [{}, {"inner": {}}, {"inner": {"number": 0}}, {"inner": {"number": 1}, "inners": [{}]}], ids=repr)
def test_what_it_refuses(value: Any) -> None:
    """A missing required key and a wrong value are refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(readable(Whole)).validate_python(value)


@pytest.mark.parametrize("type_", [int, list[int], dict[str, int] | None, Literal["a"], Annotated[int, Field(ge=1)], Any], ids=repr)
def test_other_types_stay(type_: Any) -> None:
    """A type without a TypedDict in it is the same afterwards."""
    assert readable(type_) == type_


def test_one_that_contains_itself() -> None:
    """A TypedDict that contains itself works from Python 3.12 on. Before, the error says which one does."""
    if sys.version_info >= (3, 12):
        assert readable(Loop) is Loop
    else:
        with pytest.raises(TypeError, match="typing_extensions"):
            readable(Loop)
