"""The fast path: whichever way a request takes, its response is the same, and a kind's request costs no framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from tests.support.memory_dependencies import memory_dependencies

from offpoll import AsyncService, Caller, Offpoll, Settings, Unauthorized, application, router
from offpoll.board import AsyncStatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DependencyUnavailable
from offpoll.http.asgi import served
from offpoll.http.endpoint import Endpoint, Request, read_all
from offpoll.http.fast_path import FastPath
from offpoll.operation import Outcome, Status
from offpoll.records import Idle

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMIT = 1000
GOOD = b'{"sku":"A1"}'


class Order(BaseModel):
    sku: str


class Store(MemoryDocumentStore):
    """A store of which two have the same signatures. Its rewrites are noted, and fail if told to."""

    def __init__(self, events: list[str]) -> None:
        super().__init__(clock=lambda: NOW, _secret=b"s" * 32)
        self.events, self.broken = events, False

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        self.events.append("repaired")
        if self.broken:
            raise DependencyUnavailable("store", "it is away")
        return await super().replace(key, body, etag=etag)


async def authorize(caller: Caller) -> str:
    """Let everybody in but two."""
    if "x-nobody" in caller.headers:
        raise Unauthorized("Who are you?")
    if "x-broken" in caller.headers:
        raise RuntimeError("the directory is away")
    return "me"


class World:
    """A service in memory, on a clock that stands still. Two worlds respond with the same bytes."""

    def __init__(self, **given: Any) -> None:
        app = Offpoll(authorize=authorize)
        app.operation("order")(_order)
        app.operation("report")(_report)
        self.events: list[str] = []
        self.store = Store(self.events)
        board = AsyncStatusBoard(store=self.store, clock=lambda: NOW)
        self.service = AsyncService(
            app,
            settings=Settings(secret="0" * 32, input_limit=LIMIT),
            dependencies=memory_dependencies(board=board, **given),
            clock=lambda: NOW,
            random_bytes=lambda count: b"\x07" * count,
        )
        self.ids: dict[str, str] = {}

    async def fill(self) -> World:
        """Make an operation in each state. Records say how they ended, and their documents lag behind."""
        outcomes = {
            "queued": None,
            "succeeded": Outcome(status=Status.SUCCEEDED, result='{"number":7}'),
            "failed": Outcome(status=Status.FAILED, error={"code": "out_of_stock", "message": "There is none left."}),
        }
        for name, outcome in outcomes.items():
            ticket = await self.service.submit("order", {"sku": name}, owner="me", idempotency_key=name)
            self.ids[name] = ticket.operation_id
            if outcome is not None:
                submission = self.service.dependencies.board.submission_of(ticket.document, owner="me")
                expires_at = datetime(2030, 2, 1, tzinfo=UTC)
                await self.service.dependencies.records.decide(submission, outcome, guard=Idle(attempt=0), expires_at=expires_at)
        return self

    def path(self, path: str) -> str:
        """Put an id for its name."""
        for name, operation_id in self.ids.items():
            path = path.replace(f"<{name}>", operation_id)
        return path


async def _order(order: Order) -> Order:
    return order


async def _report(rows: Any) -> Any:
    return rows


class Passing:
    """Middleware that counts what it lets pass."""

    seen = 0

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        type(self).seen += 1
        await self.app(scope, receive, send)


def by_serve(service: AsyncService) -> Any:
    return FastPath(*served(service, title="offpoll", started=lambda: None))


def behind_middleware(service: AsyncService) -> FastAPI:
    """Return the API with middleware of the user's: FastAPI's router finds each route."""
    api = application(service)
    api.add_middleware(Passing)
    return api


def by_router(service: AsyncService) -> FastAPI:
    api = FastAPI()
    api.include_router(router(service))
    return api


FAST = {"served": by_serve, "application": application}


class Sent:
    """What was sent in response to a request, and what happened in which order."""

    def __init__(self, events: list[str]) -> None:
        self.messages: list[dict[str, Any]] = []
        self.events = events

    async def __call__(self, message: Any) -> None:
        self.messages.append(dict(message))
        if message["type"] == "http.response.body":
            self.events.append("answered")

    @property
    def response(self) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """Status, headers and body; None if nothing was sent."""
        if not self.messages:
            return None
        head = self.messages[0]
        return head["status"], sorted(head["headers"]), b"".join(each.get("body", b"") for each in self.messages[1:])


async def call(
    api: Any,
    method: str,
    path: str,
    *parts: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    events: list[str] | None = None,
    gone: bool = False,
    **scope: Any,
) -> Any:
    """Send a request as a server does. `gone`: the client closes the connection after the last part of its body."""
    body = list(parts) or [b""]

    async def receive() -> dict[str, Any]:
        if not body:
            assert gone, "read on after the end, or after the limit"
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body) or gone}

    sent = Sent([] if events is None else events)
    whole = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b"", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "method": method, "path": path, "raw_path": path.encode(),
        "headers": [(b"host", b"api.test"), *headers],
    }  # fmt: skip
    await api({**whole, **scope}, receive, sent)
    return sent.response


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
    ("HEAD", "/order/<queued>", 405), ("HEAD", "/livez", 405), ("OPTIONS", "/order", 405), ("PUT", "/order", 405),
    ("DELETE", "/order/<queued>", 405), ("GET", "/order", 405), ("POST", "/order/<queued>", 405), ("GET", "/order/<queued>/cancel", 405),
    ("POST", "/order/", 307), ("GET", "/order/", 307), ("GET", "/order/<queued>/", 307), ("GET", "/livez/", 307),
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
    """What is no route's gets FastAPI's response, as if there were no fast path: a problem document, a redirect, or a page of docs."""
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
        ("POST", "/order\n", {"raw_path": b"/order%0A"}, 202),
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
    api = FastPath(*served(world.service, title="shop", started=lambda: None))
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


# --- the repair -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware, by_router])
@pytest.mark.parametrize(("name", "status"), [("succeeded", 200), ("failed", 404)])
def test_a_document_is_repaired_after_the_response(run: Run, make: Any, name: str, status: int) -> None:
    """GET of an operation whose document lags behind its record is answered first. The document is then brought up to date."""
    world = run(World().fill())
    path = world.path(f"/order/<{name}>")
    assert run(call(make(world.service), "GET", path, events=world.events))[0] == status
    assert world.events[0] == "answered"
    assert world.events[-1] == "repaired"
    assert run(world.service.dependencies.board.read(f"status/me/{world.ids[name]}")).document.status == name


@pytest.mark.parametrize("make", [*FAST.values(), behind_middleware, by_router])
def test_a_repair_that_fails_is_only_logged(run: Run, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The response does not depend on the repair. The log names the operation and the reason."""
    world = run(World().fill())
    world.store.broken = True
    status, _, body = run(call(make(world.service), "GET", world.path("/order/<succeeded>")))
    assert (status, body) == (200, b'{"number":7}')
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("offpoll")]
    assert world.ids["succeeded"] in line
    assert "could not be repaired" in line
    assert "it is away" in line


def test_get_repairs_before_it_returns(run: Run) -> None:
    """`AsyncService.get` leaves nothing to do; `find` leaves the repair to its caller."""
    world = run(World().fill())
    found = run(world.service.find("order", world.ids["succeeded"], owner="me"))
    assert (found.result, world.events) == ('{"number":7}', [])
    run(found.repair())
    assert world.events == ["repaired"]
    run(world.service.get("order", world.ids["failed"], owner="me"))
    assert world.events == ["repaired"] * 2


def test_an_endpoints_answer_leaves_nothing_to_do(run: Run) -> None:
    """`Endpoint.answer` returns once the repair is done: a function is frozen after its response."""
    world = run(World().fill())
    path = world.path("/order/<succeeded>")
    request = Request(method="GET", path=path, headers={"host": "api.test"}, scheme="http", read=read_all(b""))
    response = run(Endpoint(world.service).answer(request))
    assert (response.status, world.events) == (200, ["repaired"])
