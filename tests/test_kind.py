"""Kinds: what a signature means, and how inputs and results are read and written."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pydantic
import pytest

from offpoll.errors import ConfigurationError, InvalidInput, InvalidJSON
from offpoll.kind import Kind
from offpoll.lateness import MAX_WEIGHT, PerDuration, read_weight
from offpoll.operation import Operation
from offpoll.setting_ranges import MAX_ATTEMPTS, MAX_TIMEOUT
from offpoll.settings import Settings


class Order(pydantic.BaseModel):
    sku: str
    quantity: int = pydantic.Field(ge=1)
    note: str | None = None


class Confirmation(pydantic.BaseModel):
    number: int
    at: datetime | None = None


async def handle(order: Order, operation: Operation) -> Confirmation:
    return Confirmation(number=order.quantity)


ORDER = Kind.of("order", handle)


# --- signatures -------------------------------------------------------------------------------


def test_a_signature() -> None:
    """The parameter of type Operation is the operation, the other one the input."""
    assert (ORDER.input_parameter, ORDER.operation_parameter, ORDER.is_async) == ("order", "operation", True)

    def plain(*, payload: dict[str, int], retries: int = 3) -> None: ...

    kind = Kind.of("plain", plain)
    assert (kind.input_parameter, kind.operation_parameter, kind.is_async) == ("payload", None, False)


def optional_input(order: int = 3) -> None: ...
def two_inputs(a: int, b: int) -> None: ...
def two_operations(a: int, b: Operation, c: Operation) -> None: ...
def positional(a: int, /) -> None: ...
def any_number(*orders: int) -> None: ...
def keywords(order: int, **rest: int) -> None: ...
def generator(order: int) -> Iterator[int]:
    yield order


async def async_generator(order: int) -> AsyncIterator[int]:
    yield order


def unresolved(order: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def no_json(order: asyncio.Task[int]) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [optional_input, two_inputs, two_operations, positional, any_number, keywords, generator, async_generator, unresolved, no_json,
     functools.partial(two_inputs)],
)  # fmt: skip
def test_what_is_no_handler(handler: Any) -> None:
    """A handler takes at most one input, by name, and returns its result; anything else is refused where it is registered."""
    with pytest.raises(ConfigurationError, match="order"):
        Kind.of("order", handler)


@pytest.mark.parametrize("name", ["", "Order", "livez", "readyz", "docs", "a/b", "openapi.json"])
def test_names(name: str) -> None:
    """A name that makes no safe path is refused."""
    with pytest.raises(ConfigurationError, match="cannot name"):
        Kind.of(name, handle)


@pytest.mark.parametrize(
    "limits",
    [{"timeout": "3"}, {"attempts": "3"}, {"show_result": "no"},
     {"timeout": 0}, {"timeout": 42_901}, {"timeout": float("nan")}, {"attempts": 0}, {"attempts": 101}, {"lateness_weight": 0.0},
     {"lateness_weight": float("inf")}, {"lateness_weight": 1e7}, {"lateness_weight": 1e-7}, {"lateness_weight": "0/duration"},
     {"lateness_weight": "30/minute"}, {"lateness_weight": True}],
    ids=str,
)  # fmt: skip
def test_limits(limits: dict[str, Any]) -> None:
    """A limit out of range is refused at registration: a timeout over SQS's 12 h, no attempts, a weight that divides by zero."""
    with pytest.raises(ConfigurationError):
        Kind.of("order", handle, **limits)


def test_limits_are_the_settings_own() -> None:
    """A decorator accepts the same limits as a setting, and without either the settings' default holds."""
    kind, defaults = Kind.of("order", handle), Settings()
    assert (kind.timeout, kind.attempts, kind.lateness_weight) == (
        defaults.timeout,
        defaults.attempts,
        read_weight(defaults.lateness_weight),
    )
    edges = {"timeout": MAX_TIMEOUT, "attempts": MAX_ATTEMPTS, "lateness_weight": MAX_WEIGHT}
    assert Kind.of("order", handle, **edges).timeout == Settings(**edges).timeout
    for name, most in edges.items():
        for make in (partial(Kind.of, "order", handle), Settings):
            with pytest.raises(ConfigurationError):
                make(**{name: most * 2})


def test_filled() -> None:
    """The settings fill in what the decorator left out, and only that."""
    kind = Kind.of("order", handle, attempts=7).filled(Settings(attempts=2, timeout=5.0))
    assert (kind.attempts, kind.timeout) == (7, 5.0)


def test_the_weight_is_absolute_or_relative() -> None:
    """A decorator or the settings may give either form; the kind keeps the computed weight, and the decorator's value wins."""
    said = Kind.of("order", handle, lateness_weight="12/duration")
    assert said.lateness_weight == said.filled(Settings(lateness_weight=4)).lateness_weight == PerDuration(polls=12.0)
    assert Kind.of("order", handle).filled(Settings(lateness_weight=4)).lateness_weight == 4.0
    assert Kind.of("order", handle).filled(Settings(lateness_weight="7/duration")).lateness_weight == PerDuration(polls=7.0)


# --- inputs -----------------------------------------------------------------------------------


def no_annotation(value):  # type: ignore[no-untyped-def]
    return value


ANY = Kind.of("any", no_annotation)


def test_canonical() -> None:
    """One input has one form: keys sorted, no spaces."""
    assert ANY.accept(b'{ "b": [1.0, 2],\n "a": "\\u00e9" }') == '{"a":"é","b":[1.0,2]}'
    assert ANY.accept(ANY.accept(b'{"b": 1, "a": 2}').encode()) == '{"a":2,"b":1}'


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{} {}", b"nul", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"\xff", b"\xef\xbb\xbf{}", b"'a'", b'{"a":1,}',
     b"[" * 100_000, b"1" * 5000, '"é"'.encode("utf-16"), b"\xed\xa0\x80", b'"\n"'],
    ids=lambda each: repr(each[:12]),
)  # fmt: skip
def test_what_is_not_json(body: bytes) -> None:
    """RFC 8259 and nothing else: no NaN, no BOM, no endless nesting, no numbers that nobody can hold."""
    with pytest.raises(InvalidJSON):
        ANY.accept(body)


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"sku": "\\udfff", "quantity": 1}', b'{"\\ud800": 1}'])
def test_lone_surrogates(body: bytes) -> None:
    """JSON can say half a character, and no UTF-8 can hold it."""
    with pytest.raises(InvalidJSON, match="surrogate"):
        ANY.accept(body)


def test_other_alphabets_cost_what_they_cost() -> None:
    """Text is not escaped, so a body is as long as the client sent it, except for the two characters that SQS refuses."""
    assert ANY.accept('{"b": "注文", "a": "é😀"}'.encode()) == '{"a":"é😀","b":"注文"}'
    assert ANY.accept(b'"\\uFFFE \\uffff"') == '"\\ufffe \\uffff"'


def test_deep_nesting_is_no_accident() -> None:
    """Nesting that Python can read and pydantic cannot is an invalid input."""
    with pytest.raises((InvalidInput, InvalidJSON)):
        ANY.accept(b"[" * 500 + b"]" * 500)


def test_errors_point_and_tell_no_values() -> None:
    """Each fault says where and why, with an RFC 6901 pointer, and repeats nothing of the input."""
    with pytest.raises(InvalidInput) as raised:
        ORDER.accept(b'{"sku": "S3CRET", "quantity": "S3CRET2", "note": 12345}')
    errors = raised.value.members["errors"]
    assert [each["pointer"] for each in errors] == ["/quantity", "/note"]
    shown = f"{raised.value.detail} {errors}"
    assert "S3CRET" not in shown
    assert "12345" not in shown


def test_pointers() -> None:
    """A key with a slash or a tilde is escaped, and the whole input's pointer is empty."""

    def keyed(value: dict[str, int]) -> None: ...

    with pytest.raises(InvalidInput) as raised:
        Kind.of("keyed", keyed).parse('{"a/b~c":"x"}')
    assert raised.value.members["errors"][0]["pointer"] == "/a~1b~0c"
    with pytest.raises(InvalidInput) as raised:
        ORDER.parse("[]")
    assert raised.value.members["errors"][0]["pointer"] == ""


def test_many_faults() -> None:
    """Twenty faults are listed, and the detail says how many there are."""

    def many(value: list[int]) -> None: ...

    with pytest.raises(InvalidInput, match="29 more") as raised:
        Kind.of("many", many).parse(json.dumps(["x"] * 30))
    assert len(raised.value.members["errors"]) == 20


def test_objects_as_inputs() -> None:
    """An input may be an object of its type or that object's JSON form; an object without a JSON form is refused."""
    assert ORDER.dump_input(Order(sku="a", quantity=1)) == '{"quantity":1,"sku":"a"}'
    assert ORDER.dump_input({"sku": "a", "quantity": 1}) == '{"quantity":1,"sku":"a"}'
    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), {"x": object()}, loop):
        with pytest.raises(InvalidInput):
            ORDER.dump_input(value)


# --- results ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"a": 1}', " [1]"])
def test_json_text_is_no_object(text: str) -> None:
    """JSON text in a `str` is refused for typed and untyped handlers, because the handler would get a string. Plain text is a value."""
    for handler in (handle, no_annotation):
        with pytest.raises(InvalidInput, match="bytes"):
            Kind.of("order", handler).dump_input(text)
    assert Kind.of("order", no_annotation).dump_input("{not json}") == '"{not json}"'


def test_results() -> None:
    """A result is checked against what the handler says it returns, and written as JSON."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert ORDER.dump_result(Confirmation(number=1, at=at)) == '{"at":"2030-01-01T00:00:00Z","number":1}'
    assert ORDER.dump_result({"number": "3"}) == '{"at":null,"number":3}'
    assert Kind.of("any", no_annotation).dump_result(None) == "null"
    for wrong in (None, {"number": "x"}, 5):
        with pytest.raises(ValueError, match="validation error"):
            ORDER.dump_result(wrong)
