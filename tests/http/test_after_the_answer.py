"""A response comes before the repair of its document, and the repair still happens."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.support.fast_apis import FAST, GOOD, World, behind_middleware, by_router, by_serve, call

from offpoll.cli.access_log import Lines
from offpoll.http.endpoint import Endpoint, Request, read_all

Run = Callable[[Coroutine[Any, Any, Any]], Any]


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


# --- the access log -------------------------------------------------------------------------------


@pytest.fixture
def stream() -> io.BytesIO:
    """What the access log is written to."""
    return io.BytesIO()


def logged(stream: io.BytesIO, lines: Lines) -> list[str]:
    """Return the lines that the log wrote, without their times."""
    lines.flush()
    return [line.split(" ", 1)[1] for line in stream.getvalue().decode().splitlines()]


def test_each_request_has_one_line(run: Run, stream: io.BytesIO) -> None:
    """A request has one line, whether the fast path answered it or FastAPI. An accepted one says where its operation is."""
    world, lines = run(World().fill()), Lines(stream)
    api = by_serve(world.service, lines=lines)
    body = run(call(api, "POST", "/order", GOOD))[2]
    for method, path in (("GET", "/livez"), ("GET", "/docs"), ("PUT", "/order"), ("GET", world.path("/order/<failed>"))):
        run(call(api, method, path))
    found = logged(stream, lines)
    assert [line.split(" ms")[0].rsplit(" ", 1)[0] for line in found] == [
        '127.0.0.1 "POST /order" 202', '127.0.0.1 "GET /livez" 200', '127.0.0.1 "GET /docs" 200', '127.0.0.1 "PUT /order" 405',
        f'127.0.0.1 "GET {world.path("/order/<failed>")}" 404',
    ]  # fmt: skip
    assert found[0].endswith(f" ms → /order/{json.loads(body)['id']}")


def test_a_client_that_is_gone_has_a_line(run: Run, stream: io.BytesIO) -> None:
    """A client that leaves before it is answered is a 499."""
    world, lines = World(), Lines(stream)
    run(call(by_serve(world.service, lines=lines), "POST", "/order", b"{", gone=True))
    (line,) = logged(stream, lines)
    assert line.startswith('127.0.0.1 "POST /order" 499 ')
