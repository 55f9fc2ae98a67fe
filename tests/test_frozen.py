"""Quick frozen dataclasses: made faster, and otherwise what `dataclass` makes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from offpoll.frozen import quick


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A class as `dataclass` makes it."""

    name: str
    count: int = 3
    tags: list[str] = field(default_factory=list)
    secret: str = field(default="s", repr=False, compare=False)


@quick
@dataclass(frozen=True, kw_only=True)
class Quick:
    """The same, quick."""

    name: str
    count: int = 3
    tags: list[str] = field(default_factory=list)
    secret: str = field(default="s", repr=False, compare=False)


BOTH = pytest.mark.parametrize("cls", [Plain, Quick])


def test_a_quick_class_has_an_init_of_its_own() -> None:
    """An instance is made without a call for each field, by which a frozen dataclass sets them."""
    assert Quick.__init__.__code__.co_names.count("_set") == 1
    assert "__dict__" in Quick.__init__.__code__.co_consts
    assert "__dict__" not in Plain.__init__.__code__.co_consts


@BOTH
def test_defaults_and_factories(cls: Any) -> None:
    """Fields that are left out have their defaults. Each instance gets a new value from a factory."""
    first, second = cls(name="a"), cls(name="a")
    assert (first.name, first.count, first.tags, first.secret) == ("a", 3, [], "s")
    assert first.tags is not second.tags
    given: list[str] = []
    assert cls(name="a", tags=given).tags is given
    assert cls(name="a", count=0, secret="").count == 0


@BOTH
def test_equality_and_repr(cls: Any) -> None:
    """Equality, hash and repr go by the fields that the class names for them."""
    assert cls(name="a") == cls(name="a", secret="other")
    assert cls(name="a") != cls(name="b")
    assert repr(cls(name="a")) == f"{cls.__name__}(name='a', count=3, tags=[])"
    with pytest.raises(TypeError, match="unhashable"):
        hash(cls(name="a"))


@BOTH
def test_an_instance_is_frozen(cls: Any) -> None:
    """No field can be set or deleted."""
    one = cls(name="a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name


@BOTH
def test_replace_copy_and_pickle(cls: Any) -> None:
    """Copies are equal, and `replace` changes what it names."""
    one = cls(name="a", tags=["x"])
    assert replace(one, count=4) == cls(name="a", count=4, tags=["x"])
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one


@BOTH
@pytest.mark.parametrize("make", [lambda cls: cls(), lambda cls: cls(count=1), lambda cls: cls("a"), lambda cls: cls(name="a", other=1)])
def test_wrong_arguments(cls: Any, make: Callable[[Any], Any]) -> None:
    """A missing, unknown or positional argument is a TypeError."""
    with pytest.raises(TypeError):
        make(cls)


def test_signature_and_fields() -> None:
    """People and type checkers see the same constructor, and code that asks for fields sees the same ones."""
    assert str(inspect.signature(Quick)) == str(inspect.signature(Plain))
    assert Quick.__init__.__annotations__ == Plain.__init__.__annotations__
    assert Quick.__init__.__qualname__ == "Quick.__init__"
    assert [each.name for each in fields(Quick)] == [each.name for each in fields(Plain)]


def test_instances_share_nothing() -> None:
    """Each instance has a `__dict__` of its own, with exactly the fields in it."""
    first, second = Quick(name="a"), Quick(name="b")
    assert vars(first) == {"name": "a", "count": 3, "tags": [], "secret": "s"}
    assert vars(first) is not vars(second)


def test_a_class_with_slots_is_refused() -> None:
    """A class with slots has no `__dict__` to fill: that is said when the class is made."""
    with pytest.raises(TypeError, match="Slotted has slots"):

        @quick
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Slotted:
            name: str
