"""Objects of every type that users write: each reaches its handler as it was, or the submit says what would change. Never anything else."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Required, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
import typing_extensions
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretBytes, SecretStr
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from offpoll import Offpoll, Operation
from offpoll.errors import ConfigurationError, InvalidInput
from offpoll.http.endpoint import Request, read_all
from offpoll.kind import Kind
from offpoll.object_json import to_json
from offpoll.result_json import result_to_json
from offpoll.testing import run, system

NOON = datetime(2030, 1, 1, 12, 0, 0, 1234, tzinfo=UTC)
ID = uuid.UUID("00000000-0000-4000-8000-000000000001")
T = TypeVar("T")


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Colour(enum.StrEnum):
    RED = "red"


class Alias(BaseModel):
    order_id: str = Field(alias="orderId")


class ReadAlias(BaseModel):
    read: int = Field(validation_alias="r")
    left: int = Field(0, validation_alias="l")


class WriteAlias(BaseModel):
    written: int = Field(0, serialization_alias="w")


class TwoAliases(BaseModel):
    two: int = Field(0, serialization_alias="w", validation_alias="r")


class Choices(BaseModel):
    chosen: int = Field(0, validation_alias=AliasChoices("a", "b"))
    deep: int = Field(0, validation_alias=AliasChoices(AliasPath("c", "d"), "e"))


class Paths(BaseModel):
    second: int = Field(0, validation_alias=AliasPath("pair", 1))
    first: int = Field(0, validation_alias=AliasPath("pair", 0))


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    some_thing: int = 0
    maybe: int | None = None


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)
    named: int = Field(0, alias="n")


class Nested(BaseModel):
    camels: list[Camel] = Field(serialization_alias="w", validation_alias="r")
    by_key: dict[str, TwoAliases]
    alone: Alias


class Revealed(BaseModel):
    password: SecretStr

    @pydantic.field_serializer("password", when_used="json")
    def reveal(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    price: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.price * 2


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Page(BaseModel, Generic[T]):
    items: list[T]


class Pets(RootModel[list[Cat]]):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
    at: datetime
    id: uuid.UUID
    pair: tuple[int, str]
    numbers: set[int]
    data: bytes
    price: Decimal


class Scalars(BaseModel):
    at: datetime = NOON.astimezone(ZoneInfo("Europe/Dublin"))
    day: date = NOON.date()
    hour: time = time(1, 2)
    span: timedelta = timedelta(days=3, microseconds=7)
    size: Size = Size.LARGE
    colour: Colour = Colour.RED
    path: Path = Path("/a")
    url: pydantic.HttpUrl = pydantic.HttpUrl("https://example.com")
    big: int = 10**30
    exact: Decimal = Decimal("1.000")
    words: set[str] = {"b", "a"}
    numbers: frozenset[int] = frozenset({2, 1})
    pair: tuple[int, str] = (1, "b")
    queue: deque[int] = deque([1])
    by_day: dict[date, str] = {NOON.date(): "x"}
    by_number: Mapping[int, str] = {1: "x"}
    constrained: Annotated[str, pydantic.StringConstraints(strip_whitespace=True)] = "a"
    json_text: pydantic.Json[list[int]] = Field(default="[1]", validate_default=True)
    number: int | str = "1"
    either: float | int = 1


class Made(BaseModel):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    at: datetime = Field(default_factory=datetime.now)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class Lower(BaseModel):
    lower: Annotated[str, pydantic.AfterValidator(str.lower)] = "A"


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


class FloatSpan(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float", ser_json_inf_nan="strings", ser_json_bytes="base64", val_json_bytes="base64")
    span: timedelta = timedelta(seconds=1.25)
    number: float = float("nan")
    data: bytes = b"\xff"


class Foreign:
    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.name),
        )


class WithForeign(BaseModel):
    foreign: Foreign


@pydantic_dataclass
class Checked:
    order_id: int = Field(alias="orderId")
    at: datetime = NOON


@dataclasses.dataclass
class Plain:
    number: int
    at: datetime
    inner: Camel | None = None
    unequal: int = dataclasses.field(default=0, compare=False)
    doubled: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.doubled = self.number * 2


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    number: int


class Partial(TypedDict, total=False):
    number: int
    at: Required[datetime]
    note: NotRequired[str]


class Extended(typing_extensions.TypedDict):
    at: datetime


class Pair(NamedTuple):
    number: int
    at: datetime


class Struct(msgspec.Struct):
    number: int
    at: datetime | None = None


class Tagged(msgspec.Struct, rename="camel", tag=True, frozen=True):
    some_thing: int
    data: bytes = b""


class OtherTagged(msgspec.Struct, tag=True):
    number: int


@dataclasses.dataclass
class WithStruct:
    struct: Struct


def kind_of(type_: Any) -> Kind:
    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = type_
    return Kind.of("order", handler)


CHECKED: Callable[..., Any] = Checked  # its constructor takes aliases, which type checkers do not know

REACHES: list[tuple[Any, Any]] = [
    (Alias, Alias(orderId="7")),
    (ReadAlias, ReadAlias(r=1, l=5)),
    (WriteAlias, WriteAlias(written=1)),
    (TwoAliases, TwoAliases(r=1)),
    (Choices, Choices(b=1, e=2)),
    (Paths, Paths(pair=[1, 2])),
    (Camel, Camel(some_thing=1)),
    (ByName, ByName(named=1)),
    (Nested, Nested(r=[Camel(some_thing=1, maybe=None)], by_key={"x": TwoAliases(r=2)}, alone=Alias(orderId="7"))),
    (Revealed, Revealed(password="hunter2")),
    (Computed, Computed(price=1)),
    (Owner, Owner(pet=Dog())),
    (Cat | Dog, Dog()),
    (Page[int], Page[int](items=[1])),
    (Page[Owner], Page[Owner](items=[Owner(pet=Cat())])),
    (Pets, Pets([Cat(lives=3)])),
    (Strict, Strict(at=NOON, id=ID, pair=(1, "a"), numbers={1, 2}, data=b"x", price=Decimal("1.10"))),
    (Scalars, Scalars()),
    (Scalars, Scalars(number=1, either=1.5)),
    (Made, Made()),
    (Lower, Lower()),
    (Lower, Lower(lower="B")),
    (Extra, Extra(more=[1, "b"], camel="x")),
    (FloatSpan, FloatSpan()),
    (WithForeign, WithForeign(foreign=Foreign("x"))),
    (Checked, CHECKED(orderId=1)),
    (Plain, Plain(1, NOON, Camel(some_thing=3), unequal=7)),
    (Slotted, Slotted(1)),
    (list[Slotted], [Slotted(1), Slotted(2)]),
    (Pair, Pair(1, NOON)),
    (Struct, Struct(1, NOON)),
    (Tagged, Tagged(1, b"\xff")),
    (list[Struct], [Struct(1)]),
    (dict[str, Tagged | OtherTagged], {"a": Tagged(1)}),
    (Struct | None, None),
    (WithStruct, WithStruct(Struct(1))),
    (dict[str, Cat], {"a": Cat()}),
]

#: Only a reader of a known type knows what these are.
REACHES_A_KNOWN_TYPE: list[tuple[Any, Any]] = [
    (Partial, {"at": NOON}),
    (Partial, {"at": NOON, "number": 1, "note": "x"}),
    (Extended, {"at": NOON}),
    (list[Partial], [{"at": NOON}]),
    (Annotated[Partial | None, "of mine"], {"at": NOON}),
    (datetime, NOON),
    (Decimal, Decimal("1.10")),
    (Size, Size.SMALL),
    (set[str], {"a", "b"}),
    (dict[int, date], {1: NOON.date()}),
]


def same(before: Any, after: Any) -> bool:
    """Compare as a user would: the same type, and the same to look at."""
    if isinstance(before, Made):  # its locks are different ones
        return bool(before.model_dump() == after.model_dump())
    return type(before) is type(after) and (before == after or repr(before) == repr(after) or isinstance(before, WithForeign))


@pytest.mark.parametrize(("type_", "value"), REACHES + REACHES_A_KNOWN_TYPE, ids=lambda each: getattr(each, "__name__", None))
def test_it_reaches_the_handler(type_: Any, value: Any) -> None:
    """A service writes an object so that the handler's type reads the same object."""
    kind = kind_of(type_)
    assert same(value, kind.parse(kind.dump_input(value)))


@pytest.mark.parametrize(("type_", "value"), REACHES, ids=lambda each: getattr(each, "__name__", None))
def test_it_reaches_the_handler_from_a_client(type_: Any, value: Any) -> None:
    """A client knows only the object, and writes it so that its own class reads the same."""
    kind = kind_of(type_)
    assert same(value, kind.parse(kind.accept(to_json(value).encode())))


def test_a_field_that_was_left_out_is_not_sent_as_null() -> None:
    """A handler that looks at `model_fields_set` sees what the caller set: None that was said arrives, None that was not said does not."""
    kind = kind_of(Camel)
    for given in (Camel(), Camel(maybe=None), Camel(maybe=1), Camel(some_thing=1)):
        for text in (kind.dump_input(given), to_json(given)):
            assert ("maybe" in kind.parse(text).model_fields_set) == ("maybe" in given.model_fields_set)


def test_a_set_is_written_in_order() -> None:
    """The same set gives the same JSON, and so the same digest, whatever its elements' hashes are today."""
    words = {f"word{number}" for number in range(50)}
    assert kind_of(set[str]).dump_input(words) == kind_of(list[str]).dump_input(sorted(words))


# --- what is refused --------------------------------------------------------------------------


class Login(BaseModel):
    password: SecretStr = SecretStr("")


class BytesLogin(BaseModel):
    passwords: list[SecretBytes]


class Hidden(BaseModel):
    number: int = Field(5, exclude=True)


class Rounded(BaseModel):
    number: float

    @pydantic.field_serializer("number")
    def round(self, value: float) -> int:
        return round(value)


class Renamed(BaseModel):
    number: int

    @pydantic.model_serializer
    def rename(self) -> dict[str, int]:
        return {"other": self.number}


class Raising(BaseModel):
    number: int

    @pydantic.model_serializer
    def burst(self) -> dict[str, int]:
        raise KeyError("x")


class RaisingDump(BaseModel):
    number: int

    def model_dump(self, **_: Any) -> dict[str, Any]:
        raise ZeroDivisionError("x")


class Counting(BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def count(cls, value: int) -> int:
        return value + 1


class Reshaping(BaseModel):
    number: int

    @pydantic.model_validator(mode="before")
    @classmethod
    def reshape(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {"number": value["raw"]}


class Private(BaseModel):
    number: int
    _seen: int = PrivateAttr(0)

    @classmethod
    def seen(cls) -> Private:
        made = cls(number=1)
        made._seen = 5
        return made


class Left(BaseModel):
    number: int


class Right(BaseModel):
    number: int


class LeftChild(Left):
    more: int = 1


class LeftTwin(Left):
    pass


class AsAny(BaseModel):
    left: pydantic.SerializeAsAny[Left]


class Twin(BaseModel):
    side: Left | Right


class Base(BaseModel):
    left: Left
    anything: Any = None
    texts: Sequence[int] = ()


class Lazy(BaseModel):
    numbers: Iterable[int]


class Bytes(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class Utf8(BaseModel):
    data: bytes


class Number(BaseModel):
    number: float | None


class Nullified(BaseModel):
    number: float | None

    @pydantic.field_serializer("number")
    def nullify(self, value: float) -> float | None:
        return value if value == value else None


class StructChild(Struct):
    more: int = 1


def spoilt(value: Any, **fields: Any) -> Any:
    """Set fields to values that no validator has seen."""
    for name, each in fields.items():
        setattr(value, name, each)
    return value


REFUSED: list[tuple[Any, Any, str]] = [
    (Login, Login(password=SecretStr("hunter2")), "password: a SecretStr is written as asterisks"),
    (BytesLogin, BytesLogin(passwords=[SecretBytes(b"hunter2")]), r"passwords\.0: a SecretBytes"),
    (Hidden, Hidden(number=6), "number"),
    (Rounded, Rounded(number=1.5), "number"),
    (Renamed, Renamed(number=1), "number: it cannot be read again"),
    (Raising, Raising(number=1), "Raising|raised"),
    (Counting, Counting(number=1), "number"),
    (Reshaping, Reshaping(raw=1), "KeyError"),
    (Private, Private.seen(), "_seen: JSON has no place for a private attribute"),
    (Twin, Twin(side=Right(number=1)), "side: a Right is read as a Left"),
    (Base, Base(left=LeftChild(number=1)), "left: a LeftChild is read as a Left"),
    (Base, Base(left=Left(number=1), anything=NOON), "anything: a datetime is read as a str"),
    (Base, Base(left=Left(number=1), anything=Left(number=1)), "anything: a Left is read as a dict"),
    (Base, Base(left=Left(number=1), texts=(1, 2)), "texts: a tuple is read as a list"),
    (Lazy, Lazy(numbers=[1]), "numbers"),
    (Extra, Extra(at=NOON), "at: a datetime is read as a str"),
    (Bytes, Bytes(data=b"\xff"), "data"),
    (Utf8, Utf8(data=b"\xff"), "data|utf-8"),
    (Number, Number(number=float("nan")), "number"),
    (Left, spoilt(Left(number=1), number="x"), "number: it cannot be read again"),
    (Left, Left.model_construct(), "number"),
    (Plain, spoilt(Plain(1, NOON), doubled=7), "doubled"),
    (Struct, Struct("x"), "number: it cannot be read again"),  # type: ignore[arg-type]
]

#: A client cannot know that these are not what the handler takes. The API decides about their JSON.
REFUSED_BY_A_KNOWN_TYPE: list[tuple[Any, Any, str]] = [
    (Left | Right, Right(number=1), "a Right is read as a Left"),
    (Left, LeftChild(number=1), "a LeftChild is read as a Left"),
    (Struct, StructChild(1), "a StructChild is read as a Struct"),
    (Left, LeftTwin(number=1), "a LeftTwin is read as a Left"),
    (AsAny, AsAny(left=LeftChild(number=1)), "left: a LeftChild is read as a Left"),
    (dict[str, Any], {1: 2}, "only text as keys"),
    (list[Any], [{"a": {None: 2}}], "only text as keys"),
    (SecretStr, SecretStr("hunter2"), "asterisks"),
]


@pytest.mark.parametrize(("type_", "value", "why"), REFUSED + REFUSED_BY_A_KNOWN_TYPE, ids=lambda each: getattr(each, "__name__", None))
def test_it_is_refused(type_: Any, value: Any, why: str) -> None:
    """An object that would reach the handler as another one is refused, with the place and without the value."""
    with pytest.raises(InvalidInput, match=why) as raised:
        kind_of(type_).dump_input(value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(("type_", "value", "why"), REFUSED, ids=lambda each: getattr(each, "__name__", None))
def test_a_client_refuses_it(type_: Any, value: Any, why: str) -> None:
    """A client refuses what its own class would read as another object. Nothing is sent."""
    with pytest.raises(InvalidInput, match=why):
        to_json(value)


def test_a_dump_of_the_users_that_raises() -> None:
    """Whatever `model_dump` raises is an invalid input."""
    with pytest.raises(InvalidInput, match="RaisingDump"):
        to_json(RaisingDump(number=1))


@pytest.mark.parametrize(
    "value", [{"at": NOON}, {"a": {1}}, Size.SMALL, float("nan"), object(), {(1, 2): 3}], ids=lambda value: type(value).__name__
)
def test_an_untyped_handler_gets_json(value: Any) -> None:
    """Without a type, nobody would make a datetime of its text again: what JSON does not have is refused."""
    for write in (kind_of(Any).dump_input, to_json):
        with pytest.raises(InvalidInput):
            write(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [(Left(number=1), {"number": 1}), ([Slotted(1), Struct(2)], [{"number": 1}, {"number": 2, "at": None}]), ((1, 2), [1, 2])],
    ids=repr,
)
def test_an_untyped_handler_gets_the_json_form_of_an_object(value: Any, form: Any) -> None:
    """An object for a handler without types arrives as its JSON form, from a service and from a client."""
    kind = kind_of(Any)
    assert kind.parse(kind.dump_input(value)) == kind.parse(to_json(value)) == form


def test_every_way_in() -> None:
    """Service, client and `testing.run` take the same objects and refuse the same."""
    app = Offpoll()

    @app.operation("order")
    async def order(value: Alias) -> str:
        return value.order_id

    @app.operation("login")
    async def login(value: Login) -> int:
        return len(value.password.get_secret_value())

    with system(app) as made:
        for submit in (made.client.submit, lambda *given: made.run(made.service.submit(*given))):
            assert made.client.wait(submit("order", Alias(orderId="7"))) == "7"
            assert made.client.wait(submit("login", {"password": "hunter2"})) == 7
            with pytest.raises(InvalidInput, match="asterisks"):
                submit("login", Login(password=SecretStr("hunter2")))
    assert run(order, Alias(orderId="7")).result == "7"
    with pytest.raises(InvalidInput, match="asterisks"):
        run(login, Login(password=SecretStr("hunter2")))


# --- results ----------------------------------------------------------------------------------


def returning(type_: Any, value: Any) -> Callable[[], Any]:
    def handler() -> Any:
        return value

    handler.__annotations__["return"] = type_
    return handler


@pytest.mark.parametrize(
    ("type_", "value", "form"),
    [
        (Alias, Alias(orderId="7"), {"orderId": "7"}),
        (TwoAliases, TwoAliases(r=1), {"w": 1}),
        (Computed, Computed(price=1), {"price": 1, "gross": 2}),
        (Hidden, Hidden(number=6), {}),
        (Revealed, Revealed(password="x"), {"password": "x"}),
        (Camel, {"someThing": 3}, {"someThing": 3, "maybe": None}),
        (Any, Camel(some_thing=3), {"someThing": 3, "maybe": None}),
        (Slotted, Slotted(1), {"number": 1}),
        (Partial, {"at": NOON}, {"at": "2030-01-01T12:00:00.001234Z"}),
        (Pair, Pair(1, NOON), [1, "2030-01-01T12:00:00.001234Z"]),
        (Struct, Struct(1), {"number": 1, "at": None}),
        (Tagged, Tagged(1), {"someThing": 1, "data": "", "type": "Tagged"}),
        (list[Struct], [{"number": 1}], [{"number": 1, "at": None}]),
        (FloatSpan, FloatSpan(), {"span": 1.25, "number": "NaN", "data": "_w=="}),
        (Nullified, Nullified(number=float("nan")), {"number": None}),
        (AsAny, AsAny(left=LeftChild(number=1)), {"left": {"number": 1, "more": 1}}),
        (Left, LeftTwin(number=1), {"number": 1}),
        (Struct, StructChild(1), {"number": 1, "at": None, "more": 1}),
        (None, None, None),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_results(type_: Any, value: Any, form: Any) -> None:
    """A result is written under the names that OpenAPI gives for it, as its serializers say."""
    ended = run(returning(type_, value))
    assert (ended.status, ended.result) == ("succeeded", form)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Left, LeftChild(number=1)),
        (list[Left], [LeftChild(number=1)]),
        (Left | Right, Right(number=1)),
        (Any, Login(password=SecretStr("hunter2"))),
        (Any, [{"deep": SecretStr("hunter2")}]),
        (Number, Number(number=float("nan"))),
        (Any, [float("inf")]),
        (dict, {"deep": {1: float("nan")}}),
        (Base, Base(left=Left(number=1), anything=float("nan"))),
        (Left, spoilt(Left(number=1), number="x")),
        (Struct, Struct("x")),  # type: ignore[arg-type]
        (Raising, Raising(number=1)),
    ],
    ids=repr,
)
def test_results_that_would_say_something_else(type_: Any, value: Any) -> None:
    """A result whose JSON would say something else than the object ends the operation, and no message shows a value."""
    ended = run(returning(type_, value))
    assert (ended.status, (ended.error or {})["code"]) == ("failed", "invalid_result")
    assert "hunter2" not in str(ended.error)


def test_a_fetch_hook_that_returns_such_a_result() -> None:
    """What a fetch hook returns is a result, too. If it cannot be written, that is the service's fault, not the caller's."""
    app = Offpoll()

    @app.operation("order")
    async def order(value: int) -> Left:
        return Left(number=value)

    @app.fetch("order")
    async def found(operation: Operation) -> Left:
        return LeftChild(number=1)

    with system(app) as made:
        ticket = made.client.submit("order", 1)
        made.advance(60)
        request = Request(
            method="GET", path=f"/order/{ticket.operation_id}", headers={"host": "api.invalid"}, scheme="https", read=read_all(b"")
        )
        assert made.run(made.endpoint.answer(request)).status == 500


@pytest.mark.parametrize("type_", [Login, list[BytesLogin], SecretStr, SecretStr | None, dict[str, Login], pydantic.Secret[date]], ids=repr)
def test_a_secret_in_a_result_is_refused_at_the_start(type_: Any) -> None:
    """Readers would get asterisks for it, whatever its value. As an input it is fine, and so is one that a serializer reveals."""
    with pytest.raises(ConfigurationError, match="asterisks"):
        Kind.of("login", returning(type_, None))
    kind_of(type_)
    Kind.of("login", returning(Revealed, None))


@pytest.mark.parametrize(
    ("value", "named"),
    [(object(), "object"), ({"a": [threading.Lock()]}, "lock"), (float("nan"), "NaN"), (b"\xff", "bytes"), ("\ud800", "surrogate"),
     ({"a": type}, "type"), (Slotted(object()), "object")],  # type: ignore[arg-type]
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else type(value).__name__,
)  # fmt: skip
def test_an_untyped_result_without_a_json_form_is_named(value: Any, named: str, caplog: pytest.LogCaptureFixture) -> None:
    """The operation's error says which type has no JSON form, and the log says where it is."""
    ended = run(returning(Any, value))
    assert (ended.error or {})["code"] == "invalid_result"
    assert named in (ended.error or {})["message"]
    if isinstance(value, dict):
        assert "a.0: " in caplog.text or "a: " in caplog.text


@pytest.mark.parametrize(
    ("value", "form"),
    [(Alias(orderId="7"), '{"orderId":"7"}'), (Slotted(1), '{"number":1}'), (Struct(1), '{"number":1,"at":null}'), (None, "null")],
    ids=repr,
)
def test_results_of_a_board(value: Any, form: str) -> None:
    """A board writes a result as its class's serializers say."""
    assert result_to_json(value) == form


@pytest.mark.parametrize("value", [Login(password=SecretStr("hunter2")), [Login(password=SecretStr("hunter2"))], {"at": NOON}], ids=repr)
def test_results_that_a_board_refuses(value: Any) -> None:
    """A secret does not become asterisks on a board either."""
    with pytest.raises(InvalidInput):
        result_to_json(value)


# --- types that cannot be used ----------------------------------------------------------------


class Tree(TypedDict):
    kids: list[Tree]


class Mixed:
    struct: Struct


@pytest.mark.parametrize("type_", [threading.Lock, dict[str, Left | Struct], Mixed], ids=repr)
def test_types_without_a_json_form(type_: Any) -> None:
    """A type that no library reads is refused at registration: an unknown class, and a pydantic model beside a Struct."""
    with pytest.raises(ConfigurationError, match="order"):
        kind_of(type_)
    with pytest.raises(ConfigurationError, match="order"):
        Kind.of("order", returning(type_, None))


def test_a_client_without_pydantic() -> None:
    """A client needs no pydantic: JSON values do not load it, and where it is missing, a dataclass is written field by field."""
    code = """if True:
        import sys
        from dataclasses import dataclass
        from offpoll.client.results import result_reader
        from offpoll.errors import ConfigurationError
        from offpoll.object_json import to_json
        assert to_json({"a": [1]}) == '{"a":[1]}' and "pydantic" not in sys.modules and "msgspec" not in sys.modules
        sys.modules["pydantic"] = None
        @dataclass
        class Inner:
            number: int
        @dataclass
        class Order:
            inners: list[Inner]
        assert to_json(Order([Inner(1)])) == '{"inners":[{"number":1}]}'
        try:
            result_reader(Order)
        except ConfigurationError as error:
            assert "needs pydantic" in str(error)
        else:
            raise AssertionError
        import msgspec
        class Struct(msgspec.Struct):
            number: int
        assert result_reader(Struct)(b'{"number":1}') == Struct(1) and to_json(Struct(1)) == '{"number":1}'
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
