"""The HTTP interface on FastAPI: `application(service)` for any ASGI server, `router(service)` to join an existing app.

FastAPI gives the OpenAPI document, the docs page and `include_router`; requests to a kind's routes bypass it.

    `offpoll serve`   served(service)        requests meet `fast_path` first, FastAPI gets the others
    uvicorn           application(service)   the same inside FastAPI's outermost layer, where instrumentation hooks in; where the app was
                                             given middleware, that comes first, and then FastAPI's router finds the route
    your own app         router(service)    FastAPI's own routes, so that dependencies which the app declares for them are run
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import takewhile
from typing import Any, ClassVar
from urllib.parse import quote

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request as AsgiRequest
from starlette.responses import Response as AsgiResponse
from starlette.routing import Match

from offpoll.app import Authorize
from offpoll.arguments import need
from offpoll.errors import RequestError
from offpoll.http.endpoint import Endpoint, not_allowed, nothing_at
from offpoll.http.fast_path import AsgiApp, FastPath, Receive, Route, Scope, Send, is_below, reader, request_of, routes_of
from offpoll.http.openapi import describe
from offpoll.http.problem import problem_of
from offpoll.service import AsyncService

__all__ = ["application", "router", "served"]

#: What the OpenAPI document says of the routes that belong to no kind.
_PROBES = {
    "livez": {"name": "livez", "summary": "Whether the process answers", "tags": ["health"]},
    "readyz": {"name": "readyz", "summary": "Whether its stores answer", "tags": ["health"]},
}


class _Route(APIRoute):
    """A route that ignores slashes at the end of a path. Starlette would redirect, and many clients do not follow.

    It answers HEAD as GET, without the body: probes and monitors use it.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether it is a request's route."""
        path, method = scope["path"].rstrip("/"), self._method(scope)
        same = path == scope["path"] and method == scope["method"]
        match, child_scope = super().matches(scope if same else {**scope, "path": path, "method": method})
        if path.endswith("\n") and match is not Match.NONE and not child_scope["path_params"].get("operation_id", "").endswith("\n"):
            return Match.NONE, {}  # a pattern's `$` matches before a line break too
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method = self._method(scope)
        if method != scope["method"]:
            scope, send = {**scope, "method": method}, partial(_without_body, send)
        await self.respond(scope, receive, send)

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as FastAPI does."""
        await super().handle(scope, receive, send)

    def _method(self, scope: Scope) -> str:
        return "GET" if scope.get("method") == "HEAD" and "GET" in (self.methods or ()) else scope.get("method", "")


class RawRoute(_Route):
    """A route that answers by itself. Nothing that FastAPI does on its way to a handler is needed here."""

    route: ClassVar[Route]

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as its route does."""
        if scope["method"] not in (self.methods or ()):
            return await super().respond(scope, receive, send)  # refuses it
        return await self.route.answer(scope["path_params"].get("operation_id", ""), scope, receive, send)


class _Api(FastAPI):
    """FastAPI with a fast path inside its outermost layer.

    The routes that the app has when it starts count, as with middleware. Routes that the user removed are not answered; if the user put a
    route before ours, the router decides.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, also one under a mount where a proxy has removed the root path, for which Starlette finds no route."""
        outer = scope.get("app_root_path", "")
        if outer and not is_below(scope["path"], scope["root_path"]):
            scope = {**scope, "path": outer + scope["path"], "raw_path": quote(outer).encode() + (scope.get("raw_path") or b"")}
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> AsgiApp:
        """Build the layers. Middleware that somebody added has to see every request, so then there is no fast path."""
        outermost = super().build_middleware_stack()
        if isinstance(outermost, ServerErrorMiddleware) and not self.user_middleware:
            outermost.app = FastPath(outermost.app, self.raw_routes())
        return outermost

    def raw_routes(self) -> list[Route]:
        """Return the routes that need no router, up to the first one that does."""
        leading = takewhile(lambda each: isinstance(each, RawRoute), self.routes)
        return [each.route for each in leading if isinstance(each, RawRoute)]


def application(service: AsyncService, *, authorize: Authorize | None = None, title: str = "offpoll") -> FastAPI:
    """Return the API of a service as an ASGI application. Its startup enters the app's lifespan.

    Args:
        service: from `async_connect(app)`.
        authorize: from a caller to an owner; without one the app's own, else all callers are `public`.
        title: of the OpenAPI document.
    """
    return _api(service, authorize=authorize, title=title)


def served(service: AsyncService, *, title: str, started: Callable[[], None]) -> tuple[AsgiApp, list[Route]]:
    """Return what `offpoll serve` serves: `application`, and the routes for a fast path before it.

    `started` is called once the app's lifespan is entered.
    """
    api = _api(service, title=title, started=started)
    return api, api.raw_routes()


def _api(service: AsyncService, *, authorize: Authorize | None = None, title: str, started: Callable[[], None] = lambda: None) -> _Api:

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            started()
            yield

    routes = _routes(service, authorize=authorize, raw=True).routes
    # Given here they are matched once, and before the docs; include_router would match every request twice.
    api = _Api(title=title, lifespan=lifespan, redoc_url=None, routes=routes)
    api.add_exception_handler(HTTPException, _not_routed)
    return api


def router(service: AsyncService, *, authorize: Authorize | None = None) -> APIRouter:
    """Return the routes of a service, to include in an existing FastAPI app.

    That app's own lifespan has to enter `service.running()`; the health checks come along as `/livez` and `/readyz`.
    """
    return _routes(service, authorize=authorize, raw=False)


def _routes(service: AsyncService, *, authorize: Authorize | None, raw: bool) -> APIRouter:
    need(service, AsyncService, what="the API is made of an AsyncService: async_connect(app)")
    routes = APIRouter()
    texts = {kind.name: describe(kind) for kind in service.kinds.values()}
    for route in routes_of(Endpoint(service, authorize=authorize), service.kinds):
        described: dict[str, Any] = (texts[route.kind] if route.kind else _PROBES)[route.row]
        made = type("RawRoute", (RawRoute,), {"route": route}) if raw else _Route
        routes.add_api_route(route.path, _handler(route), methods=[route.method], route_class_override=made, **described)
    return routes


async def _without_body(send: Send, message: MutableMapping[str, Any]) -> None:
    await send({**message, "body": b""} if message["type"] == "http.response.body" else message)


async def _not_routed(asgi: AsgiRequest, error: Exception) -> AsgiResponse:
    """Say in a problem document what the router refused: no such path, or not with this method."""
    refusal: RequestError = nothing_at(asgi.scope["path"])
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal = not_allowed(asgi.method, (error.headers or {}).get("Allow", ""))
    answer = problem_of(refusal)
    return AsgiResponse(content=answer.body, status_code=answer.status, headers=dict(answer.headers))


def _handler(route: Route) -> Callable[[AsgiRequest], Coroutine[Any, Any, AsgiResponse]]:
    """Return a handler as FastAPI knows them."""

    async def handle(asgi: AsgiRequest) -> AsgiResponse:
        # By its name: the prefix that a router is included under may have parameters of its own.
        operation_id = asgi.path_params.get("operation_id", "")
        answer = await route.respond(operation_id, request_of(asgi.scope, reader(asgi.receive)))
        background = None if answer.afterwards is None else BackgroundTask(answer.afterwards)
        return AsgiResponse(content=answer.body, status_code=answer.status, headers=dict(answer.headers), background=background)

    return handle
