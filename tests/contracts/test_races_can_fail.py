"""Each race can fail: it does on a twin that is broken in exactly the way that the race guards against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll import records as rules
from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document import project
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DocumentChanged
from offpoll.operation import Record
from offpoll.queue import Delivery, MemoryQueue
from offpoll.records import Claim, Guard, Idle, MemoryRecords, Undecided
from offpoll.testing.contracts import DocumentStoreContract, QueueContract, RecordsContract
from offpoll.testing.contracts.running import Running
from offpoll.testing.contracts.status_board_races import Observed
from offpoll.testing.contracts.submissions import new_submission
from offpoll.testing.virtual import VirtualLoop

#: A race that was lost: an assertion, or more winners than the one that is unpacked.
LOST = (AssertionError, ValueError)


def late(twin: Any, state: str, *verbs: str) -> Any:
    """Make verbs check, let others go first, and then write by what they saw: the fault that a conditional write prevents."""

    def broken(verb: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            seen = dict(getattr(twin, state))
            await asyncio.sleep(0)
            answer = await getattr(replace(twin, **{state: seen}), verb)(*args, **kwargs)
            getattr(twin, state).update(seen)
            return answer

        return call

    for verb in verbs:
        setattr(twin, verb, broken(verb))
    return twin


def on(suite: Running, race: str, **arguments: Any) -> None:
    """Run one race as pytest would."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        suite._runner = runner
        getattr(suite, race)(**arguments)


@pytest.mark.parametrize(
    "race",
    [
        "test_one_of_many_creators_wins",
        "test_one_of_many_replacers_wins",
        "test_creators_among_replacers",
        "test_replacers_among_creators",
        "test_no_write_is_lost",
    ],
)
def test_a_store_that_checks_and_then_writes(race: str) -> None:
    """The races notice a store that checks a condition before the write, not with it, so that two writers win."""
    with pytest.raises(LOST):
        on(DocumentStoreContract(), race, store=late(MemoryDocumentStore(), "_objects", "create", "replace"), key="k")


def test_a_store_that_shows_half_a_document() -> None:
    """The race notices a read that meets half a write."""

    class Torn(MemoryDocumentStore):
        async def replace(self, key: str, body: bytes, *, etag: str) -> str:
            whole = await super().replace(key, body, etag=etag)
            self._objects[key] = body[:1]
            await asyncio.sleep(0)
            self._objects[key] = body
            return whole

    with pytest.raises(LOST):
        on(DocumentStoreContract(), "test_readers_see_whole_documents", store=Torn(), key="k")


class Careless(AsyncStatusBoard):
    """A board that overwrites whatever is there."""

    async def show(self, record: Record, **_: Any) -> Stored:
        key = record.submission.status_key
        while True:
            found = await self.read(key)
            before = None if found is None else found.document
            document = project(record, before=before, updated_at=record.submission.created_at)
            try:
                if found is None:
                    return Stored(document=document, etag=await self.store.create(key, document.to_bytes()))
                return Stored(document=document, etag=await self.store.replace(key, document.to_bytes(), etag=found.etag))
            except DocumentChanged:
                continue


@pytest.mark.parametrize(
    ("race", "arguments"),
    [
        ("test_one_end_that_many_show", {"exists": True}),
        ("test_one_of_many_ends_stays", {}),
        ("test_many_attempts", {}),
        ("test_an_end_among_attempts", {}),
    ],
)
@pytest.mark.parametrize("broken", ["board", "store"])
def test_a_board_that_lowers_a_rank(race: str, arguments: dict[str, Any], broken: str) -> None:
    """The races notice a board without ranks, or a store without conditions: documents go backwards, or two writers win."""
    store = MemoryDocumentStore()
    observed = Observed(store=late(store, "_objects", "replace") if broken == "store" else store)
    board = Careless(store=observed) if broken == "board" else AsyncStatusBoard(store=observed)
    with pytest.raises(LOST):
        on(DocumentStoreContract(), race, board=board, observed=observed, operation=new_submission(), **arguments)


def against(race: str, records: MemoryRecords, **arguments: Any) -> None:
    """Assert that a race notices broken records."""
    with pytest.raises(LOST):
        on(RecordsContract(), race, records=records, submission=new_submission(), expires_at=SOON, **arguments)


SOON = datetime.now(UTC) + timedelta(days=14)


@pytest.mark.parametrize(
    ("race", "arguments"),
    [
        ("test_one_of_many_claimers_wins", {"seen": 0}),
        ("test_one_of_many_claimers_wins", {"seen": 1}),
        ("test_a_claim_that_arrives_often", {"seen": 1}),
        ("test_one_of_many_outcomes_wins", {"guard": Undecided()}),
        ("test_one_of_many_outcomes_wins", {"guard": Idle(attempt=0)}),
        ("test_a_cancel_races_the_holder", {}),
        ("test_a_cancel_among_the_holders_calls", {"first": "the holder"}),
        ("test_a_takeover_among_the_holders_calls", {"first": "the holder"}),
        ("test_giving_up_among_claims", {"seen": 0, "first": "the others"}),
    ],
    ids=str,
)
def test_records_that_check_and_then_write(race: str, arguments: dict[str, Any]) -> None:
    """The races notice records that check a guard before the update, not with it, so that two claims or outcomes hold."""
    against(race, late(MemoryRecords(), "_records", "claim", "renew", "release", "decide"), **arguments)


@pytest.mark.parametrize(
    ("race", "arguments", "forgotten"),
    [
        ("test_a_fenced_attempt", {}, lambda guard, record: isinstance(guard, Claim) and not record.done),
        ("test_a_takeover_among_the_holders_calls", {"first": "the others"}, lambda guard, record: isinstance(guard, Claim)),
        ("test_a_takeover_among_the_holders_calls", {"first": "the holder"}, lambda guard, record: isinstance(guard, Idle)),
        ("test_a_cancel_among_the_holders_calls", {"first": "the others"}, lambda guard, record: isinstance(guard, Claim)),
        ("test_a_cancel_races_the_holder", {}, lambda guard, record: isinstance(guard, Undecided)),
    ],
    ids=["no fencing", "a holder always may", "leases do not count", "outcomes do not count", "a cancel always wins"],
)
def test_records_that_forget_a_rule(
    race: str, arguments: dict[str, Any], forgotten: Callable[[Guard, Record], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The races notice a guard that is laxer than `records.holds`."""
    holds = rules.holds

    def lax(guard: Guard, record: Record | None, now: datetime) -> bool:
        return (record is not None and forgotten(guard, record)) or holds(guard, record, now)

    monkeypatch.setattr(rules, "holds", lax)
    against(race, MemoryRecords(), **arguments)


class Generous(MemoryQueue):
    """A queue that delivers each message a second time before it hides it."""

    async def _take(self, limit: int) -> list[Delivery]:
        taken = await super()._take(limit)
        for delivery in taken:
            if delivery.receives == 1:
                self._held[int(delivery.receipt.partition(".")[0])].visible_at = 0.0
        return taken


class Obedient(MemoryQueue):
    """A queue that accepts any receipt of a message, however old."""

    def _find(self, delivery: Delivery) -> int | None:
        number = int(delivery.receipt.partition(".")[0])
        return number if number in self._held else None


class Forgetful(MemoryQueue):
    """A queue that loses all but two of the messages that one call receives."""

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        return (await super().receive(limit=limit, wait=0.0))[:2]


@pytest.mark.parametrize(
    ("race", "queue"),
    [
        ("test_many_receivers", Generous),
        ("test_receivers_that_wait", Generous),
        ("test_deletes_among_receives", Forgetful),
        ("test_half_is_given_back", Forgetful),
        ("test_an_older_receipt", Obedient),
    ],
)
def test_queues_that_double_or_lose(race: str, queue: type[MemoryQueue]) -> None:
    """The races notice a message that two receivers get, that none gets, or that an old receipt deletes."""
    with pytest.raises(LOST):
        on(QueueContract(), race, queue=queue())
