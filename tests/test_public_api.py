"""The names in `import offpoll`, and the cost of importing it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import offpoll
import offpoll.testing

HEAVY = ("boto3", "botocore", "fastapi", "starlette", "typer", "rich", "pydantic", "uvicorn", "ministack", "asyncio")


def test_all_is_pinned() -> None:
    """Adding or removing a public name is a decision, recorded here."""
    assert sorted(offpoll.__all__) == [
        "ApiError",
        "ApiUnavailable",
        "AsyncClient",
        "AsyncService",
        "AsyncStatusBoard",
        "Caller",
        "Client",
        "ConfigurationError",
        "Document",
        "Fail",
        "Forbidden",
        "InvalidInput",
        "Offpoll",
        "OffpollError",
        "Operation",
        "OperationCanceled",
        "OperationFailed",
        "Progress",
        "Service",
        "Settings",
        "Snapshot",
        "StatusBoard",
        "Ticket",
        "Unauthorized",
        "WaitResult",
        "WaitTimeout",
        "application",
        "async_connect",
        "async_status_board",
        "connect",
        "router",
        "status_board",
        "wsgi_application",
    ]


@pytest.mark.parametrize("name", offpoll.__all__)
def test_every_name_can_be_loaded(name: str) -> None:
    """Each public name can be loaded, and `dir` lists it."""
    assert getattr(offpoll, name) is not None
    assert name in dir(offpoll)


def public() -> list[tuple[str, Callable[..., Any]]]:
    """Return every function of the public API, and every method, property and constructor of its classes, by name."""
    found: list[tuple[str, Callable[..., Any]]] = []
    for name, thing in [(name, getattr(module, name)) for module in (offpoll, offpoll.testing) for name in module.__all__]:
        if inspect.isfunction(thing):
            found.append((name, thing))
        elif inspect.isclass(thing):
            for each in thing.__mro__:
                if each is thing or each.__module__ == thing.__module__:
                    found += [(f"{name}.{key}", function) for key, value in vars(each).items() for function in functions(key, value)]
    return found


def functions(key: str, value: Any) -> list[Callable[..., Any]]:
    """Return the function behind a public attribute of a class."""
    if key.startswith("_") and key != "__init__":
        return []
    value = getattr(value, "fget", value) if isinstance(value, property) else getattr(value, "__func__", value)
    return [value] if inspect.isfunction(value) else []


def test_everything_is_typed() -> None:
    """Every argument and result has a type, and no `**arguments` is typed Any."""
    for name, function in public():
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.name not in {"self", "cls"}]
        assert signature.return_annotation is not inspect.Signature.empty, name
        assert [each.name for each in own if each.annotation is inspect.Parameter.empty] == [], name
        assert [each.name for each in own if each.kind is inspect.Parameter.VAR_KEYWORD and str(each.annotation) == "Any"] == [], name


def test_type_checkers_see_every_name() -> None:
    """The files that mypy and pyright check use each function, method and property."""
    folder = Path(__file__).parent / "typing"
    nodes = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {node.id for node in nodes if isinstance(node, ast.Name)}
    names = {name.removesuffix(".__init__").rpartition(".")[2] for name, _ in public()}
    assert names - used == {"of"}  # only the code that runs handlers calls Operation.of


def test_an_unknown_name() -> None:
    """A private or unknown name raises AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = offpoll.Nothing


def loaded(code: str) -> set[str]:
    found = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_pulls_in_nothing_heavy() -> None:
    """Importing the package alone loads nothing heavy."""
    assert not loaded("import offpoll") & set(HEAVY)


def test_a_client_needs_no_server() -> None:
    """A client loads no web framework, no AWS SDK and no pydantic."""
    assert not loaded("from offpoll import Client, AsyncClient, Ticket, Fail, WaitTimeout") & set(HEAVY[:-1])
