"""Finds an input that a kind takes, to try it with and to show in OpenAPI: from the type's own examples, else made from its JSON Schema.

Decides what to try, in which order: the examples that the type gives (`examples` and `example`, of the whole, then of its fields);
the least that is required; everything; then other members of unions and enums. It returns the first that the kind accepts, always the
same one. If none is valid, it tries other texts where one is wrong. A user's validator can ask for things that no schema says:
then there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

from offpoll.errors import InvalidInput
from offpoll.json_types import schema_of
from offpoll.kind import Kind
from offpoll.values.example_scalars import TEXTS, number, text
from offpoll.values.pattern_text import matching

__all__ = ["example_input"]

#: How many members of a union or an enum are tried, at most.
TURNS = 8

#: How many inputs are tried, and how many texts are replaced in one.
CANDIDATES = 80
MENDED = 20

#: How often a type may occur inside itself.
NESTED = 1

#: Keys to try for a dict. Its schema does not say of which type they are.
KEYS = ("key", "1", "2030-01-01", "00000000-0000-4000-8000-000000000001", "true")

_WORDS = ("const", "enum", "anyOf", "oneOf", "allOf", "$ref", "type")


class _NoExample(Exception):  # noqa: N818 - ends a recursion; not an error
    """There is no example of a part, as far as can be seen."""


def example_input(kind: Kind) -> Any:
    """Return an input that the kind accepts, as JSON values; `{}` for a kind without input. None if none was found: ask the user."""
    if kind.input_parameter is None:
        return {}
    schema = schema_of(kind.input_type)
    made = list(islice(_candidates(schema), CANDIDATES))
    for value in made:
        if _fault(kind, value) is None:
            return value
    return next((value for value in (_mended(kind, value) for value in made[:2]) if _fault(kind, value) is None), None)


def _fault(kind: Kind, value: Any) -> str | None:
    """Return where an input is wrong, as a JSON pointer; None if it is right."""
    try:
        kind.accept(json.dumps(value).encode())
    except InvalidInput as error:
        errors: Any = error.members.get("errors")
        return str(errors[0]["pointer"]) if errors else "?"
    except Exception:  # a validator of the user's may raise anything
        return "?"
    return None


def _mended(kind: Kind, value: Any) -> Any:
    """Try other texts wherever one is wrong: a datetime of msgspec's, for one, is any text in its schema."""
    at = _fault(kind, value)
    for _ in range(MENDED):
        found = next((each for each in _with_texts(value, at) if _fault(kind, each) != at), None) if at is not None else None
        if found is None:
            break
        value, at = found, _fault(kind, found)
    return value


def _with_texts(value: Any, pointer: str) -> Iterator[Any]:
    """Yield copies of a value with another text in one place, if there is a text."""
    for each in TEXTS:
        whole = {"": deepcopy(value)}
        inside: Any = whole
        try:
            *way, last = ["", *(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])]
            for part in way:
                inside = inside[int(part) if isinstance(inside, list) else part]
            name = int(last) if isinstance(inside, list) else last
            if not isinstance(inside[name], str):
                return
            inside[name] = each
        except (LookupError, ValueError, TypeError):
            return
        yield whole[""]


def _candidates(schema: Mapping[str, Any]) -> Iterator[Any]:
    maker = _Maker(definitions=schema.get("$defs", {}))
    whole = maker.resolved(schema)
    yield from _said(whole)
    for said, rich, turn, everything in product((True, False), (True, False), range(TURNS), (False, True)):
        made = replace(maker, said=said, turn=turn, rich=rich, everything=everything)
        try:
            yield made.of(whole)
        except (_NoExample, ValueError, TypeError, KeyError, IndexError, RecursionError):  # a schema that the user wrote may be no schema
            continue


def _said(schema: Mapping[str, Any]) -> list[Any]:
    """Return the examples in a schema, and its default."""
    examples = schema.get("examples", [])
    return [*(examples if isinstance(examples, list) else []), *(schema[name] for name in ("example", "default") if name in schema)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Maker:
    """Makes values for a schema.

    Attributes:
        definitions: what its references mean.
        said: whether it uses the examples in the schema.
        turn: which members of unions and enums come first.
        rich: whether an array or a dict gets an element that it need not have.
        everything: whether an object gets the fields that it need not have.
        inside: the definitions on the way here.
    """

    definitions: Mapping[str, Any]
    said: bool = True
    turn: int = 0
    rich: bool = True
    everything: bool = False
    inside: tuple[str, ...] = ()

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a schema with what it refers to, of one level."""
        while "$ref" in schema:
            referred = self.definitions[str(schema["$ref"]).rpartition("/")[2]]
            schema = {**referred, **{name: each for name, each in schema.items() if name != "$ref"}}
        for part in schema.get("allOf", ()):
            schema = {**self.resolved(part), **schema}
        return schema

    def of(self, schema: Any) -> Any:
        """Return a value for a schema.

        Raises:
            _NoExample: there is none.
        """
        if not isinstance(schema, Mapping):
            return {}
        if "$ref" in schema:
            name = str(schema["$ref"])
            if self.inside.count(name) >= NESTED:
                raise _NoExample
            return replace(self, inside=(*self.inside, name)).of(self.resolved({**schema}))
        schema = self.resolved(schema)
        if self.said and (said := _said(schema)):
            return said[0]
        if "const" in schema or schema.get("enum"):
            values = [schema["const"]] if "const" in schema else schema["enum"]
            values = [each for each in values if each is not None] or values
            return values[self.turn % len(values)]
        members = schema.get("anyOf") or schema.get("oneOf")
        return self._of_type(schema) if members is None else self._member(members)

    def _of_type(self, schema: Mapping[str, Any]) -> Any:
        name = schema.get("type")
        if isinstance(name, list):
            return self._member([{**schema, "type": each} for each in name])
        makers: Mapping[Any, Callable[[Mapping[str, Any]], Any]] = {
            "string": self._text,
            "integer": lambda each: number(each, self.turn, whole=True),
            "number": lambda each: number(each, self.turn, whole=False),
            "boolean": lambda _: self.turn % 2 == 0,
            "null": lambda _: None,
            "array": self._array,
            "object": self._object,
        }
        if name in makers:
            return makers[name](schema)
        return self._object(schema) if "properties" in schema else {}

    def _member(self, members: list[Any]) -> Any:
        """Return a value of a union: of the member whose turn it is, or of the next that has one; null only if nothing else is left."""
        ordered = [each for each in members if not _is_null(each)]
        ordered = [*ordered[self.turn % len(ordered) :], *ordered[: self.turn % len(ordered)]] if ordered else []
        for each in (*ordered, *(each for each in members if _is_null(each))):
            try:
                return self.of(each)
            except (_NoExample, ValueError):
                continue
        raise _NoExample

    def _text(self, schema: Mapping[str, Any]) -> str:
        if schema.get("contentMediaType") == "application/json":
            return json.dumps(self.of(schema.get("contentSchema", {})))
        return text(schema, self.turn)

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        first = [self.of(each) for each in schema.get("prefixItems", ())]
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        items = schema.get("items", {})
        wanted = max(least, 1 if self.rich and "items" in schema and items is not False else 0, len(first))
        wanted = wanted if most is None else min(wanted, most)
        made = list(first)
        for index in range(len(first), wanted):
            try:
                made.append(self._another(items, made, index, unique=bool(schema.get("uniqueItems"))))
            except (_NoExample, ValueError):
                if len(made) < least:
                    raise _NoExample from None
                break
        return made

    def _another(self, items: Any, made: list[Any], index: int, *, unique: bool) -> Any:
        if not unique:
            return self.of(items)
        for turn in range(index, index + 64):
            each = replace(self, turn=self.turn + turn, said=self.said and turn == 0).of(items)
            if each not in made:
                return each
        raise _NoExample

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        required, made = set(schema.get("required", ())), {}
        for name, each in schema.get("properties", {}).items():
            if name in required:
                made[name] = self.of(each)
            elif self.everything or self._is_told(each):
                try:
                    made[name] = self.of(each)
                except (_NoExample, ValueError):
                    continue
        self._add_entries(made, schema, least=int(schema.get("minProperties", 0)))
        return made

    def _is_told(self, schema: Any) -> bool:
        """Tell whether a field is worth showing though it is not required: it has an example, or is what tells a union's members apart."""
        if not isinstance(schema, Mapping):
            return False
        return "const" in schema or (self.said and bool(schema.get("examples") or "example" in schema))

    def _add_entries(self, made: dict[str, Any], schema: Mapping[str, Any], *, least: int) -> None:
        """Add entries to an object that has them under any name."""
        for pattern, each in schema.get("patternProperties", {}).items():
            made[matching(pattern) or "a"] = self.of(each)
        values = schema.get("additionalProperties", {})
        wanted = max(least, 1 if self.rich and isinstance(values, Mapping) and any(word in values for word in _WORDS) else 0)
        names = schema.get("propertyNames", {"type": "string"})
        for index in range(wanted - len(made)):
            plain = KEYS[self.turn % len(KEYS)] if names == {"type": "string"} else None
            key = plain if plain is not None and not index else self._key(names, index)
            try:
                made[key] = self.of(values)
            except (_NoExample, ValueError):
                if len(made) < least:
                    raise _NoExample from None

    def _key(self, names: Any, index: int) -> str:
        made = replace(self, turn=self.turn + index, said=False).of(names)
        return made if isinstance(made, str) else json.dumps(made)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"
