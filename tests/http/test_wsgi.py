"""The API as a WSGI application: what its servers and the frameworks around it differ in. test_faces.py has what is the same everywhere."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.fast_apis import GOOD, LIMIT, World

from offpoll import Caller, Service, Unauthorized, wsgi_application
from offpoll.exchange import Response


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(World().service) as made:
        yield made


class Stream(io.BytesIO):
    """A body that comes in pieces, and notes how much was read."""

    taken = 0

    def __init__(self, body: bytes, *, piece: int) -> None:
        super().__init__(body)
        self.piece = piece

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "read to the end, which a socket does not have"
        part = super().read(min(size, self.piece))
        self.taken += len(part)
        return part


def environ(method: str = "POST", path: str = "/order", body: Any = GOOD, *, length: str | None = None, **more: Any) -> dict[str, Any]:
    stream = body if isinstance(body, io.BytesIO) else io.BytesIO(body)
    length = str(len(stream.getvalue())) if length is None else length
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "wsgi.url_scheme": "https", "HTTP_HOST": "api.test",
        "CONTENT_LENGTH": length, "wsgi.input": stream, **more,
    }  # fmt: skip


def code(response: Response) -> tuple[int, str]:
    return response.status, json.loads(response.body).get("code", "")


@pytest.mark.parametrize("piece", [1, 5, 10_000])
def test_a_body_in_pieces(service: Service, piece: int) -> None:
    """A server may return less than it was asked for; the body is read on, and not past its length."""
    assert (
        wsgi_application(service).answer(environ(body=Stream(GOOD + b"the next request", piece=piece), length=str(len(GOOD)))).status == 202
    )


def test_chunks(service: Service) -> None:
    """A body without a length is read if the server says where it ends, up to the limit and one byte; otherwise there is none."""
    app = wsgi_application(service)
    assert app.answer(environ(length="", **{"wsgi.input_terminated": True})).status == 202
    stream = Stream(b"x" * 10 * LIMIT, piece=100)
    assert code(app.answer(environ(body=stream, length="", **{"wsgi.input_terminated": True}))) == (413, "input_too_large")
    assert stream.taken == LIMIT + 1
    assert code(app.answer(environ(length=""))) == (400, "invalid_json")


def test_a_long_body_is_not_read(service: Service) -> None:
    """By its length, before any of it."""
    stream = Stream(b"x" * (LIMIT + 2), piece=100)
    assert code(wsgi_application(service).answer(environ(body=stream))) == (413, "input_too_large")
    assert stream.taken == 0


def test_a_body_that_ends_early(service: Service) -> None:
    """The client went away, or somebody has read it before: that is said, instead of that it is no JSON."""
    status, reason = code(wsgi_application(service).answer(environ(body=GOOD[:5], length=str(len(GOOD)))))
    assert (status, reason) == (400, "bad_request")


def test_claims_and_headers(service: Service) -> None:
    """`authorize` gets what a view has found out, and every header, Content-Type too."""
    callers: list[Caller] = []

    async def owner_of(caller: Caller) -> str:
        callers.append(caller)
        if "user" not in caller.claims:
            raise Unauthorized("Who are you?")
        return str(caller.claims["user"])

    app = wsgi_application(service, authorize=owner_of)
    more = {"CONTENT_TYPE": "application/json", "HTTP_X_REQUEST_ID": " 7 ", "HTTP_OFFPOLL_CLAIMS": "user"}
    assert app.answer(environ(**more)).status == 401
    at = app.answer(environ(**more, **{"offpoll.claims": {"user": "ada"}})).headers["location"]
    assert (callers[1].headers["content-type"], callers[1].headers["x-request-id"]) == ("application/json", "7")
    assert app.answer(environ("GET", at, b"", **{"offpoll.claims": {"user": "ada"}})).status == 202
    assert app.answer(environ("GET", at, b"", **{"offpoll.claims": {"user": "bob"}})).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/order", 202), ("/v1/order/", 202), ("/order", 404), ("/v1order", 404), ("/v1", 404), ("/v1/", 404), ("", 404)],
)
@pytest.mark.parametrize("prefix", ["/v1", "/v1/"])
def test_a_prefix(service: Service, prefix: str, path: str, status: int) -> None:
    """Only paths below the prefix have routes."""
    assert wsgi_application(service, prefix=prefix).answer(environ(path=path)).status == status


def test_a_closed_service(service: Service) -> None:
    """It answers 503 and says why in the log, as the operator's fault."""
    service.close()
    assert code(wsgi_application(service).answer(environ())) == (503, "dependency_refused")


def test_head_has_no_body(service: Service) -> None:
    """A server may pass on what it is given."""
    started: list[Any] = []
    body = wsgi_application(service)(environ("HEAD", "/livez", b""), lambda *given: started.append(given))
    assert b"".join(body) == b""
    assert started[0][0] == "200 OK"
    assert int(dict(started[0][1])["content-length"]) > 0
