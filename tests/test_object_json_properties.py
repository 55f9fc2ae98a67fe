"""Objects of generated models: JSON holds them, or they are refused."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from tests.support.models import Made, lossless, lossy

from offpoll.errors import InvalidInput
from offpoll.example_input import example_input
from offpoll.kind import Kind
from offpoll.object_json import to_json

#: Making a model takes pydantic milliseconds.
few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def kind_of(type_: Any) -> Kind:
    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = type_
    return Kind.of("order", handler)


@few
@given(lossless())
def test_what_json_can_hold_reaches_the_handler(made: Made) -> None:
    """Whatever the aliases and the configuration, an object that JSON can hold arrives equal, by a service and by a client."""
    kind = kind_of(made.model)
    for text in (kind.dump_input(made.value), kind.accept(to_json(made.value).encode())):
        assert kind.parse(text) == made.value


@few
@given(lossy())
def test_nothing_arrives_changed(made: Made) -> None:
    """Any object arrives equal, NaN aside, or is refused as an invalid input. There is no third way."""
    kind = kind_of(made.model)
    for write in (kind.dump_input, lambda value: kind.accept(to_json(value).encode())):
        try:
            text = write(made.value)
        except InvalidInput:
            continue
        read = kind.parse(text)
        assert read == made.value or repr(read) == repr(made.value)


@few
@given(lossy())
def test_every_type_has_an_example(made: Made) -> None:
    """The example that is made for a type is valid for it, and the same each time."""
    kind = kind_of(made.model)
    example = example_input(kind)
    assert example is not None
    assert example == example_input(kind)
