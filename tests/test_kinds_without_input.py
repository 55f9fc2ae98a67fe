"""Handlers without input: how they are registered, submitted, described and run."""

from __future__ import annotations

from typing import Any

import pytest

from offpoll import Offpoll, Operation, application
from offpoll.blocking import Service
from offpoll.errors import InvalidInput
from offpoll.http.endpoint import Request, read_all
from offpoll.kind import Kind
from offpoll.testing import run, system

app = Offpoll()


@app.operation("refresh")
async def refresh() -> str:
    return "done"


@app.operation("count")
def count(operation: Operation) -> int:
    operation.progress(0.5)
    return operation.attempt


@app.operation("order")
async def order(value: dict[str, Any]) -> int:
    return len(value)


KINDS = {"refresh": "done", "count": 1}


def post(made: Any, kind: str, body: bytes) -> tuple[int, dict[str, Any]]:
    request = Request(method="POST", path=f"/{kind}", headers={"host": "api.invalid"}, scheme="https", read=read_all(body))
    answer = made.run(made.endpoint.answer(request))
    return answer.status, answer.json()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"{ }", b"null", b" null "])
def test_a_body_that_says_nothing(kind: str, body: bytes) -> None:
    """No body, `{}` and `null` are the same input. Messages carry it as `{}`."""
    with system(app, workers=0) as made:
        status, fields = post(made, kind, body)
        (envelope,) = made.queue.peek()
        assert (status, envelope.body) == (202, "{}")
        made.start_worker()
        made.advance(60)
        found = made.run(made.service.get(kind, fields["id"]))
        assert (found.document.status, found.result) == ("succeeded", '"done"' if kind == "refresh" else "1")


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[]", b"0", b'""', b"false", b"{"])
def test_a_body_that_says_something(body: bytes) -> None:
    """Any other body is refused: its sender expects that it matters."""
    with system(app, workers=0) as made:
        status, fields = post(made, "refresh", body)
        assert status in (400, 422)
        assert fields["code"] in ("invalid_json", "invalid_input")
        assert not made.queue.peek()


def test_the_same_key() -> None:
    """Every way of saying nothing is the same input for an idempotency key."""
    with system(app, workers=0) as made:
        inputs: list[Any] = [b"", b"{}", b"null", None, {}]
        ids = {made.run(made.service.submit("refresh", each, idempotency_key="k")).operation_id for each in inputs}
        ids |= {made.client.submit("refresh", idempotency_key="k").operation_id}
        assert len(ids) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_face_takes_it(kind: str) -> None:
    """Clients and services submit a kind without an input argument."""
    with system(app) as made:
        assert made.client.wait(made.client.submit(kind)) == KINDS[kind]
        assert made.client.wait(made.run(made.async_client.submit(kind))) == KINDS[kind]
        assert made.client.wait(made.run(made.service.submit(kind))) == KINDS[kind]
        for value in ({"a": 1}, [], 0):
            with pytest.raises(InvalidInput, match="takes no input"):
                made.run(made.service.submit(kind, value))
    assert Service.submit.__defaults__ == made.service.submit.__defaults__


def test_an_input_that_was_forgotten() -> None:
    """A kind with an input gets an empty object, which is refused if that is not its input."""

    async def handler(value: list[int]) -> None: ...

    other = Offpoll()
    other.operation("order")(handler)
    with system(other, workers=0) as made, pytest.raises(InvalidInput, match="valid array"):
        made.run(made.service.submit("order"))


def test_alone() -> None:
    """`testing.run` runs a handler without input."""
    assert (run(refresh).result, run(count, attempt=3).result) == ("done", 3)
    assert run(count).progress[0].fraction == 0.5
    with pytest.raises(InvalidInput, match="takes no input"):
        run(refresh, {"a": 1})


def test_openapi() -> None:
    """OpenAPI says that the body may be left out, and which bodies are possible."""
    with system(app, workers=0) as made:
        paths = application(made.service).openapi()["paths"]
    body = paths["/refresh"]["post"]["requestBody"]
    assert not body["required"]
    assert body["content"]["application/json"]["schema"]["maxProperties"] == 0
    assert paths["/order"]["post"]["requestBody"]["required"]


def test_a_message_of_another_producer() -> None:
    """A worker takes a message whose body is `null` or `{}`."""
    kind = Kind.of("refresh", refresh)
    assert kind.parse("{}") is kind.parse("null") is None
    with pytest.raises(InvalidInput):
        kind.parse("1")
