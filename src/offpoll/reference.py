"""Loads what a reference names: `orders:app`, a factory `orders:create_app`, or a call `orders:create_app("eu")`.

Decides which references are good, and what an operator reads when one is not. It runs nothing of what it loads, except the factory.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from offpoll.app import Offpoll
from offpoll.errors import ConfigurationError
from offpoll.import_faults import describe, why_missing

__all__ = ["import_named", "load_app", "load_object", "module_of"]

_FORM = "write module:attribute, for example orders:app, or orders:create_app for a function that makes it"


def load_app(reference: str) -> Offpoll:
    """Import an app by `module:attribute`, from the current folder too. A plain function that makes one is called.

    Raises:
        ConfigurationError: there is no such module or attribute, it fails to import, or it is not an Offpoll.
    """
    return _checked(reference, load_object(reference))


def load_object(reference: str) -> Any:
    """Import an object by reference, and call it if it is a factory: a plain function that needs no arguments.

    Raises:
        ConfigurationError: there is no such module or attribute, or it fails to import.
    """
    parsed = _Reference.parse(reference)
    module = import_named(parsed.module)
    found: Any = module
    for name in parsed.names:
        found = getattr(found, name, None)
        if found is None:
            raise ConfigurationError(_nothing(reference, parsed, module))
    if parsed.arguments is None and not _is_factory(found):
        return found
    return _made(reference, found, parsed.arguments or _Arguments())


def module_of(reference: str) -> str:
    """Return the name of a reference's module, if there may be one. Imports nothing.

    Raises:
        ConfigurationError: it is no reference, or there is no such module.
    """
    name = _Reference.parse(reference).module
    if name.partition(".")[0] not in sys.modules and find_spec(_from_here(name).partition(".")[0]) is None:
        raise ConfigurationError(why_missing(name, Path.cwd()))
    return name


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    """A factory's arguments, as literals in the reference."""

    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """A parsed reference. `arguments` is None if it is no call."""

    module: str
    names: tuple[str, ...]
    arguments: _Arguments | None

    @classmethod
    def parse(cls, reference: str) -> _Reference:
        module, _, expression = reference.partition(":")
        try:
            if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
                raise ValueError(module)
            node = ast.parse(expression.strip(), mode="eval").body
            arguments = None
            if isinstance(node, ast.Call):
                named = tuple((str(each.arg), ast.literal_eval(each.value)) for each in node.keywords)
                arguments = _Arguments(positional=tuple(ast.literal_eval(each) for each in node.args), named=named)
                node = node.func
            return cls(module=module, names=tuple(_names(node)), arguments=arguments)
        except (SyntaxError, ValueError):
            raise ConfigurationError(f"{reference!r} does not name an app: {_file_hint(module) or _FORM}") from None


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_names(node.value), node.attr]
    if isinstance(node, ast.Name):
        return [node.id]
    raise ValueError(ast.dump(node))


def _file_hint(module: str) -> str:
    """Return how to name the module of a file, if a file was named."""
    if not module.endswith(".py") and "/" not in module:
        return ""
    dotted = ".".join(part for part in Path(module).with_suffix("").parts if part not in (".", "/"))
    return f"name the module and not its file, for example {dotted}:app"


def import_named(name: str) -> ModuleType:
    """Import a module, from the current folder too.

    Raises:
        ConfigurationError: there is none, or it fails. The message shows where in the user's code.
    """
    folder = str(Path.cwd())
    try:
        return import_module(_from_here(name))
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(why_missing(name, Path(folder))) from error
        raise ConfigurationError(describe(f"{name} cannot be imported", error, module=name, folder=Path(folder))) from error
    except (Exception, SystemExit) as error:  # a module may call sys.exit() while it is imported
        raise ConfigurationError(describe(f"{name} cannot be imported", error, module=name, folder=Path(folder))) from error


def _from_here(name: str) -> str:
    """Let Python look in the current folder too, and return the module's name."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return name


def _is_factory(found: Any) -> bool:
    """Tell whether an object makes the app: a function that needs no arguments. Apps themselves need some, or are no functions."""
    if not inspect.isroutine(found) and not isinstance(found, partial):
        return False
    return not _needed(found)


def _needed(function: Callable[..., Any]) -> list[str]:
    """Return the parameters that a caller must give."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    filled = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in filled]


def _made(reference: str, factory: Any, arguments: _Arguments) -> Any:
    """Call a factory.

    Raises:
        ConfigurationError: it cannot be called, is async, or fails. The message shows where in the user's code.
    """
    if not callable(factory):
        raise ConfigurationError(f"{reference}: a {type(factory).__name__} cannot be called; leave out the parentheses")
    if inspect.iscoroutinefunction(factory):
        raise ConfigurationError(_async(reference))
    try:
        made = factory(*arguments.positional, **dict(arguments.named))
    except (Exception, SystemExit) as error:
        about = describe(f"{reference} failed", error, module=module_of(reference), folder=Path.cwd())
        raise ConfigurationError(about) from error
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        elif isinstance(made, asyncio.Future):
            made.cancel()
        raise ConfigurationError(_async(reference))
    return made


def _async(reference: str) -> str:
    return (
        f"{reference} is async, but an app is made before an event loop runs: write a plain def, and move what it awaits into the app's "
        f"lifespan"
    )


def _nothing(reference: str, parsed: _Reference, module: ModuleType) -> str:
    """Say that there is no such attribute, and what there is instead."""
    name = parsed.names[0]
    apps = [each for each, value in vars(module).items() if isinstance(value, Offpoll)]
    near = get_close_matches(name, [each for each in vars(module) if not each.startswith("_")], n=3)
    candidates = list(dict.fromkeys([*apps, *near]))[:5]
    hint = f"; did you mean {' or '.join(f'{parsed.module}:{each}' for each in candidates)}?" if candidates else ""
    return f"{reference} is nothing, not an Offpoll: in {parsed.module} write {name} = Offpoll(){hint}"


def _checked(reference: str, found: Any) -> Offpoll:
    if isinstance(found, Offpoll):
        return found
    module, _, name = reference.partition(":")
    if inspect.isroutine(found):
        needs = ", ".join(_needed(found))
        raise ConfigurationError(f"{reference} is a function that needs {needs}: name a function without parameters, or pass literals")
    word = type(found).__name__
    loaded = sys.modules.get(module)
    apps = [each for each, value in vars(loaded).items() if isinstance(value, Offpoll)] if loaded is not None else []
    hint = f"; did you mean {' or '.join(f'{module}:{each}' for each in apps[:5])}?" if apps else ""
    raise ConfigurationError(f"{reference} is a {word}, not an Offpoll: in {module} write {name.partition('(')[0]} = Offpoll(){hint}")
