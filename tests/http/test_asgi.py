"""The API as an ASGI application: what FastAPI adds, and what it must not change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from tests.support.memory_dependencies import memory_dependencies

from offpoll import AsyncService, Offpoll, Settings, application, router


class Order(BaseModel):
    """An order."""

    sku: str


SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b"", "root_path": "",
    "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
}  # fmt: skip


def service() -> AsyncService:
    """Return a service in memory."""
    app = Offpoll()

    @app.operation("order")
    async def create_order(order: Order) -> Order:
        return order

    dependencies = memory_dependencies()
    return AsyncService(app, settings=Settings(secret="0" * 32, input_limit=1000), dependencies=dependencies)


def call(
    api: FastAPI,
    method: str,
    path: str,
    *parts: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    raw_path: bytes | None = b"",
) -> tuple[int, dict[bytes, bytes], Any]:
    """Call an ASGI application as a server does, and return status, headers and JSON."""
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

    scope = {**SCOPE, "method": method, "path": path, "raw_path": raw_path, "headers": [(b"host", b"api.test"), *headers]}
    asyncio.run(api(scope, receive, send))  # type: ignore[arg-type]
    content = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(content) if content else None


def api_of(kind: str) -> FastAPI:
    """Return the API, alone or as a part of another app."""
    if kind == "application":
        return application(service())
    api = FastAPI()
    api.include_router(router(service()), prefix="/v1")
    return api


@pytest.mark.parametrize(("kind", "prefix"), [("application", ""), ("router", "/v1")])
def test_submit(kind: str, prefix: str) -> None:
    """A submit returns a ticket with lowercase header names, as ASGI demands, and with links below the routes' prefix."""
    status, headers, ticket = call(api_of(kind), "POST", f"{prefix}/order", b'{"sku":', b'"A1"}')
    assert status == 202
    assert all(name == name.lower() for name in headers)
    assert headers[b"location"].decode() == f"{prefix}/order/{ticket['id']}"
    assert headers[b"cache-control"] == b"no-store"
    assert ticket["links"]["self"] == f"http://api.test{prefix}/order/{ticket['id']}"


@pytest.mark.parametrize(("kind", "prefix"), [("application", ""), ("router", "/v1")])
def test_a_body_over_the_limit_is_not_read_whole(kind: str, prefix: str) -> None:
    """A chunked body is refused at the first byte too many; one with a Content-Length, before anything is read."""
    chunks = [b"x" * 400] * 3 + [b"never read"] * 5
    status, _, problem = call(api_of(kind), "POST", f"{prefix}/order", *chunks)
    assert (status, problem["code"]) == (413, "input_too_large")
    status, _, problem = call(api_of(kind), "POST", f"{prefix}/order", b"x", headers=[(b"content-length", b"1001")])
    assert (status, problem["code"]) == (413, "input_too_large")


@pytest.mark.parametrize(
    ("method", "path", "expected"), [("GET", "/nothing/at/all", 404), ("DELETE", "/order", 405), ("GET", "/order", 405)]
)
def test_router_errors_are_problem_documents(method: str, path: str, expected: int) -> None:
    """An unknown path or a wrong method gets a problem document, like every other error."""
    status, headers, problem = call(api_of("application"), method, path)
    assert (status, headers[b"content-type"], problem["status"]) == (expected, b"application/problem+json", expected)
    if expected == 405:
        assert headers[b"allow"] == b"POST"


@pytest.mark.parametrize(
    ("prefix", "path", "sent", "base"),
    [
        ("/t/{tenant}", "/t/a b", "/t/a%20b", "/t/a%20b"),
        ("/t/{tenant}", "/t/a\nb", "/t/a%0Ab", "/t/a%0Ab"),
        ("/t/{tenant}", "/t/é", "/t/%c3%a9", "/t/%c3%a9"),
        ("/t/{tenant}", "/t/a\nb", None, "/t/a%0Ab"),
    ],
)
def test_a_prefix_with_parameters(prefix: str, path: str, sent: str | None, base: str) -> None:
    """Under a prefix with parameters, every route finds its operation, and links have the path as the client sent it, encoded."""
    api = FastAPI()
    api.include_router(router(service()), prefix=prefix)
    raw = None if sent is None else f"{sent}/order".encode()
    status, headers, ticket = call(api, "POST", f"{path}/order", b'{"sku":"A1"}', raw_path=raw)
    assert status == 202
    assert headers[b"location"].decode() == f"{base}/order/{ticket['id']}"
    assert ticket["links"]["self"] == f"http://api.test{base}/order/{ticket['id']}"
    assert call(api, "GET", f"{path}/order/{ticket['id']}")[0] == 202
    assert call(api, "POST", f"{path}/order/{ticket['id']}/cancel")[0] == 202


@pytest.mark.parametrize("kind", ["application", "router"])
def test_a_client_that_goes_away(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A client that closes the connection while its body is read gets no answer, and nothing is logged, as it is no fault."""
    api, sent = api_of(kind), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**SCOPE, "method": "POST", "path": "/order" if kind == "application" else "/v1/order", "headers": [(b"host", b"api.test")]}
    asyncio.run(api(scope, receive, send))  # type: ignore[arg-type]
    assert not [record for record in caplog.records if record.name.startswith("offpoll")]
    assert kind == "router" or not sent


def test_white_space_around_a_header_is_not_part_of_it() -> None:
    """Whitespace around a key, which a proxy may add or remove, does not change the operation."""
    api = api_of("application")
    ids = {call(api, "POST", "/order", b'{"sku":"A1"}', headers=[(b"idempotency-key", key)])[2]["id"] for key in (b"k", b" k", b"k \t")}
    assert len(ids) == 1


def test_dependencies_of_the_surrounding_app_are_run() -> None:
    """Dependencies that a FastAPI app declares for the included routes run, so its guards protect them too."""

    async def refuse() -> None:
        raise HTTPException(401)

    api = FastAPI()
    api.include_router(router(service()), dependencies=[Depends(refuse)])
    assert call(api, "POST", "/order", b'{"sku":"A1"}')[0] == 401


def test_openapi() -> None:
    """OpenAPI describes the input, answers and problems of every route, and there is a docs page."""
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
