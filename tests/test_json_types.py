"""Plain JSON types are read and written without pydantic, with the same results."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from offpoll.json_types import adapter_of, faults

PLAIN = [Any, dict, dict[str, Any], list, list[Any], str, bool, int, type(None)]


class Model(BaseModel):
    at: datetime


class Level(IntEnum):
    LOW = 1


TEXTS = ["null", "true", "1", "1.5", '"x"', '"1"', "[]", "{}", '{"a":[1,{"b":null}]}', "12345678901234567890123", "1.0"]
TEXTS += ["", "{", "[1,]", '{"a":nul}']
TEXTS += [f"{'[' * deep}{']' * deep}" for deep in (150, 250)] + [f"[{','.join(['{}'] * 150)}]"]
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LOOP: list[Any] = []
LOOP.append(LOOP)
VALUES = [None, True, 1, 1.5, "x", [], {}, {"a": [1, {"b": "c"}]}, {1: 2}, (1, 2), {3}, NOON, {"at": NOON}, Model(at=NOON), Level.LOW]
VALUES += [float("nan"), {"a": float("inf")}, [Level.LOW], object(), b"x", LOOP, "\ud800"]


def outcome(call: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Return what a call produces: a value and its types, or an error and its message."""
    try:
        return repr(call(*given, **options))
    except ValidationError as error:
        return "invalid", faults(error)
    except (ValueError, TypeError) as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("type_", PLAIN)
def test_it_agrees_with_pydantic(type_: Any) -> None:
    """Every text and object gives the value that pydantic gives, or is refused in the same words. NaN does not become null."""
    ours, theirs = adapter_of(type_), TypeAdapter(type_, config=ConfigDict(ser_json_inf_nan="constants"))
    assert not isinstance(ours, TypeAdapter)
    for text in TEXTS:
        assert outcome(ours.validate_json, text) == outcome(theirs.validate_json, text), text
    for value in VALUES:
        assert outcome(ours.validate_python, value) == outcome(theirs.validate_python, value), value
        found = outcome(ours.dump_python, value, mode="json", warnings=False)
        assert found == outcome(theirs.dump_python, value, mode="json", warnings=False), value
    assert ours.json_schema() == theirs.json_schema()


@pytest.mark.parametrize("type_", [Model, Level, float, list[int], dict[str, int], str | None])
def test_other_types_go_to_pydantic(type_: Any) -> None:
    """Types that need conversion or inspection go to pydantic at registration, so that a wrong type fails at the start."""
    assert isinstance(adapter_of(type_), TypeAdapter)


def test_a_type_without_a_schema() -> None:
    """A type that pydantic does not know is refused at registration."""
    with pytest.raises(TypeError, match="core schema"):
        adapter_of(type("Unknown", (), {}))


def test_other_errors_are_not_about_values() -> None:
    """Only pydantic's errors list faults."""
    assert faults(ValueError("x")) is None
    assert faults(KeyError("x")) is None


def test_a_plain_service_does_not_load_pydantic() -> None:
    """A kind that takes and returns plain JSON types is registered, read and written without loading pydantic."""
    code = """if True:
        import sys
        from offpoll.kind import Kind
        def handler(order: dict, more: int = 1) -> str: ...
        kind = Kind.of("order", handler)
        assert kind.parse('{"a":[1]}') == {"a": [1]}
        assert kind.dump_result("x") == '"x"'
        assert kind.dump_input({"a": 1}) == '{"a":1}'
        assert "pydantic" not in sys.modules and "pydantic_core" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
