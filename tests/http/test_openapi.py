"""OpenAPI says what is really taken and given: the inputs and results of every type fit the schemas that it shows for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field
from tests.support.memory_dependencies import memory_dependencies
from tests.test_object_json import REACHES, REACHES_A_KNOWN_TYPE, FloatSpan, WithForeign

from offpoll import AsyncService, Offpoll, Settings, application
from offpoll.kind import Kind

#: Pydantic describes its timedelta as text.
MISDESCRIBED = (FloatSpan,)

CASES = [(type_, value) for type_, value in REACHES + REACHES_A_KNOWN_TYPE if type_ not in MISDESCRIBED]


def described(type_: Any) -> tuple[Kind, dict[str, Any]]:
    """Return an app's kind that takes and returns a type, and its part of the OpenAPI document."""
    app = Offpoll()

    async def handler(value: Any) -> Any:
        return value

    handler.__annotations__ |= {"value": type_, "return": type_}
    app.operation("order")(handler)
    service = AsyncService(app, settings=Settings(secret="0" * 32), dependencies=memory_dependencies())
    return service.kind("order"), application(service).openapi()["paths"]


@pytest.mark.parametrize(("type_", "value"), CASES, ids=lambda each: getattr(each, "__name__", None))
def test_it_says_what_is_taken_and_given(type_: Any, value: Any) -> None:
    """The JSON of an input and of a result have the form that is shown for each. So has the example."""
    kind, paths = described(type_)
    taken = paths["/order"]["post"]["requestBody"]["content"]["application/json"]
    given = paths["/order/{operation_id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(taken["schema"]).validate(json.loads(kind.dump_input(value)))
    Draft202012Validator(given).validate(json.loads(kind.dump_result(value)))
    if type_ is not WithForeign:  # which has no schema
        Draft202012Validator(taken["schema"]).validate(taken["example"])
        kind.accept(json.dumps(taken["example"]).encode())


class Confirmation(BaseModel):
    model_config = ConfigDict(serialize_by_alias=False)
    total_cents: int = Field(serialization_alias="totalCents")


def test_results_have_the_names_that_are_shown() -> None:
    """A result has the alias that OpenAPI shows, whatever the model's configuration says about dumping it elsewhere."""
    kind, paths = described(Confirmation)
    shown = paths["/order/{operation_id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(shown["properties"]) == list(json.loads(kind.dump_result(Confirmation(total_cents=1)))) == ["totalCents"]


class Opaque:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(lambda value: cls())


def test_a_type_without_a_schema() -> None:
    """A type that reads JSON and describes none is shown as anything."""
    _, paths = described(Opaque)
    assert paths["/order"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {}
