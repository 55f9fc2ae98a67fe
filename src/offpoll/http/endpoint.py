"""From a request to an answer: every row of the HTTP interface, without a framework.

    POST /{kind}                    submit
    GET  /{kind}/{id}               get
    POST /{kind}/{id}/status-link   status_link
    POST /{kind}/{id}/cancel        cancel
    GET  /livez, /readyz

Each row is a method, for servers that route themselves and can go on after an answer is sent (`Response.afterwards`); `answer` routes by
the path and is finished when it returns, for those that do not (Lambda, WSGI, tests). Slashes at the end of a path mean nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from offpoll.app import Authorize, Caller
from offpoll.errors import (
    ConfigurationError,
    DependencyError,
    InputTooLarge,
    MethodNotAllowed,
    OperationNotFound,
    PartialOutage,
    RequestError,
    UnsupportedEncoding,
)
from offpoll.exchange import Response
from offpoll.frozen import quick
from offpoll.http.problem import ended, problem, problem_of
from offpoll.operation import PUBLIC, Status
from offpoll.service import AsyncService

__all__ = ["CLIENT_GONE", "ClientGone", "Endpoint", "Request", "headers_to_send", "not_allowed", "nothing_at", "read_all", "too_large"]

log = logging.getLogger(__name__)

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

#: Longest Host header, characters: a name has at most 253 (RFC 1035, 2.3.4); the port of one that long is not worth a place in a link.
MAX_HOST = 255

_RAW_PATH = re.compile(r"[!-~]*")

#: The status that is logged if the client has gone, as in nginx.
CLIENT_GONE = 499

Answering: TypeAlias = Coroutine[Any, Any, Response]

_JSON = {"content-type": "application/json", "cache-control": "no-store"}


@quick
@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, its body not yet read.

    Attributes:
        method, path: as they came; the path without the query, percent-decoded.
        headers: names in lowercase. Left out of `repr`: they may carry credentials.
        scheme: `https` or `http`, as the client used it.
        read: reads the body, given the most bytes it may have; raises InputTooLarge as soon as there are more, ClientGone where
            nobody waits for the answer any more.
        raw_path: the path as it was sent, percent-encoded; empty if the server does not pass it.
        root_path: what a proxy removed from the start of the path, percent-encoded; it is part of the API's address.
        claims: see `Caller`.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    scheme: str
    read: Callable[[int], Awaitable[bytes]]
    raw_path: str = ""
    root_path: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def base_url(self, suffix: str) -> str:
        """Return the API's own address as this request came to it: the URL without `suffix`, which ends the path. Percent-encoded.

        Raises:
            RequestError: the Host header is not one.
        """
        return _base_url(self.scheme, self.headers.get("host", ""), self.root_path, self.path, self.raw_path, suffix)


#: A service has few addresses and few kinds, and the cache is small: a client that sends many others cannot fill memory.
@lru_cache(maxsize=64)
def _base_url(scheme: str, host: str, root_path: str, path: str, raw_path: str, suffix: str) -> str:  # noqa: PLR0917 - a cache finds by position sooner
    raw = raw_path.rstrip("/")
    path = raw if raw.endswith(suffix) and _RAW_PATH.fullmatch(raw) else quote(path.rstrip("/"))
    base_url = f"{scheme}://{host}{root_path}{path.removesuffix(suffix).rstrip('/')}"
    try:
        port = urlsplit(base_url).port if len(host) <= MAX_HOST and _HOST.fullmatch(host) else 0
    except ValueError:  # no IPv6 address, or no port
        port = 0
    if port == 0:
        raise RequestError("The Host header is missing or is not a host.")
    return base_url


class ClientGone(Exception):  # noqa: N818 - nobody's error: the client closed the connection before its request was read
    """Nobody waits for an answer any more."""


class Endpoint:
    """Answers requests for a service.

    Args:
        service: what it is for.
        authorize: from a caller to an owner; without one the service's own, else all callers are `public`.
    """

    def __init__(self, service: AsyncService, *, authorize: Authorize | None = None) -> None:
        self._service = service
        self._authorize = authorize or service.app.authorize

    async def answer(self, request: Request) -> Response:
        """Answer a request by its path. Nothing is left to do afterwards."""
        response = await self._routed(request)
        if response.afterwards is not None:
            await response.afterwards()
        return response

    async def _routed(self, request: Request) -> Response:
        row: Callable[[], Answering]
        method = request.method
        if method == "HEAD":
            request = replace(request, method="GET")  # the sender of the answer leaves its body out
        match request.path.rstrip("/").split("/"):
            case ["", "livez" | "readyz" as probe]:
                row, allow = (self.livez if probe == "livez" else self.readyz), "GET"
            case ["", kind, *_] if kind not in self._service.kinds:
                return problem_of(nothing_at(request.path))
            case ["", kind]:
                row, allow = partial(self.submit, kind, request), "POST"
            case ["", kind, operation_id] if operation_id:
                row, allow = partial(self.get, kind, operation_id, request), "GET"
            case ["", kind, operation_id, "status-link"] if operation_id:
                row, allow = partial(self.status_link, kind, operation_id, request), "POST"
            case ["", kind, operation_id, "cancel"] if operation_id:
                row, allow = partial(self.cancel, kind, operation_id, request), "POST"
            case _:
                return problem_of(nothing_at(request.path))
        return await row() if request.method == allow else problem_of(not_allowed(method, allow))

    def submit(self, kind: str, request: Request) -> Answering:
        """Accept an operation: 202 and a ticket."""

        async def respond(owner: str) -> Response:
            service = self._service
            service.kind(kind)
            headers = request.headers
            ticket = await service.submit(
                kind,
                await _body(request, service.settings.input_limit),
                owner=owner,
                idempotency_key=headers.get("idempotency-key"),
                base_url="" if service.settings.public_url else request.base_url(f"/{kind}"),
                traceparent=headers.get("traceparent", ""),
                tracestate=headers.get("tracestate", ""),
            )
            return ticket.to_response()

        return self._guarded(request, respond)

    def get(self, kind: str, operation_id: str, request: Request) -> Answering:
        """Return an operation: 200 with its result, 202 while it is not done, 404 if there is none, or if it failed or was canceled."""

        async def respond(owner: str) -> Response:
            found = await self._service.find(kind, operation_id, owner=owner)
            if found.result is not None:
                return _result(found.result, request.headers.get("if-none-match", ""), afterwards=found.repair)
            document = found.document
            if document.status in (Status.FAILED, Status.CANCELED):
                return replace(ended(document), afterwards=found.repair)
            headers = {**_JSON, "retry-after": str(self._service.retry_after(document))}
            return Response(status=202, headers=headers, body=document.to_bytes())

        return self._guarded(request, respond)

    def status_link(self, kind: str, operation_id: str, request: Request) -> Answering:
        """Return a fresh status link: 200."""

        async def respond(owner: str) -> Response:
            link = await self._service.status_link(kind, operation_id, owner=owner)
            return Response(status=200, headers=_JSON, body=link.to_json().encode())

        return self._guarded(request, respond)

    def cancel(self, kind: str, operation_id: str, request: Request) -> Answering:
        """Cancel an operation: 202 with its document, again 202, 409 where it ended otherwise."""

        async def respond(owner: str) -> Response:
            document = await self._service.cancel(kind, operation_id, owner=owner)
            return Response(status=202, headers={**_JSON, "retry-after": "0"}, body=document.to_bytes())

        return self._guarded(request, respond)

    async def livez(self) -> Response:
        """Say that the process answers."""
        return Response(status=200, headers=_JSON, body=b'{"status":"ok"}')

    async def readyz(self) -> Response:
        """Say whether this process can do its work; checked at most every few seconds.

        It stays ready while only some of its dependencies answer. Otherwise no process would be ready, and nobody would answer what can
        be answered.
        """
        try:
            await self._service.ready()
        except PartialOutage as error:
            log.warning("ready, but only in part: %s", error)
            return Response(status=200, headers=_JSON, body=b'{"status":"degraded","unavailable":%s}' % json.dumps(error.service).encode())
        except (DependencyError, ConfigurationError) as error:
            log.warning("not ready: %s", error)
            detail = f"{getattr(error, 'service', 'The configuration')} does not answer as it should. The reason is in the log."
            return problem(503, code="not_ready", title="Not ready", detail=detail, headers={"retry-after": "5"})
        return Response(status=200, headers=_JSON, body=b'{"status":"ready"}')

    async def _guarded(self, request: Request, respond: Callable[[str], Awaitable[Response]]) -> Response:
        """Find the owner, answer, and say every error as a problem document."""
        try:
            owner = PUBLIC
            if self._authorize is not None:
                caller = Caller(method=request.method, path=request.path, headers=request.headers, claims=request.claims)
                owner = await self._authorize(caller)
            return await respond(owner)
        except ClientGone:
            return Response(status=CLIENT_GONE, headers={})
        except Exception as error:  # the last guard: whatever it is, the caller gets a problem document and the log the reason
            return problem_of(error)


def read_all(body: bytes) -> Callable[[int], Awaitable[bytes]]:
    """Return a reader for a body that is there already."""

    async def read(limit: int) -> bytes:
        if len(body) > limit:
            raise too_large(limit)
        return body

    return read


def headers_to_send(response: Response) -> dict[str, str]:
    """Return an answer's headers with the length of its body; a 304 has none."""
    return {**response.headers} if response.status == 304 else {**response.headers, "content-length": str(len(response.body))}


def nothing_at(path: str) -> OperationNotFound:
    """Return the error for a path that no route has."""
    return OperationNotFound(f"There is nothing at {path}.")


def not_allowed(method: str, allow: str) -> MethodNotAllowed:
    """Return the error for a path whose route has another method."""
    return MethodNotAllowed(f"{method} is not allowed here; {allow} is.", allow=allow)


def too_large(limit: int) -> InputTooLarge:
    """Return the error for a body over the limit."""
    return InputTooLarge(f"The body may have at most {limit} bytes.", limit=limit)


async def _body(request: Request, limit: int) -> bytes:
    """Read the body; refuse one that says it is too long, or compressed, before any of it is read."""
    if request.headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise UnsupportedEncoding("The API takes no compressed body: send it uncompressed.")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise too_large(limit)
    return await request.read(limit)


def _result(result: str, if_none_match: str, *, afterwards: Callable[[], Awaitable[None]]) -> Response:
    body = result.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"cache-control": "private, no-cache", "etag": etag}
    if if_none_match.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")):
        return Response(status=304, headers=headers, afterwards=afterwards)
    return Response(status=200, headers={"content-type": "application/json", **headers}, body=body, afterwards=afterwards)
