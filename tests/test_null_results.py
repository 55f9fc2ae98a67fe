"""None is a result: JSON's null, wherever a result is written, kept, shown, answered, read and printed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.boards import ID

from offpoll import Offpoll, Ticket
from offpoll.board import AsyncStatusBoard
from offpoll.client import AsyncClient, Client
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import ConfigurationError, OperationFailed
from offpoll.exchange import Fetch, Response
from offpoll.testing import run, run_virtual, system

RESULTS: list[Any] = [None, False, 0, "", [], {}, [None], {"a": None}, {"a": 1}, 1.5, "null"]


class StoreAlone:
    """A store without an API: whoever asks the API anything has a bug."""

    def __init__(self, store: MemoryDocumentStore) -> None:
        self._store = store

    async def send(self, fetch: Fetch) -> Response:
        assert fetch.url.startswith(self._store.origin), f"there is no API for {fetch.method} {fetch.url}"
        status, headers, body = self._store.answer(fetch.method, fetch.url, {name.lower(): value for name, value in fetch.headers.items()})
        return Response(status=status, headers=headers, body=body)

    async def close(self) -> None: ...


class Blocking:
    """The same for the blocking client."""

    def __init__(self, store: MemoryDocumentStore) -> None:
        self._alone = StoreAlone(store)

    def send(self, fetch: Fetch) -> Response:
        return asyncio.run(self._alone.send(fetch))

    def close(self) -> None: ...


async def opened(store: MemoryDocumentStore) -> tuple[AsyncStatusBoard, Ticket]:
    board = AsyncStatusBoard(store=store)
    link = await board.open(ID, kind="order", mean=0.1)
    stored = await board.read(board.key(ID))
    assert stored is not None
    return board, Ticket(document=stored.document, link=link, location=f"/order/{ID}", retry_after=0)


@pytest.mark.parametrize("given", [*({"result": each} for each in RESULTS), {}], ids=repr)
def test_a_board_without_an_api(given: dict[str, Any]) -> None:
    """A result is read from the document, null and none included. Nothing is asked at an API that does not exist."""
    expected = given.get("result")

    async def main() -> tuple[MemoryDocumentStore, Ticket]:
        store = MemoryDocumentStore()
        board, ticket = await opened(store)
        await board.publish(ID, status="succeeded", **given)
        client = AsyncClient("https://api.invalid", transport=StoreAlone(store), retry_timeout=1)
        assert await client.wait(ticket) == expected
        assert [each.result() for each in await client.wait_all([ticket])] == [expected]
        assert [document.result async for document in client.poll(ticket)][-1] == expected
        done = await client.resume(ticket.link.href)
        assert (await client.wait(done), await client.result(done)) == (expected, expected)
        return store, ticket

    store, ticket = run_virtual(main())
    blocking = Client("https://api.invalid", transport=Blocking(store), retry_timeout=1, sleep=lambda seconds: None)
    assert blocking.wait(ticket) == expected


def test_a_failure_on_a_board_without_an_api() -> None:
    """How an operation ended is read from the document, too."""

    async def main() -> None:
        store = MemoryDocumentStore()
        board, ticket = await opened(store)
        await board.publish(ID, status="failed", error={"code": "none", "message": "None left."})
        client = AsyncClient("https://api.invalid", transport=StoreAlone(store), retry_timeout=1)
        done = await client.resume(ticket.link.href)
        for ask in (client.wait, client.result):
            with pytest.raises(OperationFailed, match="None left"):
                await ask(done)

    run_virtual(main())


def test_a_result_that_no_document_can_show() -> None:
    """Without an API nobody else has the result: what does not fit is refused, and does not become null. With one, it is left out."""

    async def main() -> None:
        board, _ = await opened(MemoryDocumentStore())
        with pytest.raises(ConfigurationError, match="2048"):
            await board.publish(ID, status="succeeded", result="x" * 2047)
        assert (await board.publish(ID, status="succeeded", result="x" * 2046)).result == "x" * 2046
        other = AsyncStatusBoard(store=MemoryDocumentStore())
        await other.open(ID, kind="order", base_url="https://api.test")
        assert (await other.publish(ID, status="succeeded", result="x" * 5000)).result is None

    run_virtual(main())


@pytest.mark.parametrize("show_result", [True, False])
@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_a_service(result: Any, show_result: bool) -> None:
    """A handler's result reaches every reader, shown in the document or not: clients, `Snapshot`, HTTP, `testing.run`."""
    app = Offpoll()

    @app.operation("order", show_result=show_result)
    async def order(value: Any) -> Any:
        return result

    with system(app) as made:
        ticket = made.client.submit("order", 1)
        assert made.client.wait(ticket) == made.client.result(ticket) == result
        assert made.client.wait_all([ticket])[0].result() == result
        found = made.run(made.service.get("order", ticket.operation_id))
        assert found.result is not None
        assert json.loads(found.result) == result
        assert found.document.result == (result if show_result else None)
        assert made.client.resume(ticket.location if "://" in ticket.location else f"https://api.invalid{ticket.location}").document.done
    assert (run(order, 1).status, run(order, 1).result) == ("succeeded", result)
    assert run(order, 1).outcome.result == json.dumps(result, separators=(",", ":"))


def test_an_unfinished_operation_has_none() -> None:
    """`Snapshot.result` is None for an operation without a result, and the text `null` for one whose result is null."""
    app = Offpoll()

    @app.operation("order")
    async def order(value: Any) -> None: ...

    with system(app, workers=0) as made:
        ticket = made.client.submit("order", 1)
        assert made.run(made.service.get("order", ticket.operation_id)).result is None
        made.start_worker()
        assert made.client.wait(ticket) is None
        assert made.run(made.service.get("order", ticket.operation_id)).result == "null"
