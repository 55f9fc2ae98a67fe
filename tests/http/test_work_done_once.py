"""What an accepted request costs, counted in calls: nothing is computed, read, written or looked up twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.memory_dependencies import memory_dependencies

from offpoll import AsyncService, Offpoll, Settings
from offpoll import document as document_module
from offpoll import kind as kind_module
from offpoll.aws.batches import Batcher
from offpoll.board import AsyncStatusBoard
from offpoll.document import Document
from offpoll.errors import InvalidInput
from offpoll.http.endpoint import Endpoint, Request, read_all
from offpoll.http.problem import ended
from offpoll.json_types import DEEP
from offpoll.kind import Kind
from offpoll.operation import Outcome, Status
from offpoll.queue import Envelope, MemoryQueue
from offpoll.records import Idle

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Order(BaseModel):
    sku: str


async def typed(order: Order) -> None: ...


async def untyped(order: Any) -> None: ...


async def named(order: dict[str, Any]) -> None: ...


class Calls:
    """Counts the calls of functions, which still do what they did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: dict[str, int] = {}
        self._monkeypatch = monkeypatch

    def of(self, target: Any, name: str) -> None:
        original = getattr(target, name)
        self.counts[name] = 0

        def counting(*arguments: Any, **named: Any) -> Any:
            self.counts[name] += 1
            return original(*arguments, **named)

        self._monkeypatch.setattr(target, name, counting)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


class TimelessQueue(MemoryQueue):
    """A queue that needs no loop for the time, as SQS does not."""

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        """Take the message."""


def service(handler: Any) -> AsyncService:
    """Return a service in memory."""
    app = Offpoll()
    app.operation("order")(handler)
    return AsyncService(app, settings=Settings(secret="0" * 32), dependencies=memory_dependencies(queue=TimelessQueue()))


def submit(run: Run, of: AsyncService) -> Any:
    """Submit an order by HTTP."""
    request = Request(method="POST", path="/order", headers={"host": "h"}, scheme="http", read=read_all(b'{"sku":"A1"}'))
    response = run(Endpoint(of).answer(request))
    assert response.status == 202
    return response


HANDLERS = pytest.mark.parametrize("handler", [typed, untyped, named])


@HANDLERS
def test_a_submit_computes_one_board_key(run: Run, calls: Calls, handler: Any) -> None:
    """The document's key, of which the message and the link need one too, is computed once."""
    of = service(handler)
    calls.of(AsyncStatusBoard, "key")
    submit(run, of)
    assert calls.counts == {"key": 1}


@HANDLERS
def test_a_submit_reads_and_writes_the_body_once(run: Run, calls: Calls, handler: Any) -> None:
    """A body is decoded once and written once, as canonical JSON. The standard library's general functions are not needed."""
    of = service(handler)
    calls.of(kind_module, "_decode")
    calls.of(kind_module, "_encode_text")
    calls.of(json, "loads")
    calls.of(json, "dumps")
    submit(run, of)
    assert calls.counts == {"_decode": 1, "_encode_text": 1, "loads": 0, "dumps": 0}


@pytest.mark.parametrize(("handler", "parses"), [(typed, 1), (untyped, 0), (named, 0)])
def test_an_input_is_made_once(calls: Calls, handler: Any, parses: int) -> None:
    """The input of a handler with a type is validated once. One without needs no second reading of the text: its value is known."""
    kind = Kind.of("order", handler)
    calls.of(Kind, "parse")
    assert kind.accept(b'{ "sku": "A1" }') == '{"sku":"A1"}'
    assert calls.counts == {"parse": parses}


def test_what_is_unclear_is_still_validated(calls: Calls) -> None:
    """A value of another type than the handler's, or one nested deeply, is left to the validation."""
    kind = Kind.of("order", named)
    calls.of(Kind, "parse")
    with pytest.raises(InvalidInput):
        kind.accept(b"[1]")
    deep = '{"a":' + "[" * DEEP + "]" * DEEP + "}"
    assert kind.accept(deep.encode()) == deep
    assert calls.counts == {"parse": 2}


def test_a_documents_bytes_are_written_once(run: Run, calls: Calls) -> None:
    """A submit writes the document's JSON once, for the store. The response, `body` and `to_bytes` of the ticket take the same bytes."""
    of = service(typed)
    calls.of(document_module, "_write")
    calls.of(json, "dumps")
    ticket = run(of.submit("order", b'{"sku":"A1"}'))
    first = ticket.to_response().body
    assert ticket.to_bytes() == first
    assert ticket.body == json.loads(first)
    assert calls.counts == {"_write": 1, "dumps": 0}


def test_the_problem_of_an_end_reads_no_document(calls: Calls) -> None:
    """The problem document of a failed operation is made from the document's fields: its JSON is neither written nor read for a date."""
    failed = Document(
        id="0" * 32, kind="order", status="failed", created_at=NOW, updated_at=NOW, finished_at=NOW, error={"code": "c", "message": "No."}
    )
    for document, expected in ((failed, "2030-01-01T00:00:00.000Z"), (replace(failed, finished_at=None), None)):
        for name in ("to_bytes", "to_dict"):
            calls.of(Document, name)
        calls.of(json, "loads")
        body = ended(document).body
        assert calls.counts == {"to_bytes": 0, "to_dict": 0, "loads": 0}
        assert json.loads(body)["finished_at"] == expected


def test_a_result_needs_no_document(run: Run, calls: Calls) -> None:
    """GET of a succeeded operation responds from the record: no document is made, read or written for it."""
    of = service(typed)
    ticket = run(of.submit("order", {"sku": "A1"}))
    submission = of.dependencies.board.submission_of(ticket.document, owner="public")
    outcome = Outcome(status=Status.SUCCEEDED, result="7")
    run(of.dependencies.records.decide(submission, outcome, guard=Idle(attempt=0), expires_at=datetime(2100, 1, 1, tzinfo=UTC)))
    calls.of(document_module, "_write")
    calls.of(AsyncStatusBoard, "read")
    assert run(of.find("order", ticket.operation_id)).result == "7"
    assert calls.counts == {"_write": 0, "read": 0}


# --- the event loop -------------------------------------------------------------------------------


def test_an_accepted_request_looks_its_loop_up_once(run: Run, calls: Calls) -> None:
    """The running loop is looked up once for a submit, and passed on: on Python 3.11 each look-up is a system call."""
    of = service(typed)
    submit(run, of)
    calls.of(asyncio, "get_running_loop")
    submit(run, of)
    assert calls.counts == {"get_running_loop": 1}


def test_batched_calls_look_their_loop_up_once(run: Run, calls: Calls) -> None:
    """Calls made together look their loop up once each, which is how a foreign loop or a forked process is noticed."""

    async def one(item: int) -> int:
        await asyncio.sleep(0)
        return item

    async def many(items: Any) -> Any:
        return list(items)

    async def use() -> None:
        batches: Batcher[int, int] = Batcher(one=one, many=many, limit=10)
        made = [asyncio.ensure_future(batches.call(item)) for item in range(5)]
        calls.of(asyncio, "get_running_loop")
        assert await asyncio.gather(*made) == [0, 1, 2, 3, 4]
        assert calls.counts == {"get_running_loop": 5}

    run(use())
