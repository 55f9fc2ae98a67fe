"""Lets pydantic read `typing.TypedDict` before Python 3.12, where it takes only that of `typing_extensions`."""

from __future__ import annotations

import sys
import types
import typing
from functools import reduce
from operator import or_
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["readable"]


def readable(type_: Any) -> Any:
    """Return the type with each `typing.TypedDict` in it as pydantic reads it; the type itself if there is nothing to do.

    Raises:
        TypeError: a `typing.TypedDict` contains itself.
    """
    return type_ if sys.version_info >= (3, 12) else _readable(type_, ())


def _readable(type_: Any, inside: tuple[Any, ...]) -> Any:
    if is_typeddict(type_) and type(type_).__module__ == "typing":
        return _rebuilt(type_, inside)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return Annotated[(_readable(arguments[0], inside), *arguments[1:])]
    if origin is None or origin is typing.Literal:
        return type_
    made = tuple(_readable(each, inside) for each in arguments)
    if made == arguments:
        return type_
    return reduce(or_, made) if origin in (types.UnionType, typing.Union) else origin[made]


def _rebuilt(type_: Any, inside: tuple[Any, ...]) -> Any:
    import typing_extensions  # noqa: PLC0415 - comes with pydantic, which plain types do without

    if type_ in inside:
        raise TypeError(f"{type_.__name__} contains itself: before Python 3.12 take TypedDict from typing_extensions")
    hints = get_type_hints(type_, include_extras=True)
    fields = {}
    for name, hint in hints.items():
        marked = get_origin(hint) in (typing.Required, typing.NotRequired)
        # `__required_keys__` is wrong about a marked field whose annotation is text: Python 3.11 does not look into that.
        required = get_origin(hint) is typing.Required if marked else name in type_.__required_keys__
        mark = typing_extensions.Required if required else typing_extensions.NotRequired
        fields[name] = mark[_readable(get_args(hint)[0] if marked else hint, (*inside, type_))]
    make: Any = typing_extensions.TypedDict
    made = make(type_.__name__, fields)
    made.__doc__, made.__module__ = type_.__doc__, type_.__module__
    config = getattr(type_, "__pydantic_config__", None)
    if config is not None:
        made.__pydantic_config__ = config
    return made
