"""Describes inputs as pydantic reads them, also where a field is inside of another (`AliasPath`), which pydantic's own schema omits.

Imports pydantic: nothing that a cold start needs may import this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

__all__ = ["InputSchema"]


class InputSchema(GenerateJsonSchema):
    """Writes pydantic's JSON Schemas, with each field where validation looks first."""

    def model_fields_schema(self, schema: Any) -> dict[str, Any]:
        """Describe a model's fields."""
        made = super().model_fields_schema(schema)
        if self.mode == "validation":
            for name, field in schema["fields"].items():
                path = _path(field.get("validation_alias"))
                if path and name in made["properties"]:
                    required = name in made.get("required", ())
                    if required:
                        made["required"].remove(name)
                    _put(made, path, made["properties"].pop(name), required=required)
        return made


def _path(alias: Any) -> list[str | int] | None:
    """Return the path of a field that has no name of its own; None if it has one."""
    if not isinstance(alias, list) or any(isinstance(each, list) and len(each) == 1 for each in alias):
        return None
    path: list[str | int] = alias[0] if isinstance(alias[0], list) else alias
    return path if len(path) > 1 else None


def _put(schema: dict[str, Any], path: list[str | int], described: Mapping[str, Any], *, required: bool) -> None:
    """Put a description at a path into a schema, making objects and arrays on the way."""
    first, rest = path[0], path[1:]
    parts: Any
    if isinstance(first, int):
        items = schema.setdefault("prefixItems", [])
        items.extend({} for _ in range(first + 1 - len(items)))
        schema["type"], parts = "array", items
        if required:
            schema["minItems"] = max(first + 1, schema.get("minItems", 0))
    else:
        schema["type"], parts = "object", schema.setdefault("properties", {})
        if required and first not in schema.setdefault("required", []):
            schema["required"].append(first)
    if rest:
        inside = parts[first] if isinstance(first, int) else parts.setdefault(first, {})
        _put(inside, rest, described, required=required)
    else:
        parts[first] = dict(described)
