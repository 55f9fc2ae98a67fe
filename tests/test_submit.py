"""Submit: create, then enqueue; what a repeated submit means; what a failed step leaves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DependencyUnavailable, DocumentExists, InvalidIdempotencyKey, KeyReused
from offpoll.forecast import Forecast
from offpoll.keyed_hash import KeyedHash
from offpoll.operation import Outcome, Record, Status, is_operation_id
from offpoll.queue import MemoryQueue, Message
from offpoll.service_times import MemoryServiceTimes
from offpoll.submit import Submitter, digest_of, operation_id_of
from offpoll.testing import START, run_virtual

SECRET = KeyedHash(b"s" * 32)


class Front:
    """A submitter, and faults on what it talks to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now: Callable[[], datetime] = lambda: START + timedelta(seconds=loop.time())
        self.store, self.queue = MemoryDocumentStore(clock=self.now), MemoryQueue()
        self.board = AsyncStatusBoard(store=self.store, clock=self.now)
        self.on_store, self.on_queue = Faults(self.store), Faults(self.queue)
        forecast = Forecast(queue=self.queue, service_times=MemoryServiceTimes(), expected_service_time=5, concurrency=1)
        self.submitter = Submitter(
            board=self.board,
            queue=self.queue,
            forecast=forecast,
            secret=SECRET,
            clock=self.now,
            lifetime=1_209_600,
            random_bytes=random.Random(1).randbytes,
        )

    async def submit(self, body: str = "1", *, key: str | None = "k", owner: str = "public", kind: str = "order") -> Document:
        document, status_key = await self.submitter.submit(
            kind, body, owner=owner, idempotency_key=key, base_url="https://api", lateness_weight=1.0
        )
        assert status_key == self.board.key(document.id, owner=owner)
        return document

    @property
    def messages(self) -> list[Message]:
        return [Message.from_envelope(each) for each in self.queue.peek()]


def virtually(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtual(test())  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtually
async def test_create_then_enqueue() -> None:
    """The document exists before any message does, and both say the same."""
    front = Front()
    seen: list[Any] = []

    async def look() -> None:
        seen.append(await front.store.read(front.board.key(operation_id_of(SECRET, "public", "order", "k"))))

    front.on_queue.meanwhile("send", look)
    stored = await front.submit('{"n":1}')
    assert seen[0] is not None
    assert Document.from_bytes(seen[0][0]) == stored
    (message,) = front.messages
    assert message.body == '{"n":1}'
    assert front.board.submission_of(stored, owner="public") == message.submission


@virtually
async def test_the_same_again() -> None:
    """The same key and body give the same operation, with the document's own `created_at` in a second message that does no harm."""
    front = Front()
    first = await front.submit()
    await asyncio.sleep(100)
    assert await front.submit() == first
    assert [message.submission.created_at for message in front.messages] == [first.created_at] * 2


@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
def test_the_same_again_later(status: Status) -> None:
    """Once the document says more than queued, a repeated submit returns it and enqueues nothing."""

    async def main() -> None:
        front = Front()
        stored = await front.submit()
        outcome = None if status is Status.RUNNING else Outcome(status=status)
        submission = front.board.submission_of(stored, owner="public")
        await front.board.show(Record(submission=submission, attempt=1, expires_at=START, outcome=outcome))
        again = await front.submit()
        assert (again.id, again.status) == (stored.id, status)
        assert len(front.messages) == 1

    run_virtual(main())


@virtually
async def test_another_body_under_the_key() -> None:
    """Another body under the same key is refused, early or late in the operation's life, and never enqueued."""
    front = Front()
    stored = await front.submit("1")
    with pytest.raises(KeyReused) as raised:
        await front.submit("2")
    assert raised.value.members == {"operation_id": stored.id}
    assert [message.body for message in front.messages] == ["1"]


@virtually
async def test_keys_are_not_shared() -> None:
    """The same key of another owner, or for another kind, is another operation."""
    front = Front()
    ids = {
        (await front.submit("1")).id,
        (await front.submit("2", owner="other")).id,
        (await front.submit("3", kind="report")).id,
    }
    assert len(ids) == 3
    assert all(map(is_operation_id, ids))


@virtually
async def test_without_a_key_every_submit_is_another_operation() -> None:
    """Without a key, equal bodies are two orders."""
    front = Front()
    assert (await front.submit(key=None)).id != (await front.submit(key=None)).id


@virtually
async def test_64_of_each_at_once() -> None:
    """Of two bodies that arrive 64 times each under one key, one is accepted each time and the other refused each time."""
    front = Front()
    for number in range(128):
        front.on_store.meanwhile("create", partial(asyncio.sleep, random.Random(number).random()))
    bodies = ["1", "2"] * 64
    answers = await asyncio.gather(*(front.submit(body) for body in bodies), return_exceptions=True)
    accepted = {body for body, answer in zip(bodies, answers, strict=True) if isinstance(answer, Document)}
    refused = {body for body, answer in zip(bodies, answers, strict=True) if isinstance(answer, KeyReused)}
    assert len(accepted) == len(refused) == 1
    assert accepted != refused
    assert {message.body for message in front.messages} == accepted
    assert len({answer.id for answer in answers if isinstance(answer, Document)}) == 1


@virtually
async def test_the_answer_to_the_create_was_lost() -> None:
    """If a retry below us hides that the create took effect, submit sees `exists`, recognises the digest, and enqueues."""
    front = Front()
    front.on_store.fail("create", after=True, error=DocumentExists("lost"))
    stored = await front.submit()
    assert len(front.messages) == 1
    assert front.messages[0].submission.created_at == stored.created_at


@pytest.mark.parametrize(("verb", "after"), [("create", False), ("create", True), ("send", False), ("send", True)])
def test_a_failed_step_is_finished_by_the_same_key(verb: str, after: bool) -> None:
    """Whichever step fails, before or after its effect, the caller learns that the effect is unknown. A repeat ends in one operation."""

    async def main() -> None:
        front = Front()
        front.on_store.fail("create", times=int(verb == "create"), after=after)
        front.on_queue.fail("send", times=int(verb == "send"), after=after)
        with pytest.raises(DependencyUnavailable):
            await front.submit()
        await asyncio.sleep(30)
        stored = await front.submit()
        assert front.messages
        assert {message.submission.operation_id for message in front.messages} == {stored.id}
        assert {message.submission.created_at for message in front.messages} == {stored.created_at}
        with pytest.raises(KeyReused):
            await front.submit("2")

    run_virtual(main())


@virtually
async def test_a_key_stays_bound_where_the_submit_got_no_answer() -> None:
    """A key is bound to its body from the create on, even where nothing was enqueued and the caller only got an error."""
    front = Front()
    front.on_queue.fail("send")
    with pytest.raises(DependencyUnavailable):
        await front.submit("1")
    with pytest.raises(KeyReused):
        await front.submit("2")
    assert front.messages == []


@virtually
async def test_a_document_that_cannot_be_read() -> None:
    """If a document exists but stays hidden, the effect is unknown, and the error tells an operator what to do."""
    front = Front()
    front.on_store.fail("create", error=DocumentExists("hidden"), times=100)
    with pytest.raises(DependencyUnavailable, match="s3:GetObject"):
        await front.submit()
    assert front.messages == []


@virtually
async def test_a_create_that_met_another_one_under_way() -> None:
    """S3 answers 409 while another create of the key is under way. As that one may fail, ours is repeated, and enqueued once."""
    front = Front()
    front.on_store.fail("create", error=DocumentExists("409"), times=3)
    stored = await front.submit()
    assert [message.submission.operation_id for message in front.messages] == [stored.id]
    assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize("verb", ["create", "send"])
def test_an_answer_comes_before_clients_give_up(verb: str) -> None:
    """Whichever step hangs, the caller learns within 10 s that the effect is unknown; the same key finishes it."""

    async def main() -> None:
        front = Front()
        on = front.on_store if verb == "create" else front.on_queue
        on.meanwhile(verb, partial(asyncio.sleep, 60))
        with pytest.raises(DependencyUnavailable, match="did not finish"):
            await front.submit()
        assert 8 < asyncio.get_running_loop().time() < 9.5
        stored = await front.submit()
        assert {message.submission.operation_id for message in front.messages} == {stored.id}

    run_virtual(main())


@pytest.mark.parametrize("key", ["", "k" * 256, "naïve", "a\tb", "a\n"])
def test_keys_that_cannot_be_used(key: str) -> None:
    """A key is 1 to 255 printable ASCII characters; with any other nothing is created."""

    async def main() -> None:
        front = Front()
        with pytest.raises(InvalidIdempotencyKey):
            await front.submit(key=key)
        assert front.on_store.calls == []

    run_virtual(main())


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_ids_are_injective_in_their_parts(parts: list[tuple[str, str, str]]) -> None:
    """Parts are length-prefixed: moving characters from owner to kind to key gives another id."""

    def of(owner: str, kind: str, key: str) -> str:
        key = "".join(character for character in key if 32 <= ord(character) < 127)[:255] or "k"
        return operation_id_of(SECRET, owner.encode("utf-8", "replace").decode(), kind.encode("utf-8", "replace").decode(), key)

    assert of("ab", "c", "d") != of("a", "bc", "d") != of("a", "b", "cd")
    assert all(is_operation_id(of(*each)) for each in parts)


def test_digests_are_keyed_and_bound() -> None:
    """Equal inputs of two operations, or under two secrets, have different digests."""
    digests = {digest_of(SECRET, "a" * 32, "1"), digest_of(SECRET, "b" * 32, "1"), digest_of(KeyedHash(b"t" * 32), "a" * 32, "1")}
    assert len(digests) == 3
