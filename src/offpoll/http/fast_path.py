"""The endpoint's routes on plain ASGI, from the raw request to the raw answer, before a framework sees the request.

Decides which requests take the fast path: those whose method and path are exactly a route's. All others go to the application behind it,
which says what is wrong with them.

A framework's layers and its router cost as much as accepting an operation does (docs/decisions/0004).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

from offpoll.exchange import Response
from offpoll.http.endpoint import CLIENT_GONE, ClientGone, Endpoint, Request, headers_to_send, too_large

__all__ = [
    "Answered",
    "AsgiApp",
    "FastPath",
    "Receive",
    "Route",
    "Scope",
    "Send",
    "is_below",
    "reader",
    "request_of",
    "routes_of",
]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Told of an answered request: its scope, the answer's status and `Location` (empty if it has none), and the seconds that it took.
Answered: TypeAlias = Callable[[Scope, int, str, float], None]

#: The part of a path that names the operation, as routers write it.
ID = "{operation_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One route of the HTTP interface.

    Attributes:
        method, path: which requests it answers; `{operation_id}` stands for one part of the path.
        row: its name in the interface.
        kind: the kind that it belongs to; empty for the health checks.
        respond: given an operation's id, empty where the path has none, and the request, returns the answer.
    """

    method: str
    path: str
    row: str
    kind: str = ""
    respond: Callable[[str, Request], Awaitable[Response]]

    def answer(
        self, operation_id: str, scope: Scope, receive: Receive, send: Send, *, answered: Answered | None = None
    ) -> Coroutine[Any, Any, None]:
        """Answer an ASGI request."""
        request = request_of(scope, reader(receive))
        return self.run(operation_id, request, partial(_send, send), scope=scope, answered=answered)

    async def run(
        self, operation_id: str, request: Request, write: Callable[[Response], Awaitable[None]], *, scope: Scope, answered: Answered | None
    ) -> None:
        """Answer a request, tell so, then do what is left to do."""
        started = time.perf_counter()
        try:
            response = await self.respond(operation_id, request)
        except asyncio.CancelledError:  # the server ends: of errors, the endpoint makes answers
            if answered is not None:
                answered(scope, CLIENT_GONE, "", time.perf_counter() - started)
            raise
        if response.status != CLIENT_GONE:
            await write(response)
        if answered is not None:
            answered(scope, response.status, response.headers.get("location", ""), time.perf_counter() - started)
        if response.afterwards is not None:
            await response.afterwards()


def routes_of(endpoint: Endpoint, kinds: Iterable[str]) -> list[Route]:
    """Return an endpoint's routes: four for each kind, and the health checks."""
    routes: list[Route] = []
    for kind in kinds:
        one, of_kind = f"/{kind}/{ID}", partial(Route, kind=kind)
        routes += [
            of_kind(method="POST", path=f"/{kind}", row="submit", respond=_without_id(partial(endpoint.submit, kind))),
            of_kind(method="GET", path=one, row="get", respond=partial(endpoint.get, kind)),
            of_kind(method="POST", path=f"{one}/status-link", row="status_link", respond=partial(endpoint.status_link, kind)),
            of_kind(method="POST", path=f"{one}/cancel", row="cancel", respond=partial(endpoint.cancel, kind)),
        ]
    livez, readyz = _without_id(lambda _: endpoint.livez()), _without_id(lambda _: endpoint.readyz())
    routes.append(Route(method="GET", path="/livez", row="livez", respond=livez))
    routes.append(Route(method="GET", path="/readyz", row="readyz", respond=readyz))
    return routes


class FastPath:
    """An ASGI application that answers requests by routes, and hands all others on.

    Args:
        app: the application behind it.
        routes: those that are answered here.
        answered: is told of each answer that was given here.
    """

    def __init__(self, app: AsgiApp, routes: Iterable[Route], *, answered: Answered | None = None) -> None:
        self.app = app
        self.answered = answered
        self._routes = {(route.method, *route.path.split("/")): route for route in routes}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request."""
        found = self.find(scope) if scope["type"] == "http" else None
        if found is not None:
            route, operation_id = found
            return route.answer(operation_id, scope, receive, send, answered=self.answered)
        return self.app(scope, receive, send)

    def find(self, scope: Scope) -> tuple[Route, str] | None:
        """Return the route for a request and the operation's id in its path, or None."""
        path, root_path = scope["path"], scope.get("root_path")
        if root_path and is_below(path, root_path):
            path = path[len(root_path) :]
        parts = path.split("/")
        operation_id = parts[2] if len(parts) > 2 else ""
        if operation_id:
            parts[2] = ID
        route = self._routes.get((scope["method"], *parts))
        return None if route is None else (route, operation_id)


def is_below(path: str, root_path: str) -> bool:
    """Tell whether a path begins with the application's own, as Starlette does: it does not if a proxy has removed that."""
    return path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/")


def _taken_away(scope: Scope) -> str:
    """Return the root path if a proxy removed it, percent-encoded."""
    root_path: str = scope["root_path"].rstrip("/")
    return "" if is_below(scope["path"], root_path) else quote(root_path)


def request_of(scope: Scope, read: Callable[[int], Awaitable[bytes]]) -> Request:
    """Return a request as the endpoint takes it: from an ASGI scope, and what reads its body."""
    # Reversed, so that the first value of a repeated name stays.
    # White space around a value is not part of it (RFC 9110, 5.5), and not every server strips it.
    headers = {name.decode("latin-1"): value.decode("latin-1").strip(" \t") for name, value in reversed(scope["headers"])}
    raw_path = (scope.get("raw_path") or b"").decode("latin-1")  # optional in ASGI
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=raw_path,
        root_path=_taken_away(scope) if scope.get("root_path") else "",
        headers=headers,
        scheme=scope.get("scheme", "http"),
        read=read,
    )


def reader(receive: Receive) -> Callable[[int], Awaitable[bytes]]:
    """Return what reads the body of an ASGI request."""

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

    return read


async def _send(send: Send, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers_to_send(response).items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _without_id(respond: Callable[[Request], Awaitable[Response]]) -> Callable[[str, Request], Awaitable[Response]]:
    return lambda _, request: respond(request)
