"""The HTTP interface on FastAPI: `application(service)` for any ASGI server, `router(service)` to join an existing app.

FastAPI gives the OpenAPI document, the docs page and `include_router`. Its field machinery stays off the hot path: the endpoint reads and
validates. In an app of one's own the routes are FastAPI's own, so that dependencies which the app declares for them are run; in ours there
are none, and the routes go from the raw request to the raw answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request as AsgiRequest
from starlette.responses import Response as AsgiResponse
from starlette.types import Receive, Scope, Send

from offpoll.app import Authorize
from offpoll.errors import MethodNotAllowed, OperationNotFound, RequestError
from offpoll.exchange import Response
from offpoll.http.endpoint import CLIENT_GONE, ClientGone, Endpoint, Request, too_large
from offpoll.http.openapi import describe
from offpoll.http.problem import problem_of
from offpoll.service import AsyncService

__all__ = ["application", "router"]

Respond = Callable[[Request, dict[str, str]], Awaitable[Response]]


def application(service: AsyncService, *, authorize: Authorize | None = None, title: str = "offpoll") -> FastAPI:
    """Return the API of a service as an ASGI application. Its startup enters the app's lifespan.

    Args:
        service: from `async_connect(app)`.
        authorize: from a caller to an owner; without one the app's own, else all callers are `public`.
        title: of the OpenAPI document.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    routes = _routes(service, authorize=authorize, raw=True).routes
    # Given here they are matched once, and before the docs; include_router would match every request twice.
    api = FastAPI(title=title, lifespan=lifespan, redoc_url=None, routes=routes)
    api.add_exception_handler(HTTPException, _not_routed)
    return api


def router(service: AsyncService, *, authorize: Authorize | None = None) -> APIRouter:
    """Return the routes of a service, to include in an existing FastAPI app.

    That app's own lifespan has to enter `service.running()`; the health checks come along as `/livez` and `/readyz`.
    """
    return _routes(service, authorize=authorize, raw=False)


def _routes(service: AsyncService, *, authorize: Authorize | None, raw: bool) -> APIRouter:
    endpoint = Endpoint(service, authorize=authorize)
    routes = APIRouter()

    def add(path: str, method: str, respond: Respond, **described: Any) -> None:
        route_class = _raw_route(respond) if raw else None
        routes.add_api_route(path, _handler(respond), methods=[method], route_class_override=route_class, **described)

    for kind in service.kinds.values():
        one = f"/{kind.name}/{{operation_id}}"
        texts = describe(kind)
        add(f"/{kind.name}", "POST", _of_kind(endpoint.submit, kind.name), **texts["submit"])
        add(one, "GET", _of_one(endpoint.get, kind.name), **texts["get"])
        add(f"{one}/status-link", "POST", _of_one(endpoint.status_link, kind.name), **texts["status_link"])
        add(f"{one}/cancel", "POST", _of_one(endpoint.cancel, kind.name), **texts["cancel"])
    probe = {"tags": ["health"]}
    add("/livez", "GET", lambda request, parameters: endpoint.livez(), name="livez", summary="Whether the process answers", **probe)
    add("/readyz", "GET", lambda request, parameters: endpoint.readyz(), name="readyz", summary="Whether its stores answer", **probe)
    return routes


async def _not_routed(asgi: AsgiRequest, error: Exception) -> AsgiResponse:
    """Say in a problem document what the router refused: no such path, or not with this method."""
    refusal: RequestError = OperationNotFound(f"There is nothing at {asgi.url.path}.")
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal = MethodNotAllowed(f"{asgi.method} is not possible here.", allow=(error.headers or {}).get("Allow", ""))
    answer = problem_of(refusal)
    return AsgiResponse(content=answer.body, status_code=answer.status, headers=dict(answer.headers))


def _of_kind(method: Callable[[str, Request], Awaitable[Response]], kind: str) -> Respond:
    return lambda request, parameters: method(kind, request)


def _of_one(method: Callable[[str, str, Request], Awaitable[Response]], kind: str) -> Respond:
    # By its name: the prefix that a router is included under may have parameters of its own.
    return lambda request, parameters: method(kind, parameters["operation_id"], request)


def _handler(respond: Respond) -> Callable[[AsgiRequest], Coroutine[Any, Any, AsgiResponse]]:
    """Return a handler as FastAPI knows them."""

    async def handle(asgi: AsgiRequest) -> AsgiResponse:
        answer = await respond(_request(asgi.scope, asgi.receive), asgi.path_params)
        return AsgiResponse(content=answer.body, status_code=answer.status, headers=dict(answer.headers))

    return handle


def _raw_route(respond: Respond) -> type[APIRoute]:
    """Return a route class that answers by itself. Nothing that FastAPI does on its way to a handler is needed here."""

    class RawRoute(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] not in (self.methods or ()):
                return await super().handle(scope, receive, send)  # refuses it
            answer = await respond(_request(scope, receive), scope["path_params"])
            if answer.status == CLIENT_GONE:
                return None
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
            if answer.status != 304:
                headers.append((b"content-length", b"%d" % len(answer.body)))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return None

    return RawRoute


def _request(scope: Scope, receive: Receive) -> Request:
    async def read(limit: int) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise too_large(limit)
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    # Reversed, so that of a name that came twice the first one stays.
    # White space around a value is not part of it (RFC 9110, 5.5), and not every server takes it away.
    headers = {name.decode("latin-1"): value.decode("latin-1").strip(" \t") for name, value in reversed(scope["headers"])}
    raw_path = (scope.get("raw_path") or b"").decode("latin-1")  # optional in ASGI
    return Request(method=scope["method"], path=scope["path"], raw_path=raw_path, headers=headers, scheme=scope["scheme"], read=read)
