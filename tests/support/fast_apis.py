"""The API in front of a service in memory, by each way that a request can take, and calls as a server makes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from tests.support.memory_dependencies import memory_dependencies

from offpoll import AsyncService, Caller, Offpoll, Settings, Unauthorized, application, router
from offpoll.board import AsyncStatusBoard
from offpoll.cli.access_log import AccessLog, Lines
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DependencyUnavailable
from offpoll.http.asgi import served
from offpoll.http.fast_path import FastPath
from offpoll.operation import Outcome, Status
from offpoll.records import Idle

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


def by_serve(service: AsyncService, *, title: str = "offpoll", lines: Lines | None = None) -> FastPath:
    """Return what `offpoll serve` makes: the fast path before the access log before the application."""
    api, routes = served(service, title=title, started=lambda: None)
    log = AccessLog(api, lines or Lines(io.BytesIO()))
    return FastPath(log, routes, answered=log.answered)


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
        "headers": [*([] if b"host" in dict(headers) else [(b"host", b"api.test")]), *headers],
    }  # fmt: skip
    await api({**whole, **scope}, receive, sent)
    return sent.response
