"""An input to try a kind with, from what its type says about itself: JSON Schema's `examples` and `default`. Decides nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from offpoll.errors import InvalidInput
from offpoll.kind import Kind

__all__ = ["example_input"]


class _NoExample(Exception):  # noqa: N818 - the way out of a recursion
    """Nothing is said about some required part."""


def example_input(kind: Kind) -> Any:
    """Return the type's own first example, else one built of its properties' examples and defaults; None where that is not enough."""
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
