"""The input with which a kind is tried, and which OpenAPI shows."""

from __future__ import annotations

import dataclasses
import enum
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field

from offpoll.cli.dev.example import example_input as the_command_lines
from offpoll.example_input import example_input
from offpoll.kind import Kind


class OfTheWhole(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"sku": "A1"}, {"sku": "B2"}]})
    sku: str


class Address(BaseModel):
    city: str = Field(examples=["Cork"])
    country: Literal["IE"]


class OfTheParts(BaseModel):
    sku: str = Field(examples=["A1", "B2"])
    quantity: int = 3
    note: str | None = None
    gift: bool = Field(default=False, examples=[True])
    address: Address


class OfNothing(BaseModel):
    sku: str


class NotValid(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"sku": ""}]})
    sku: str = Field(min_length=1)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (OfTheWhole, {"sku": "A1"}),
        (OfTheParts, {"sku": "A1", "gift": True, "address": {"city": "Cork", "country": "IE"}}),
        (OfNothing, {"sku": "text"}),
        (NotValid, {"sku": "text"}),
        (int, 1),
        (dict[str, Any], {}),
    ],
)
def test_the_input_comes_from_what_the_type_says(type_: Any, expected: Any) -> None:
    """The type's own first example wins, then its properties'. What has no example, or an invalid one, is made from the schema."""
    assert example_input(kind_of(type_)) == expected


def kind_of(type_: Any) -> Kind:
    def handler(value: Any) -> None:
        """Do nothing."""

    handler.__annotations__["value"] = type_
    return Kind.of("test", handler)


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Tree(BaseModel):
    number: int
    kids: list[Tree]
    next: Tree | None
    by_name: dict[str, Tree]


class Leaning(BaseModel):
    left: Leaning | int
    right: int | Leaning


class NeedsOne(BaseModel):
    one: int | None = None
    other: int | None = None

    @pydantic.model_validator(mode="after")
    def check(self) -> NeedsOne:
        if self.one is None and self.other is None:
            raise ValueError("give one or other")
        return self


class Choosy(BaseModel):
    currency: Literal["EUR", "USD", "GBP"]
    day: pydantic.PastDate
    pet: Cat | Dog

    @pydantic.field_validator("currency")
    @classmethod
    def check(cls, value: str) -> str:
        if value != "GBP":
            raise ValueError("pounds only")
        return value


class OneExample(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"number": 5}})
    number: int


class SecondExample(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "x"}, {"number": 6}]})
    number: int


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    one: int = Field(alias="theOne")
    two: int = Field(validation_alias=pydantic.AliasChoices("second", "2nd"))
    three: int = Field(serialization_alias="written")


class Endless(BaseModel):
    again: Endless


class Never(BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def burst(cls, value: int) -> int:
        raise RuntimeError("never")


@dataclasses.dataclass
class Data:
    number: Annotated[int, Field(ge=3)]
    at: datetime


class Dict(TypedDict):
    number: int
    note: NotRequired[str]


class Pair(NamedTuple):
    number: int
    size: Size


class Struct(msgspec.Struct, tag=True):
    number: Annotated[int, msgspec.Meta(ge=3, multiple_of=2)]
    name: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", min_length=3)]
    at: datetime
    data: bytes


def text(pattern: str, **limits: int) -> Any:
    return Annotated[str, Field(pattern=pattern, **limits)]


def number(type_: Any, **limits: Any) -> Any:
    return Annotated[type_, Field(**limits)]


LEAF = {"number": 1, "kids": [], "next": None, "by_name": {}}

TYPES: list[Any] = [
    int, float, bool, str, bytes, None, Decimal, date, datetime, time, timedelta, uuid.UUID, Path, Size, Any, object, list, dict, set,
    tuple,
    Literal[3, "a"], Literal[None, 3], int | str, int | None, Size | date, list[int], tuple[int, ...], tuple[int, str, date], set[bool],
    frozenset[Size], dict[str, int], dict[int, str], dict[date, int], dict[uuid.UUID, int], dict[Size, int], dict[bool, int],
    Sequence[int], Mapping[str, list[int]], Iterable[int], list[tuple[set[str], int | None]],
    pydantic.PastDate, pydantic.FutureDate, pydantic.PastDatetime, pydantic.FutureDatetime, pydantic.AwareDatetime, pydantic.NaiveDatetime,
    pydantic.UUID1, pydantic.UUID3, pydantic.UUID4, pydantic.UUID5, pydantic.AnyUrl, pydantic.HttpUrl, pydantic.FileUrl, pydantic.RedisDsn,
    pydantic.PostgresDsn, pydantic.AmqpDsn, pydantic.KafkaDsn, pydantic.IPvAnyAddress, pydantic.IPvAnyNetwork, pydantic.IPvAnyInterface,
    pydantic.FilePath, pydantic.DirectoryPath, pydantic.NewPath, pydantic.Base64Bytes, pydantic.Base64UrlStr, pydantic.ByteSize,
    pydantic.Json[Any], pydantic.Json[list[int]], pydantic.SecretStr, pydantic.StrictInt, pydantic.StrictBool, pydantic.FiniteFloat,
    pydantic.PositiveInt, pydantic.NegativeInt, pydantic.NonPositiveFloat,
    text(r"^[A-Z]{2}\d{4}$"), text(r"^(foo|bar)+$"), text(r"^[^@]+@[^@]+\.[a-z]{2,}$"), text(r"^a?b*c+d{2,3}$"), text("[0-9]"),
    text(r"^[a-z0-9]+(?:-[a-z0-9]+)*$"), text(r"^\S+\s\W$"), text(r"^(?P<y>\d{4})-(0[1-9]|1[0-2])$"), text(r"^#(?:[0-9a-fA-F]{3}){1,2}$"),
    text(r"^.{5,10}$"), text("^$"), text(r"^[a-z]+$", min_length=8, max_length=9), text("x", min_length=5), text(r"^\p{L}+$"),
    number(str, min_length=30), number(str, max_length=2), number(str, min_length=3, max_length=3), number(str, max_length=0),
    number(int, ge=5), number(int, gt=5, lt=7), number(int, le=-5), number(int, multiple_of=7), number(int, ge=10, multiple_of=7),
    number(int, lt=0, multiple_of=3), number(float, gt=0, lt=1), number(float, le=-5.5), number(float, multiple_of=0.1),
    number(float, ge=0.25, le=0.35, multiple_of=0.1), number(float, gt=1e9), number(float, lt=0), number(Decimal, gt=0, lt=1),
    number(Decimal, multiple_of=Decimal("0.05"), ge=2), number(list[int], min_length=3, max_length=4), number(list[int], max_length=0),
    number(set[int], min_length=3), number(set[Literal["a", "b"]], min_length=2), number(set[str], min_length=20),
    number(dict[str, int], min_length=2), dict[text("^[a-z]{2}$"), int], Annotated[Cat | Dog, Field(discriminator="kind")],
    Cat, Tree, Leaning, NeedsOne, Choosy, Aliased, Data, Dict, Pair, list[Data], Struct, list[Struct], dict[str, Struct | None],
]  # fmt: skip


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_an_example_is_made_that_is_valid(type_: Any) -> None:
    """A type without examples gets one from its schema that the kind accepts, and the same each time."""
    kind = kind_of(type_)
    made = example_input(kind)
    kind.accept(json.dumps(made).encode())
    assert made is not None or type_ is None
    assert made == example_input(kind) == the_command_lines(kind)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (OneExample, {"number": 5}),
        (SecondExample, {"number": 6}),
        (Tree, {"number": 1, "kids": [LEAF], "next": LEAF, "by_name": {"key": LEAF}}),
        (Leaning, {"left": {"left": 1, "right": 1}, "right": 1}),
        (dict[int, str], {"1": "text1"}),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cat", "lives": 1}),
        (Struct, {"type": "Struct", "number": 4, "name": "AAA", "at": "2030-01-01T12:00:00Z", "data": "dGV4dA=="}),
        (Aliased, {"theOne": 1, "second": 1, "three": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_examples_are_legible(type_: Any, expected: Any) -> None:
    """An example has what is required, one element of each array, and nothing that only repeats itself."""
    assert example_input(kind_of(type_)) == expected


@pytest.mark.parametrize("type_", [Endless, Never, text("^[^\\x00-\\x7f]{7}$", max_length=6), number(int, gt=3, lt=4)], ids=str)
def test_there_may_be_none(type_: Any) -> None:
    """If nothing that was tried is valid, there is no example."""
    assert example_input(kind_of(type_)) is None


def test_a_kind_without_input() -> None:
    """A kind without input is tried with an empty object."""

    def handler() -> None: ...

    assert example_input(Kind.of("test", handler)) == {}
