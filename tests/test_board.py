"""The status board: keys, creating, and the one rule of publishing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document, Estimate, PollHint
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import ConfigurationError, DependencyUnavailable, DigestMismatch, DocumentExists
from offpoll.operation import Outcome, Progress, Record, Status, Submission
from offpoll.testing import run_virtual

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
HINTS: dict[str, Any] = {"estimate": Estimate(mean=NOW), "poll": PollHint(not_before=NOW, interval=2.0)}


class Rows(BaseModel):
    rows: int


class Board:
    """A board with one submission, and faults on its store."""

    def __init__(self) -> None:
        self.store = MemoryDocumentStore(clock=lambda: NOW)
        self.faults = Faults(self.store)
        self.board = AsyncStatusBoard(store=self.store, clock=lambda: NOW)
        self.submission = Submission(
            operation_id=ID, kind="order", owner="public", status_key=self.board.key(ID), digest="d", base_url="", created_at=NOW
        )

    def record(self, *, attempt: int = 1, outcome: Outcome | None = None) -> Record:
        return Record(submission=self.submission, attempt=attempt, started_at=NOW, expires_at=NOW + timedelta(days=14), outcome=outcome)

    def ended(self, status: Status = Status.SUCCEEDED, *, attempt: int = 1) -> Record:
        return self.record(attempt=attempt, outcome=Outcome(status=status))

    async def create(self) -> None:
        await self.board.create(self.submission, **HINTS)

    async def document(self) -> Document:
        stored = await self.board.read(self.submission.status_key)
        assert stored is not None
        return stored.document


def test_keys() -> None:
    """A plain owner stands in the key; any other by its digest, marked by a dot, which no plain owner has."""
    board = AsyncStatusBoard(store=MemoryDocumentStore())
    assert board.key(ID) == f"status/public/{ID}"
    odd = board.key(ID, owner="a/../b").split("/")
    assert (len(odd), odd[1][0]) == (3, ".")
    assert len({board.key(ID, owner=owner) for owner in ("a", "A", "a ", "é", "." + "a" * 43, "a" * 65)}) == 6


def test_create_once() -> None:
    """A second create meets the first one's document and changes nothing."""

    async def main() -> None:
        board = Board()
        await board.create()
        with pytest.raises(DocumentExists):
            await board.create()
        assert (await board.document()).revision == 1

    run_virtual(main())


def test_a_terminal_document_never_changes() -> None:
    """Whatever is published after the end, in whatever order, the stored bytes stay the same."""

    async def main() -> None:
        board = Board()
        await board.create()
        first = await board.board.show(board.ended())
        assert first is not None
        before = await board.store.read(board.submission.status_key)
        for late in (board.record(attempt=5), board.ended(Status.FAILED, attempt=9), board.ended()):
            assert await board.board.show(late) == first
        assert await board.store.read(board.submission.status_key) == before

    run_virtual(main())


def test_an_older_attempt_does_not_overwrite() -> None:
    """A non-terminal publish never lowers the attempt; a terminal one may come from an earlier attempt."""

    async def main() -> None:
        board = Board()
        await board.create()
        newer = await board.board.show(board.record(attempt=2))
        assert await board.board.show(board.record(attempt=1), progress=Progress(fraction=0.9)) == newer
        await board.board.show(board.ended(Status.CANCELED, attempt=1))
        assert (await board.document()).status == "canceled"

    run_virtual(main())


def test_only_a_terminal_publish_creates() -> None:
    """A missing document is not created by progress, and is by an outcome, at revision 1."""

    async def main() -> None:
        board = Board()
        assert await board.board.show(board.record()) is None
        assert board.faults.count("create") == 0
        shown = await board.board.show(board.ended())
        assert shown is not None
        assert (shown.document.status, shown.document.revision) == ("succeeded", 1)

    run_virtual(main())


def test_another_inputs_document_is_left_alone() -> None:
    """A document with another digest is not touched, not even by an outcome."""

    async def main() -> None:
        board = Board()
        await board.create()
        before = await board.store.read(board.submission.status_key)
        board.submission = replace(board.submission, digest="other")
        for record in (board.record(), board.ended()):
            with pytest.raises(DigestMismatch):
                await board.board.show(record)
        assert await board.store.read(board.submission.status_key) == before

    run_virtual(main())


def test_a_stale_etag_is_looked_at_again() -> None:
    """A publish whose held document is stale reads and writes over what is there, one revision later."""

    async def main() -> None:
        board = Board()
        await board.create()
        held = await board.board.read(board.submission.status_key)
        await board.board.show(board.record(), progress=Progress(fraction=0.1))
        shown = await board.board.show(board.record(), held=held, progress=Progress(fraction=0.2))
        assert shown is not None
        assert shown.document.revision == 3
        assert (await board.document()).progress == Progress(fraction=0.2)

    run_virtual(main())


@pytest.mark.parametrize("exists", [True, False])
def test_a_lost_answer_is_recognised(exists: bool) -> None:
    """A write that took effect and was answered as a conflict (a retry below us) is ours, and not written twice."""

    async def main() -> None:
        board = Board()
        if exists:
            await board.create()
        verb, conflict = ("replace", "create")[not exists], board.ended()
        board.faults.fail(verb, after=True, error=DocumentExists("lost"))
        shown = await board.board.show(conflict)
        assert shown is not None
        assert shown.document.revision == 1 + exists
        assert board.faults.count(verb) == 1

    run_virtual(main())


def test_an_unknown_effect_is_said() -> None:
    """An outage is the caller's to repeat, and repeating ends with one document, once."""

    async def main() -> None:
        board = Board()
        await board.create()
        board.faults.fail("replace", after=True)
        with pytest.raises(DependencyUnavailable):
            await board.board.show(board.ended())
        shown = await board.board.show(board.ended())
        assert shown is not None
        assert shown.document.revision == 2

    run_virtual(main())


def test_a_hidden_document_is_the_operators_to_mend() -> None:
    """A document that exists and stays unreadable says which permission is missing, and gives no link."""

    async def main() -> None:
        board = Board()
        board.faults.fail("create", error=DocumentExists("there"), times=100)
        with pytest.raises(DependencyUnavailable, match="s3:GetObject"):
            await board.board.show(board.ended())
        with pytest.raises(DependencyUnavailable, match="s3:GetObject"):
            await board.board.open(ID, kind="order")
        assert asyncio.get_running_loop().time() < 5

    run_virtual(main())


@pytest.mark.parametrize("conflicts", [1, 5])
def test_a_create_that_met_another_one_under_way(conflicts: int) -> None:
    """S3 answers 409 while another create is under way, which may fail: the create is repeated until one of them stands."""

    async def main() -> None:
        for verb in ("show", "open"):
            board = Board()
            board.faults.fail("create", error=DocumentExists("409"), times=conflicts)
            if verb == "show":
                await board.board.show(board.ended())
            else:
                await board.board.open(ID, kind="order")
            assert (await board.document()).revision == 1
            assert board.faults.count("create") == conflicts + 1

    run_virtual(main())


def test_64_writers() -> None:
    """Of 64 outcomes at once one is stored, and all writers are told the same one."""

    async def main() -> None:
        board = Board()
        await board.create()
        for _ in range(64):
            board.faults.meanwhile("replace", lambda: asyncio.sleep(0))
        records = [board.ended(status) for status in (Status.SUCCEEDED, Status.FAILED) for _ in range(32)]
        shown = await asyncio.gather(*(board.board.show(record) for record in records))
        assert len({each.etag for each in shown if each is not None}) == 1
        assert (await board.document()).revision == 2

    run_virtual(main())


def test_publishers_never_starve() -> None:
    """Many publishers of progress each get through or see a higher rank; the rank only grows."""

    async def main() -> None:
        board = Board()
        await board.create()
        ranks = []

        async def look() -> None:
            ranks.append((await board.document()).rank)

        for skip in range(30):
            board.faults.meanwhile("replace", look, after=True, skip=skip)
        await asyncio.gather(*(board.board.show(board.record(attempt=1 + n % 3), progress=Progress(fraction=n / 10)) for n in range(10)))
        assert ranks == sorted(ranks)
        assert (await board.document()).attempt == 3

    run_virtual(main())


# --- the library's face -------------------------------------------------------------------------


def test_open_and_publish() -> None:
    """An API and workers of one's own need two calls; the document never goes backwards and terminal is final."""

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
def test_what_a_worker_does_not_publish(arguments: dict[str, Any]) -> None:
    """A status or an attempt that is no worker's is refused; it is not published as something else."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        with pytest.raises(ConfigurationError, match="a worker publishes"):
            await board.publish(ID, **arguments)

    run_virtual(main())


@pytest.mark.parametrize(
    ("result", "shown"), [({"rows": 3}, {"rows": 3}), ("done", "done"), (b'{"rows": 3}', {"rows": 3}), (7, 7), (Rows(rows=3), {"rows": 3})]
)
def test_a_result_is_an_object(result: object, shown: object) -> None:
    """A result is published as the JSON of an object, a pydantic model's too; bytes are JSON already."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        assert (await board.publish(ID, status="succeeded", result=result)).result == shown

    run_virtual(main())


@pytest.mark.parametrize("result", ['{"rows": 3}', "[1]", object(), float("nan"), b"{"], ids=repr)
def test_what_is_no_result(result: object) -> None:
    """JSON text in a `str` would be read as a string, and other things have no JSON form: they are refused, and nothing is published."""

    async def main() -> None:
        board = Board().board
        await board.open(ID, kind="report")
        with pytest.raises(ConfigurationError, match="result"):
            await board.publish(ID, status="succeeded", result=result)
        assert not (await board.publish(ID, status="running")).done

    run_virtual(main())


def test_publishing_needs_a_document() -> None:
    """A document that nobody opened is not made up."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="open it"):
            await Board().board.publish(ID, status="running")

    run_virtual(main())


@pytest.mark.parametrize("arguments", [{"operation_id": "x"}, {"kind": "Not One"}, {"owner": ""}], ids=str)
def test_what_cannot_be_opened(arguments: dict[str, Any]) -> None:
    """An id, a kind or an owner that cannot be one is refused before anything is written."""

    async def main() -> None:
        board = Board()
        given = {"operation_id": ID, "kind": "report", **arguments}
        with pytest.raises(ConfigurationError):
            await board.board.open(given.pop("operation_id"), **given)
        assert board.faults.calls == []

    run_virtual(main())
