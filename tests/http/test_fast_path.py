"""The fast path: whichever way a request takes, its response is the same, and a kind's request costs no framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from tests.support.fast_apis import FAST, GOOD, LIMIT, Passing, Sent, World, behind_middleware, by_router, by_serve, call

from offpoll import application

Run = Callable[[Coroutine[Any, Any, Any]], Any]

#: Requests for a route, each with the status of its response.
ROUTED: list[tuple[str, str, bytes, list[tuple[bytes, bytes]], int]] = [
    ("POST", "/order", GOOD, [], 202),
    ("POST", "/order", GOOD, [(b"idempotency-key", b"k"), (b"idempotency-key", b"other")], 202),
    ("POST", "/order", GOOD, [(b"idempotency-key", b"queued")], 422),
    ("POST", "/order", b"{", [], 400),
    ("POST", "/order", b"{}", [], 422),
    ("POST", "/order", b"x" * (LIMIT + 1), [], 413),
    ("POST", "/order", b"x", [(b"content-length", b"1001")], 413),
    ("POST", "/order", GOOD, [(b"x-nobody", b"")], 401),
    ("POST", "/order", GOOD, [(b"x-broken", b"")], 500),
    ("POST", "/report", b"[1]", [], 202),
    ("GET", "/order/<queued>", b"", [], 202),
    ("GET", "/order/<succeeded>", b"", [], 200),
    ("GET", "/order/<succeeded>", b"", [(b"if-none-match", b"*")], 304),
    ("GET", "/order/<failed>", b"", [], 404),
    ("GET", "/order/<failed>", b"", [(b"x-nobody", b"")], 401),
    ("GET", "/report/<queued>", b"", [], 404),
    ("GET", "/order/{operation_id}", b"", [], 404),
    ("GET", "/order/a b", b"", [], 404),
    ("GET", "/order/é\n", b"", [], 404),
    ("POST", "/order/<queued>/status-link", b"", [], 200),
    ("POST", "/order/{operation_id}/status-link", b"", [], 404),
    ("POST", "/order/<queued>/cancel", b"", [], 202),
    ("POST", "/order/<succeeded>/cancel", b"", [], 409),
    ("GET", "/livez", b"", [], 200),
    ("GET", "/readyz", b"", [], 200),
]

#: Requests that are no route's, or nearly so.
ODD = [
    ("HEAD", "/order/<queued>", 202), ("HEAD", "/livez", 200), ("HEAD", "/order", 405), ("OPTIONS", "/order", 405), ("PUT", "/order", 405),
    ("DELETE", "/order/<queued>", 405), ("GET", "/order", 405), ("POST", "/order/<queued>", 405), ("GET", "/order/<queued>/cancel", 405),
    ("POST", "/order/", 202), ("GET", "/order/", 405), ("GET", "/order/<queued>/", 202), ("GET", "/livez/", 200),
    ("POST", "/order/<queued>/cancel//", 202), ("GET", "/order/<queued>/cancel/", 405), ("GET", "/invoice/", 404),
    ("POST", "//order", 404), ("GET", "//order/<queued>", 404), ("GET", "/order//<queued>", 404), ("POST", "/order//cancel", 404),
    ("POST", "/order/<queued>//cancel", 404), ("GET", "/order/a/b", 404), ("GET", "/livez/<queued>", 404), ("GET", "/livez/x/y", 404),
    ("POST", "/invoice", 404), ("GET", "/invoice/<queued>", 404), ("POST", "/{operation_id}", 404), ("GET", "/{operation_id}", 404),
    ("GET", "/order/{operation_id}/{operation_id}", 404), ("GET", "/", 404), ("GET", "", 404), ("GET", "order/<queued>", 404),
    ("GET", "/nothing/at/all", 404), ("GET", "/ORDER/<queued>", 404), ("GET", "/docs", 200), ("GET", "/openapi.json", 200),
]  # fmt: skip


@pytest.mark.parametrize("other", [behind_middleware, by_router])
@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), ROUTED)
def test_every_route_responds_the_same(
    run: Run, fast: str, other: Any, method: str, path: str, body: bytes, headers: Any, status: int
) -> None:
    """A route's response has the same status, headers and body on the fast path as behind FastAPI's router."""
    ways = []
    for make in (FAST[fast], other):
        world = run(World().fill())
        ways.append(run(call(make(world.service), method, world.path(path), body, headers=headers)))
    assert ways[0] == ways[1]
    assert ways[0][0] == status


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize(("method", "path", "status"), ODD)
def test_every_other_request_responds_the_same(run: Run, fast: str, method: str, path: str, status: int) -> None:
    """What is no route's gets FastAPI's response, as if there were no fast path: a problem document, or a page of docs."""
    ways = []
    for make in (FAST[fast], behind_middleware):
        world = run(World().fill())
        ways.append(run(call(make(world.service), method, world.path(path), GOOD)))
    assert ways[0] == ways[1]
    assert ways[0][0] == status
    if status >= 400:
        assert (b"content-type", b"application/problem+json") in ways[0][1]


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("POST", "/order", {"raw_path": b"/%6frder"}, 202),
        ("POST", "/order", {"raw_path": None}, 202),
        ("GET", "/order/<queued>", {"raw_path": b"/%6frder/%30"}, 202),
        ("GET", "/order/a/b", {"raw_path": b"/order/a%2Fb"}, 404),
        ("POST", "/order\n", {"raw_path": b"/order%0A"}, 404),
        ("POST", "/order/<queued>/cancel\n", {}, 404),
        ("POST", "/v1/order", {"root_path": "/v1", "raw_path": b"/v1/order"}, 202),
        ("GET", "/v1/order/<queued>", {"root_path": "/v1"}, 202),
        ("GET", "/order/<queued>", {"root_path": "/v1"}, 202),
        ("POST", "/order/order", {"root_path": "/order"}, 202),
        ("POST", "/order", {"root_path": "/order"}, 404),
        ("GET", "/v1/livez", {"root_path": "/v1"}, 200),
    ],
)
def test_encoded_paths_and_a_root_path(run: Run, fast: str, method: str, path: str, scope: Any, status: int) -> None:
    """Percent-encoded parts, and a path that a server or a mount shortens, mean the same to both."""
    ways = []
    for make in (FAST[fast], behind_middleware):
        world = run(World().fill())
        ways.append(run(call(make(world.service), method, world.path(path), GOOD, **scope)))
    assert ways[0] == ways[1]
    assert ways[0][0] == status


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths for which a router was asked."""
    asked: list[str] = []
    original = Router.__call__

    async def asking(self: Router, scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(Router, "__call__", asking)
    return asked


@pytest.mark.parametrize("fast", FAST)
def test_no_router_is_asked_for_a_route(run: Run, routed: list[str], fast: str) -> None:
    """FastAPI's router finds no kind's route and no health check; it is asked only for what is left."""
    world = run(World().fill())
    api = FAST[fast](world.service)
    for method, path, body, headers, _ in ROUTED:
        run(call(api, method, world.path(path), body, headers=headers))
    assert routed == []
    run(call(api, "GET", "/openapi.json"))
    assert routed == ["/openapi.json"]


def test_added_middleware_sees_every_request(run: Run, routed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Middleware of the user's comes before everything: no request passes it by."""
    monkeypatch.setattr(Passing, "seen", 0)
    world = run(World().fill())
    api = behind_middleware(world.service)
    for method, path, body, headers, _ in ROUTED:
        run(call(api, method, world.path(path), body, headers=headers))
    assert Passing.seen == len(ROUTED) == len(routed)


def test_a_route_that_was_removed_is_gone(run: Run) -> None:
    """A route that the user takes out before the app starts is not found. All others still respond."""
    world = run(World().fill())
    api = application(world.service)
    api.router.routes[:] = [each for each in api.routes if getattr(each, "path", "") != "/order/{operation_id}/cancel"]
    assert run(call(api, "POST", world.path("/order/<queued>/cancel")))[0] == 404
    assert run(call(api, "GET", world.path("/order/<queued>")))[0] == 202


def test_a_route_put_in_front_is_honoured(run: Run) -> None:
    """A route that the user puts before ours responds in its place, also under a pattern that covers more than one of ours."""

    async def mine(request: Any) -> PlainTextResponse:
        return PlainTextResponse("mine")

    world = run(World().fill())
    api = application(world.service)
    api.router.routes.insert(0, Route("/{kind}/{rest:path}", mine, methods=["GET"]))
    assert run(call(api, "GET", world.path("/order/<queued>")))[2] == b"mine"
    assert run(call(api, "POST", "/order", GOOD))[0] == 202


def test_the_docs_are_fastapis(run: Run, routed: list[str]) -> None:
    """What `offpoll serve` serves has OpenAPI's document and its page, with every route in it and the given title."""
    world = run(World().fill())
    api = by_serve(world.service, title="shop")
    document = json.loads(run(call(api, "GET", "/openapi.json"))[2])
    assert document["info"]["title"] == "shop"
    assert set(document["paths"]) == {
        *("/livez", "/readyz", "/order", "/order/{operation_id}", "/order/{operation_id}/status-link", "/order/{operation_id}/cancel"),
        *("/report", "/report/{operation_id}", "/report/{operation_id}/status-link", "/report/{operation_id}/cancel"),
    }
    assert b"swagger" in run(call(api, "GET", "/docs"))[2]
    assert routed == ["/openapi.json", "/docs"]


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware])
def test_a_mounted_application(run: Run, make: Any) -> None:
    """Under another app's path every route is found, and links begin with that path."""
    world = run(World().fill())
    outer = Starlette(routes=[Mount("/v1", make(world.service))])
    status, headers, body = run(call(outer, "POST", "/v1/order", GOOD))
    ticket = json.loads(body)
    assert status == 202
    assert dict(headers)[b"location"].decode() == f"/v1/order/{ticket['id']}"
    assert ticket["links"]["self"] == f"http://api.test/v1/order/{ticket['id']}"
    assert run(call(outer, "GET", f"/v1/order/{ticket['id']}"))[0] == 202
    assert run(call(outer, "GET", f"/order/{ticket['id']}"))[0] == 404


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware])
def test_a_client_that_goes_away_in_mid_body(run: Run, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A client that sends half a body and leaves gets no response, nothing is accepted, and nothing is logged."""
    world = World()
    assert run(call(make(world.service), "POST", "/order", b'{"sku":', gone=True)) is None
    assert world.store._objects == {}
    assert not [record for record in caplog.records if record.name.startswith("offpoll")]


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware])
def test_a_long_body_is_not_read_whole(run: Run, make: Any) -> None:
    """A body that comes in parts is refused at the part that goes over the limit. No later part is read."""
    world = World()
    status, _, body = run(call(make(world.service), "POST", "/order", *[b"x" * 400] * 3))
    assert (status, json.loads(body)["code"]) == (413, "input_too_large")
    parts = [b"x" * 400] * 9
    assert run(call(make(world.service), "POST", "/order", *parts))[0] == 413


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware])
def test_the_lifespan_is_entered(run: Run, make: Any) -> None:
    """A server's lifespan goes through the fast path to the app: its connections are closed at the end."""
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    world, sent = World(close=close), Sent([])
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    run(make(world.service)({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, sent))
    assert [each["type"] for each in sent.messages] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert closed == [True]


def test_the_key_that_comes_first_counts(run: Run) -> None:
    """Of a header that came twice, the first one counts."""
    world = run(World().fill())
    keys = [(b"idempotency-key", b"queued"), (b"idempotency-key", b"other")]
    body = run(call(by_serve(world.service), "POST", "/order", b'{"sku":"queued"}', headers=keys))[2]
    assert json.loads(body)["id"] == world.ids["queued"]
