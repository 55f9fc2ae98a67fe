"""What the OpenAPI document says of each route. Only words and schemas; no request runs this code."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from offpoll.example_input import example_input
from offpoll.json_types import schema_of
from offpoll.kind import Kind

__all__ = ["describe", "document_schema"]

_PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string", "description": "A stable word for machines"},
                },
            }
        }
    },
}

_LINK_SCHEMA = {
    "type": "object",
    "required": ["href", "expires_at"],
    "properties": {
        "href": {"type": "string", "format": "uri", "description": "Presigned URL of the status document. GET only, no credentials"},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body give the same operation; the same key with another body is refused with 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema of the status document, as it is published in `document.schema.json`."""
    schema: dict[str, Any] = json.loads(files("offpoll").joinpath("document.schema.json").read_text())
    return schema


def describe(kind: Kind) -> dict[str, dict[str, Any]]:
    """Return the arguments for FastAPI's routes of a kind: summary, answers, schemas, by route."""
    document = _without_meta(document_schema())
    ticket = {"allOf": [document, {"type": "object", "required": ["status_link"], "properties": {"status_link": _LINK_SCHEMA}}]}
    result = _inline(schema_of(kind.output_type, mode="serialization"))
    name, common = kind.name, {"tags": [kind.name], "status_code": 200, "response_model": None}
    identifier = {"name": "operation_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}

    def route(what: str, summary: str, answers: dict[str, dict[str, Any]], **extra: Any) -> dict[str, Any]:
        openapi = {"operationId": f"{what}_{name}", "responses": answers, **extra}
        return {**common, "name": f"{what}_{name}", "summary": summary, "openapi_extra": openapi}

    return {
        "submit": {
            **route(
                "submit",
                f"Accept: {name}",
                {
                    "202": _json("Accepted; poll `status_link.href`, not before `poll.not_before`", ticket, _headers()),
                    **_problems("400", "413", "415", "422", "503"),
                },
                parameters=[_KEY],
                requestBody=_request_body(kind),
            ),
            "status_code": 202,
        },
        "get": route(
            "get",
            f"Return: {name}",
            {
                "200": _json("It succeeded: the result", result),
                "202": _json("It is not done: the status document", document),
                **_problems("404", "503"),
            },
            parameters=[identifier],
        ),
        "status_link": route(
            "status_link",
            "Return a fresh status link",
            {"200": _json("A fresh link", _LINK_SCHEMA), **_problems("404", "503")},
            parameters=[identifier],
        ),
        "cancel": {
            **route(
                "cancel",
                f"Cancel: {name}",
                {"202": _json("Canceled: the status document", document), **_problems("404", "409", "503")},
                parameters=[identifier],
            ),
            "status_code": 202,
        },
    }


def _request_body(kind: Kind) -> dict[str, Any]:
    if kind.input_parameter is None:
        schema = {"type": ["object", "null"], "maxProperties": 0, "description": "It takes no input: send no body, {} or null"}
        return {"required": False, "content": {"application/json": {"schema": schema}}}
    content: dict[str, Any] = {"schema": _inline(schema_of(kind.input_type))}
    example = example_input(kind)
    return {"required": True, "content": {"application/json": content if example is None else {**content, "example": example}}}


def _json(description: str, schema: dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": {"application/json": {"schema": schema}}}
    return answer if headers is None else {**answer, "headers": headers}


def _problems(*statuses: str) -> dict[str, Any]:
    return dict.fromkeys(statuses, _PROBLEM)


def _headers() -> dict[str, Any]:
    return {
        "Location": {"description": "Where the order will be", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds until the first poll is worth it", "schema": {"type": "integer"}},
    }


def _without_meta(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if not name.startswith("$")}


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """Put a schema's own definitions where they are referred to: the pieces of an OpenAPI document have no `$defs` of their own."""
    definitions = schema.get("$defs", {})

    def resolved(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolved(each, inside) for each in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).rpartition("/")[2]
        if "$ref" in node and name in definitions:
            if name in inside:
                return {"description": f"{name}, again"}  # a recursive model: one level is shown
            return resolved({**definitions[name], **{key: value for key, value in node.items() if key != "$ref"}}, (*inside, name))
        return {key: resolved(value, inside) for key, value in node.items() if key != "$defs"}

    inlined: dict[str, Any] = resolved(schema, ())
    return inlined
