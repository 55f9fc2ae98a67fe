"""The HTTP interface as a WSGI application, to mount in a Flask or Django app: `wsgi_application(service)`.

Decides how a WSGI environment becomes a request. Answers are the endpoint's, made on the service's own loop; the caller's thread waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

from offpoll.app import Authorize
from offpoll.blocking import Service
from offpoll.errors import OffpollError, RequestError
from offpoll.exchange import Response
from offpoll.http.endpoint import Endpoint, Request, headers_to_send, nothing_at, read_all
from offpoll.http.problem import problem_of

__all__ = ["WsgiApplication", "wsgi_application"]

StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]


class WsgiApplication:
    """A WSGI application (PEP 3333) with a service's routes: see `wsgi_application`."""

    def __init__(self, service: Service, *, authorize: Authorize | None, prefix: str) -> None:
        self._service, self._authorize, self._prefix = service, authorize, prefix

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as a WSGI server asks for it."""
        response = self.answer(environ)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", [*headers_to_send(response).items()])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def answer(self, environ: Mapping[str, Any]) -> Response:
        """Answer the request in a WSGI environment, for a view that makes its framework's response: `status`, `headers`, `body`."""
        script, path = (environ.get(name, "").encode("latin-1").decode(errors="replace") for name in ("SCRIPT_NAME", "PATH_INFO"))
        route = path.removeprefix(self._prefix)
        if not path.startswith(self._prefix) or not route.startswith("/"):
            return problem_of(nothing_at(path))
        try:
            request = Request(
                method=environ["REQUEST_METHOD"],
                path=route,
                root_path=quote(script + self._prefix),
                headers=_headers(environ),
                scheme=environ["wsgi.url_scheme"],
                read=_reader(environ, self._service.settings.input_limit),
                claims=environ.get("offpoll.claims", {}),
            )
            return self._service.run(lambda service: Endpoint(service, authorize=self._authorize).answer(request))
        except OffpollError as error:  # the body is incomplete, or the service is closed
            return problem_of(error)


def wsgi_application(service: Service, *, authorize: Authorize | None = None, prefix: str = "") -> WsgiApplication:
    """Return the API of a service as a WSGI application.

    Args:
        service: from `connect(app)`. It stays yours to close.
        authorize: from a caller to an owner; without one the app's own, else all callers are `public`. A view that knows the caller
            puts claims into `environ["offpoll.claims"]`, which become `caller.claims`.
        prefix: the path that the routes begin with, such as `/v1`. Pass it if the server does not move that path to `SCRIPT_NAME`.
    """
    return WsgiApplication(service, authorize=authorize, prefix=prefix.rstrip("/"))


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    named = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    named.update((name, environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name))
    return {name.lower().replace("_", "-"): value.strip(" \t") for name, value in named.items()}


def _reader(environ: Mapping[str, Any], limit: int) -> Callable[[int], Awaitable[bytes]]:
    """Return the function that reads the body. It is read here, in the thread that has the connection; one over the limit is not."""
    length, missing = environ.get("CONTENT_LENGTH") or "", 0
    if length.isascii() and length.isdigit():
        missing = int(length[:20])
    elif environ.get("wsgi.input_terminated"):  # the server reads chunks, and says where they end
        missing = limit + 1
    parts: list[bytes] = []
    while 0 < missing <= limit + 1 and (part := environ["wsgi.input"].read(missing)):
        parts.append(part)
        missing -= len(part)
    if length and 0 < missing <= limit:
        raise RequestError(f"{missing} bytes of the body are missing. Either the client disconnected, or something else read them first.")
    return read_all(b"".join(parts))
