"""Puts an object's JSON under the names by which pydantic reads it. Those by which it writes may be others: a field has an alias for each.

Decides two more things about an input's JSON. A field that the caller left out and that is None stays out, so that the handler's
`model_fields_set` does not have it. A set becomes a sorted array, so that the same set always gives the same digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["under_input_names"]


def under_input_names(value: Any, form: Any) -> Any:
    """Return the JSON form of an object with each field under the name that pydantic's validation looks for.

    Args:
        value: the object.
        form: its JSON form with each field under its own name, as `model_dump(mode="json", by_alias=False)` writes it.
    """
    if getattr(type(value), "__pydantic_root_model__", False):
        return under_input_names(value.root, form)
    fields = getattr(type(value), "__pydantic_fields__", None)
    if isinstance(form, dict):
        if isinstance(fields, dict):
            return _renamed(value, form, fields)
        if isinstance(value, Mapping) and len(value) == len(form):
            return {name: under_input_names(each, form[name]) for each, name in zip(value.values(), form, strict=True)}
        return {name: under_input_names(getattr(value, name, None), each) for name, each in form.items()}
    if isinstance(form, list) and isinstance(value, list | tuple | set | frozenset) and len(value) == len(form):
        items = [under_input_names(*each) for each in zip(value, form, strict=True)]
        return sorted(items, key=json.dumps) if isinstance(value, set | frozenset) else items
    return form


def _renamed(value: Any, form: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    given = getattr(value, "__pydantic_fields_set__", None)
    by_name = _config(value).get("validate_by_alias") is False
    for name, each in form.items():
        held = getattr(value, name, None)
        if each is None and held is None and given is not None and name not in given:
            continue
        alias = None if by_name or name not in fields else fields[name].validation_alias
        _put(named, _path(alias) or [name], under_input_names(held, each))
    return named


def _config(value: Any) -> Mapping[str, Any]:
    of = type(value)
    config: Mapping[str, Any] = getattr(of, "model_config", None) or getattr(of, "__pydantic_config__", None) or {}
    return config


def _path(alias: Any) -> list[str | int]:
    """Return where validation looks first: an alias is a name, a path (AliasPath), or a choice of them (AliasChoices)."""
    if isinstance(alias, str):
        return [alias]
    if alias is None:
        return []
    choices: Iterable[Any] = getattr(alias, "choices", ())
    for choice in choices:
        return _path(choice)
    return list(alias.path)


def _put(target: Any, path: list[str | int], value: Any) -> None:
    """Put a value at a path of names and indexes, making what is on the way."""
    first, rest = path[0], path[1:]
    if isinstance(target, list) and isinstance(first, int):
        target.extend([None] * (first + 1 - len(target)))
    if not rest:
        target[first] = value
        return
    inside = target.get(first) if isinstance(target, dict) else target[first]
    if inside is None:
        inside = target[first] = [] if isinstance(rest[0], int) else {}
    _put(inside, rest, value)
