"""The status board as users call it: keys, opening documents and publishing to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.boards import ID, NOW, Board

from offpoll.board import AsyncStatusBoard
from offpoll.document import PollHint
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import ConfigurationError
from offpoll.operation import Progress
from offpoll.testing import run_virtual


class Rows(BaseModel):
    rows: int


def test_keys() -> None:
    """A plain owner appears in the key as it is. Any other appears as a digest after a dot, which no plain owner starts with."""
    board = AsyncStatusBoard(store=MemoryDocumentStore())
    assert board.key(ID) == f"status/public/{ID}"
    odd = board.key(ID, owner="a/../b").split("/")
    assert (len(odd), odd[1][0]) == (3, ".")
    assert len({board.key(ID, owner=owner) for owner in ("a", "A", "a ", "é", "." + "a" * 43, "a" * 65)}) == 6


def test_open_and_publish() -> None:
    """A custom API and worker need two calls. The document never goes backwards, and a terminal one is final."""

    async def main() -> None:
        board = Board().board
        link = await board.open(ID, kind="report", mean=20, interval=5)
        assert await board.open(ID, kind="report") == link
        running = await board.publish(ID, status="running", progress=Progress(fraction=0.5, message="half"))
        assert (running.status, running.poll) == ("running", PollHint(not_before=NOW + timedelta(seconds=20), interval=5))
        done = await board.publish(ID, status="succeeded", result={"rows": 3})
        assert (done.result, done.done) == ({"rows": 3}, True)
        assert await board.publish(ID, status="failed", attempt=2, error={"code": "late"}) == done

    run_virtual(main())


@pytest.mark.parametrize("arguments", [{"status": "queued"}, {"status": "paused"}, {"status": "running", "attempt": 0}], ids=str)
def test_what_a_worker_may_not_publish(arguments: dict[str, Any]) -> None:
    """A status or attempt that no worker has is refused, and not published as something else."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        with pytest.raises(ConfigurationError, match="a worker publishes"):
            await board.publish(ID, **arguments)

    run_virtual(main())


@pytest.mark.parametrize(
    ("result", "shown"), [({"rows": 3}, {"rows": 3}), ("done", "done"), (b'{"rows": 3}', {"rows": 3}), (7, 7), (Rows(rows=3), {"rows": 3})]
)
def test_forms_of_a_result(result: object, shown: object) -> None:
    """A result may be JSON bytes or an object, including a pydantic model, and is published as JSON."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        assert (await board.publish(ID, status="succeeded", result=result)).result == shown

    run_virtual(main())


@pytest.mark.parametrize("result", ['{"rows": 3}', "[1]", complex(1, 2), float("nan"), b"{"], ids=repr)
def test_invalid_results(result: object) -> None:
    """A `str` with JSON text would become a JSON string, and some objects have no JSON form. Both are refused, and nothing is published."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        with pytest.raises(ConfigurationError, match="result"):
            await board.publish(ID, status="succeeded", result=result)
        assert not (await board.publish(ID, status="running")).done

    run_virtual(main())


def test_publishing_needs_an_open_document() -> None:
    """Publishing does not create a document that nobody opened."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="open it"):
            await Board().board.publish(ID, status="running")

    run_virtual(main())


@pytest.mark.parametrize("arguments", [{"operation_id": "x"}, {"kind": "Not One"}, {"owner": ""}], ids=str)
def test_invalid_arguments_to_open(arguments: dict[str, Any]) -> None:
    """An invalid id, kind or owner is refused before anything is written."""

    async def main() -> None:
        board = Board()
        given = {"operation_id": ID, "kind": "report", **arguments}
        with pytest.raises(ConfigurationError):
            await board.board.open(given.pop("operation_id"), **given)
        assert board.faults.calls == []

    run_virtual(main())
