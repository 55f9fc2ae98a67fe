"""The input with which `dev` tries a kind."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from offpoll.cli.dev.example import example_input
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
    """The type's own first example wins, then its properties'. A missing required example, or an invalid one, gives no input."""

    def handler(value: Any) -> None:
        """Do nothing."""

    handler.__annotations__["value"] = type_
    assert example_input(Kind.of("test", handler)) == expected
