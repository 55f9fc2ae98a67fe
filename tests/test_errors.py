"""The tree of errors."""

from __future__ import annotations

import inspect
import re

from offpoll import errors
from offpoll.errors import Fail, HandlerStopped, OffpollError


def test_the_drawing_is_the_tree() -> None:
    """The module's docstring draws every error below its base class."""
    drawn: dict[str, str] = {}
    above: dict[int, str] = {-1: ""}
    for line in (inspect.getdoc(errors) or "").splitlines()[1:]:
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)\b", line)
        if found:
            depth = len(found[1]) // 4
            above[depth] = found[2]
            drawn[found[2]] = above[depth - 1]
    assert drawn.keys() == set(errors.__all__)
    for name, base in drawn.items():
        if base:
            assert getattr(errors, name).__base__.__name__ == base or base in {each.__name__ for each in getattr(errors, name).__bases__}


def test_one_root() -> None:
    """Catching OffpollError catches every error except the one that unwinds a handler."""
    assert [name for name in errors.__all__ if not issubclass(getattr(errors, name), OffpollError)] == ["HandlerStopped"]
    assert not issubclass(HandlerStopped, Exception)


def test_fail_says_its_code() -> None:
    """A Fail shows its code and message, and keeps its members."""
    fail = Fail("out_of_stock", "There is none left.", sku="A1")
    assert str(fail) == "out_of_stock: There is none left."
    assert fail.members == {"sku": "A1"}
