"""Finds an example input for a kind in its type's JSON Schema, from `examples` and `default`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from offpoll.errors import InvalidInput
from offpoll.kind import Kind

__all__ = ["example_input"]


class _NoExample(Exception):  # noqa: N818 - ends a recursion; not an error
    """A required part has neither an example nor a default."""


def example_input(kind: Kind) -> Any:
    """Return the type's first example, else one built from its properties' examples and defaults; None if those are not enough."""
    schema = kind.input_type.json_schema()
    try:
        value = _example(schema, schema.get("$defs", {}))
        kind.accept(json.dumps(value).encode())
    except (_NoExample, InvalidInput):
        return None
    return value


def _example(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return _example(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("type") == "object":
        required, properties = schema.get("required", ()), schema.get("properties", {})
        return {name: _example(each, definitions) for name, each in properties.items() if name in required or each.get("examples")}
    raise _NoExample
