"""What counts as a change between an object and what was read again, and what is told of it."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from offpoll.values.changes import changes, fields_of, secrets

NAN = float("nan")


class Colour(StrEnum):
    RED = "red"


class Pair(BaseModel):
    left: Any = None
    right: Any = None


class Open(BaseModel, extra="allow"):
    pass


class Child(Pair):
    pass


@dataclasses.dataclass
class Point:
    x: Any
    y: int = dataclasses.field(default=0, compare=False)


class Bare:
    def __init__(self, name: Any) -> None:
        self.name = name


class Raising:
    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1), (1, 1.0), (NAN, float("nan")), (Decimal("NaN"), Decimal("NaN")), (Colour.RED, "red"), ([NAN], [float("nan")]),
     (Pair(left=NAN), Pair(left=float("nan"))), (Bare([1]), Bare([1])), ({"a": (1, 2)}, {"a": (1, 2)}), ({1, 2}, {2, 1}),
     (Point(1, 2), Point(1, 2)), (Pair(left=1), Pair.model_construct(left=1, right=None))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_the_same(before: Any, after: Any) -> None:
    """NaN is NaN, an enum of texts is its text, and objects without an `__eq__` are their attributes."""
    assert list(changes(before, after)) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (1, 2, "it is read as another value"),
        (True, 1, "a bool is read as an int"),
        ((1,), [1], "a tuple is read as a list"),
        ([1], [1, 2], "it is read with another length"),
        ({"a": 1}, {"b": 1}, "a: it is lost"),
        ({"a": 1}, {"a": 1, "b": 2}, "it has more keys"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a.0.b: it is read as another value"),
        ([Child()], [Pair()], "0: a Child is read as a Pair"),
        (Pair(left=Point(1)), Pair(left={"x": 1}), "left: a Point is read as a dict"),
        (Point(1, 2), Point(1, 3), "y: it is read as another value"),
        (Bare(1), Bare(2), "it is read as another value"),
        (Raising(), Raising(), "it is read as another value"),
        (NAN, None, "NaN and Infinity are not JSON, and become null"),
        (Pair(left=SecretStr("hunter2")), Pair(left=SecretStr("**********")), "left: a SecretStr is written as asterisks"),
        (Open(), Open(more=2), "more: it is new"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_changed(before: Any, after: Any, told: str) -> None:
    """The first change is told with its place and without the value."""
    assert str(next(changes(before, after))) == told


def test_fields() -> None:
    """Models, dataclasses and Structs have fields; classes themselves and other objects have none."""
    assert fields_of(Pair(left=1)) == {"left": 1, "right": None}
    assert fields_of(Point(1)) == {"x": 1, "y": 0}
    assert fields_of(Bare(1)) is fields_of(Pair) is fields_of({}) is None


def test_secrets() -> None:
    """Every secret is found, however deep."""
    hidden = {"a": [Pair(left=Point(SecretStr("x")))], "b": (SecretStr("y"),), "c": 1}
    assert [each.at for each in secrets(hidden)] == ["a.0.left.x", "b.0"]
