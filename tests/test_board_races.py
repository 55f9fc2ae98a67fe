"""The one rule of publishing to the status board, under races, lost responses and outages."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.boards import ID, Board

from offpoll.errors import DependencyUnavailable, DigestMismatch, DocumentExists
from offpoll.operation import Progress, Status
from offpoll.testing import run_virtual


def test_create_once() -> None:
    """A second create finds the first one's document and changes nothing."""

    async def main() -> None:
        board = Board()
        assert await board.create()
        assert not await board.create()
        assert (await board.document()).revision == 1
        assert board.faults.count("create") == 2

    run_virtual(main())


def test_a_terminal_document_never_changes() -> None:
    """Publishing after the end never changes a stored byte, whatever is published and in whatever order."""

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
    """Progress does not create a missing document; an outcome creates it at revision 1."""

    async def main() -> None:
        board = Board()
        assert await board.board.show(board.record()) is None
        assert board.faults.count("create") == 0
        shown = await board.board.show(board.ended())
        assert shown is not None
        assert (shown.document.status, shown.document.revision) == ("succeeded", 1)

    run_virtual(main())


def test_another_inputs_document_is_left_alone() -> None:
    """A document with another digest is left alone, even by an outcome."""

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


def test_a_stale_etag_leads_to_a_new_read() -> None:
    """A publish with a stale document reads the current one and writes the next revision."""

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
    """A write that took effect but came back as a conflict, after a retry below the board, is recognised and not repeated."""

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


def test_an_unknown_effect_is_reported() -> None:
    """The caller may repeat a publish after an outage; the document ends up written once."""

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
    """If a document exists but stays unreadable, the error names the missing permission, and no link is made."""

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
def test_a_create_that_meets_another_one(conflicts: int) -> None:
    """S3 answers 409 while another create is under way. As that one may fail, the create is repeated until one succeeds."""

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
    """Of 64 outcomes at once, one is stored, and every writer receives it."""

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
    """Each of many progress publishers gets through or sees a higher rank; the rank only grows."""

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
