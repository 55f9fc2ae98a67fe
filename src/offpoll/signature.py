"""Reads a handler's signature: which parameter is the input, which the operation, and the types of input and result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from offpoll.errors import ConfigurationError
from offpoll.json_types import Adapter, adapter_of
from offpoll.operation import Operation
from offpoll.result_json import secret_in_schema

__all__ = ["Signature", "signature_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """What a handler takes and returns; see `Kind` for the attributes."""

    input_type: Adapter
    output_type: Adapter
    input_parameter: str | None
    operation_parameter: str | None


def signature_of(name: str, handler: Callable[..., Any]) -> Signature:
    """Read the signature of the handler of a kind.

    Raises:
        ConfigurationError: no operation can be handled by such a function; the message says why.
    """
    hints = _hints(name, handler)
    input_parameter, operation_parameter = _parameters(name, handler, hints)
    return Signature(
        input_type=_adapter(name, hints.get(input_parameter or "", Any)),
        output_type=_output_adapter(name, hints.get("return", Any)),
        input_parameter=input_parameter,
        operation_parameter=operation_parameter,
    )


def _hints(name: str, handler: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"the handler of {name!r} has an annotation that cannot be resolved: {error}. Define the type at module level"
        ) from error
    except TypeError as error:
        raise ConfigurationError(f"the handler of {name!r} has annotations that cannot be read; make it a function: {error}") from error


def _parameters(name: str, handler: Callable[..., Any], hints: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the names of the handler's input and of its Operation, None for one that it does not have."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the handler of {name!r} has no signature that can be read; make it a function: {error}") from error
    operations = [each.name for each in parameters if hints.get(each.name) is Operation]
    inputs = [each.name for each in parameters if each.name not in operations and each.default is each.empty]
    unnamed = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    optional = not inputs and len(parameters) > len(operations)  # is that parameter its input? No caller could leave it out
    if len(inputs) > 1 or optional or len(operations) > 1 or unnamed:
        raise ConfigurationError(
            f"the handler of {name!r} takes {', '.join(str(each) for each in parameters)}; it may take one input, by name and without a "
            "default, and one parameter of type offpoll.Operation"
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError(f"the handler of {name!r} is a generator; it must return its result")
    return inputs[0] if inputs else None, operations[0] if operations else None


def _adapter(name: str, type_: Any) -> Adapter:
    try:
        return adapter_of(type_)
    except TypeError as error:
        raise ConfigurationError(
            f"{type_!r} in the handler of {name!r} has no JSON form that pydantic or msgspec knows: {error}"
        ) from error


def _output_adapter(name: str, type_: Any) -> Adapter:
    adapter = _adapter(name, type_)
    if secret_in_schema(adapter):
        raise ConfigurationError(
            f"{type_!r}, which the handler of {name!r} returns, has a secret that pydantic writes as asterisks: return a str, give the "
            "field a serializer, or leave it out with exclude=True"
        )
    return adapter
