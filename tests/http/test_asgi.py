"""The API as an ASGI application: what FastAPI adds, and what it must not change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from offpoll import Offpoll, Service, Settings, application, router
from offpoll.board import StatusBoard
from offpoll.dependencies import Dependencies
from offpoll.memory_store import MemoryDocumentStore
from offpoll.queue import MemoryQueue
from offpoll.records import MemoryRecords
from offpoll.service_times import MemoryServiceTimes


class Order(BaseModel):
    """An order."""

    sku: str


def service() -> Service:
    """Return a service in memory."""
    app = Offpoll()

    @app.operation("order")
    async def create_order(order: Order) -> Order:
        return order

    dependencies = Dependencies(
        board=StatusBoard(store=MemoryDocumentStore()),
        queue=MemoryQueue(),
        dead_letters=MemoryQueue(),
        parking=MemoryQueue(),
        records=MemoryRecords(),
        service_times=MemoryServiceTimes(),
    )
    return Service(app, settings=Settings(secret="0" * 32, input_limit=1000), dependencies=dependencies)


def call(
    api: FastAPI, method: str, path: str, *parts: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, dict[bytes, bytes], Any]:
    """Call an ASGI application as a server does, and return status, headers and the JSON."""
    sent: list[dict[str, Any]] = []
    body = list(parts) or [b""]
    reads: list[int] = []

    async def receive() -> dict[str, Any]:
        reads.append(1)
        if not body:
            raise AssertionError("read on after the end, or after the limit")
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [(b"host", b"api.test"), *headers],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    asyncio.run(api(scope, receive, send))  # type: ignore[arg-type]
    content = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(content) if content else None


def api_of(kind: str) -> FastAPI:
    """Return the API, alone or as a part of another one."""
    if kind == "application":
        return application(service())
    api = FastAPI()
    api.include_router(router(service()), prefix="/v1")
    return api


@pytest.mark.parametrize(("kind", "prefix"), [("application", ""), ("router", "/v1")])
def test_submit(kind: str, prefix: str) -> None:
    """A ticket, in header names that ASGI takes (lowercase), with links that hold where the routes are."""
    status, headers, ticket = call(api_of(kind), "POST", f"{prefix}/order", b'{"sku":', b'"A1"}')
    assert status == 202
    assert all(name == name.lower() for name in headers)
    assert headers[b"location"].decode() == f"{prefix}/order/{ticket['id']}"
    assert headers[b"cache-control"] == b"no-store"
    assert ticket["links"]["self"] == f"http://api.test{prefix}/order/{ticket['id']}"


@pytest.mark.parametrize(("kind", "prefix"), [("application", ""), ("router", "/v1")])
def test_a_body_over_the_limit_is_not_read_whole(kind: str, prefix: str) -> None:
    """A chunked body is refused at the first byte too many; one that says its length, before anything is read."""
    chunks = [b"x" * 400] * 3 + [b"never read"] * 5
    status, _, problem = call(api_of(kind), "POST", f"{prefix}/order", *chunks)
    assert (status, problem["code"]) == (413, "input_too_large")
    status, _, problem = call(api_of(kind), "POST", f"{prefix}/order", b"x", headers=[(b"content-length", b"1001")])
    assert (status, problem["code"]) == (413, "input_too_large")


@pytest.mark.parametrize(
    ("method", "path", "expected"), [("GET", "/nothing/at/all", 404), ("DELETE", "/order", 405), ("GET", "/order", 405)]
)
def test_what_the_router_refuses_is_a_problem_document_too(method: str, path: str, expected: int) -> None:
    """An unknown path and a wrong method are answered as every other error is."""
    status, headers, problem = call(api_of("application"), method, path)
    assert (status, headers[b"content-type"], problem["status"]) == (expected, b"application/problem+json", expected)
    if expected == 405:
        assert headers[b"allow"] == b"POST"


def test_openapi() -> None:
    """Every route is described: its input, its answers, its problems; and the docs page is there."""
    api = api_of("application")
    status, _, document = call(api, "GET", "/openapi.json")
    assert status == 200
    assert set(document["paths"]) == {
        "/order", "/order/{operation_id}", "/order/{operation_id}/status-link", "/order/{operation_id}/cancel", "/livez", "/readyz",
    }  # fmt: skip
    submit = document["paths"]["/order"]["post"]
    assert submit["requestBody"]["content"]["application/json"]["schema"]["properties"]["sku"]["type"] == "string"
    assert {"202", "400", "413", "422", "503"} <= set(submit["responses"])
    assert "/docs" in {getattr(route, "path", "") for route in api.routes}
