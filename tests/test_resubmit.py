"""Resubmitting a failed operation: which operations qualify, the new id, and the state that a failed step leaves."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.lab import Lab, lab, settings, single

from offpoll.document import Document
from offpoll.errors import (
    ConfigurationError,
    DependencyUnavailable,
    Fail,
    InvalidInput,
    InvalidJSON,
    MalformedMessage,
    NotResubmittable,
    OperationNotFound,
)
from offpoll.keyed_hash import KeyedHash
from offpoll.operation import is_operation_id
from offpoll.queue import Envelope, Message
from offpoll.service import AsyncService
from offpoll.submit import digest_of, operation_id_of, resubmitted_id_of
from offpoll.work.parking import Parking

SECRET = KeyedHash(b"s" * 32)


class Shop:
    """A handler that fails until the test mends it."""

    def __init__(self) -> None:
        self.inputs: list[object] = []
        self.mended = False

    async def handle(self, number: int) -> int:
        await asyncio.sleep(5)
        self.inputs.append(number)
        if not self.mended:
            raise Fail("out_of_stock", "There is none left.")
        return number


def failed(one: Lab, input: object = 7) -> str:
    operation_id = one.submit(input)
    assert one.until_done(operation_id).status == "failed"
    return operation_id


def resubmit(one: Lab, operation_id: str, *, owner: str = "public") -> Document:
    return one.system.run(one.system.service.resubmit(operation_id, owner=owner))


def test_a_failed_operation_is_resubmitted() -> None:
    """A new operation with the same input points to the failed one through every rewrite; the failed one stays failed."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        old = failed(one)
        before, shop.mended = one.document(old), True
        document = resubmit(one, old)
        assert (document.status, document.kind, document.resubmit_of) == ("queued", "order", old)
        assert document.id != old
        ended = one.until_done(document.id)
        assert (ended.status, ended.resubmit_of, ended.revision > 1) == ("succeeded", old, True)
        assert shop.inputs == [7, 7]
        assert one.document(old) == before
        assert before.resubmit_of is None


def test_its_links_are_the_failed_one_s() -> None:
    """The API's address comes from the record, unless a setting gives one now."""
    for public_url, base in (("", "https://old"), ("https://new/", "https://new")):
        with lab(single(Shop().handle)) as one:
            service = one.system.service
            ticket = one.system.run(service.submit("order", 7, base_url="https://old"))
            one.until_done(ticket.operation_id)
            moved = AsyncService(
                service.app,
                settings=settings(public_url=public_url),
                dependencies=service.dependencies,
                clock=one.system.loop.now,
            )
            document = one.system.run(moved.resubmit(ticket.operation_id))
            assert document.links["self"] == f"{base}/order/{document.id}"


def test_repeating_it_makes_no_second_operation() -> None:
    """Resubmitting again returns the same new operation, for every caller and at every stage of the operation."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        old = failed(one)
        ids = {resubmit(one, old).id for _ in range(3)}
        (new,) = ids
        shop.mended = True
        assert one.until_done(new).status == "succeeded"
        assert resubmit(one, old).status == "succeeded"
        one.system.advance(60)
        assert shop.inputs == [7, 7]


def test_the_new_operation_can_be_resubmitted() -> None:
    """If the new operation fails, it is resubmitted under its own id. Repeating the first resubmit only shows that it failed."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        first = failed(one)
        second = resubmit(one, first).id
        assert one.until_done(second).status == "failed"
        again = resubmit(one, first)
        assert (again.id, again.status) == (second, "failed")
        third = resubmit(one, second)
        assert (third.status, third.resubmit_of) == ("queued", second)
        assert len({first, second, third.id}) == 3


def test_its_id_has_its_own_namespace() -> None:
    """No Idempotency-Key of a caller and no digest can produce the id; another owner or kind gives another id."""
    old = "1" * 32
    new = resubmitted_id_of(SECRET, "ada", "order", old)
    assert is_operation_id(new)
    others = [
        operation_id_of(SECRET, "ada", "order", f"resubmit:{old}"),
        operation_id_of(SECRET, "ada", "order", old),
        operation_id_of(SECRET, "ada", "order", f"resubmit{old}"),
        digest_of(SECRET, "ada", "order")[:32],
        resubmitted_id_of(SECRET, "bob", "order", old),
        resubmitted_id_of(SECRET, "ada", "report", old),
        resubmitted_id_of(SECRET, "ada", "order", "2" * 32),
        resubmitted_id_of(KeyedHash(b"t" * 32), "ada", "order", old),
    ]
    assert new not in others


@pytest.mark.parametrize(("target", "verb"), [("records", "get"), ("store", "create"), ("queue", "send")])
@pytest.mark.parametrize("after", [False, True])
def test_a_resubmit_that_fails_can_be_repeated(target: str, verb: str, after: bool) -> None:
    """Whichever step fails, the effect is unknown. Repeating the resubmit ends with one new operation that is handled once."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        old = failed(one)
        shop.mended = True
        getattr(one, f"on_{target}").fail(verb, after=after)
        with pytest.raises(DependencyUnavailable):
            resubmit(one, old)
        assert one.until_done(resubmit(one, old).id).status == "succeeded"
        one.system.advance(60)
        assert shop.inputs == [7, 7]


# --- refusals -------------------------------------------------------------------------------------


def test_an_unknown_operation() -> None:
    """An id that no operation has, and a text that is no id, are not found."""
    with lab(single(Shop().handle), workers=0) as one:
        for operation_id, text in (("a" * 32, "There is no operation a"), ("A" * 32, "32 lowercase hex"), ("1", "32 lowercase hex")):
            with pytest.raises(OperationNotFound, match=text):
                resubmit(one, operation_id)
        assert one.writes == 0


def test_an_operation_of_another_owner() -> None:
    """Knowing the id alone is not enough."""
    with lab(single(Shop().handle)) as one:
        old = failed(one)
        with pytest.raises(OperationNotFound, match="'ada'"):
            resubmit(one, old, owner="ada")


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "canceled"])
def test_an_operation_that_has_not_failed(state: str) -> None:
    """Only a failed operation keeps its input. The error names the status of any other."""
    shop = Shop()
    shop.mended = True
    with lab(single(shop.handle), workers=int(state != "queued")) as one:
        operation_id = one.submit()
        if state == "canceled":
            one.cancel(operation_id)
        one.system.advance({"queued": 0, "running": 2}.get(state, 60))
        writes = one.writes
        with pytest.raises(NotResubmittable, match=state):
            resubmit(one, operation_id)
        assert one.writes == writes


def test_an_operation_whose_record_has_expired() -> None:
    """The document still says `failed`, but the input has gone with the record."""
    with lab(single(Shop().handle)) as one:
        old = failed(one)
        one.system._workers[0][0].drain()  # a worker would poll for fifteen days
        one.system.advance(15 * 86_400)
        with pytest.raises(NotResubmittable, match="expired"):
            resubmit(one, old)


def test_an_operation_whose_message_was_parked() -> None:
    """The operation failed because nobody could read its message, which holds the input and lies in the parking queue."""
    with lab(single(Shop().handle), workers=0) as one:
        operation_id, system = one.submit(), one.system
        (delivery,) = system.run(system.queue.receive(limit=1, wait=0))
        parking = Parking(
            queue=system.queue, parking=system.parking, records=system.records, board=system.service.dependencies.board, lifetime=1e6
        )
        system.run(parking.malformed(delivery, MalformedMessage("?", operation_id=operation_id, owner="public")))
        with pytest.raises(NotResubmittable, match="parking queue"):
            resubmit(one, operation_id)


def test_a_kind_that_the_app_lacks() -> None:
    """The operator named the wrong MODULE:APP, or an older version."""
    with lab(single(Shop().handle)) as one:
        old = failed(one)
        service = one.system.service
        del service.kinds["order"]
        service.kinds["report"] = single(Shop().handle).kinds(service.settings)["order"]
        with pytest.raises(ConfigurationError, match="'order', which this app does not have: report"):
            resubmit(one, old)


def test_an_input_that_the_kind_refuses() -> None:
    """The input is refused like any submit of it, because it would only fail again; nothing is enqueued."""

    async def changed(skus: list[str]) -> int:
        return len(skus)

    with lab(single(Shop().handle)) as one:
        old = failed(one)
        service = one.system.service
        service.kinds["order"] = single(changed).kinds(service.settings)["order"]
        writes = one.writes
        with pytest.raises(InvalidInput):
            resubmit(one, old)
        assert one.writes == writes


def test_an_input_that_is_not_json() -> None:
    """Custom producers may send anything. An operation that failed for its unreadable input would fail again."""
    with lab(single(Shop().handle), workers=0) as one:
        operation_id, system = one.submit(), one.system
        (envelope,) = system.queue.peek()
        system.queue._held.clear()
        system.run(system.queue.send(Envelope(body="{", attributes=envelope.attributes)))
        system.start_worker()
        assert one.until_done(operation_id).error == {"code": "invalid_input", "message": one.document(operation_id).error["message"]}  # type: ignore[index]
        with pytest.raises(InvalidJSON):
            resubmit(one, operation_id)


def test_the_message_does_not_carry_the_pointer() -> None:
    """SQS takes only ten attributes, so the pointer is in the document alone; workers of any version keep it there."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        old = failed(one)
        one.system._workers[0][0].drain()
        one.system.advance(25)
        new = resubmit(one, old).id
        (envelope,) = one.system.queue.peek()
        assert Message.from_envelope(envelope).submission.operation_id == new
        assert old not in str(envelope)


def test_a_lost_document_loses_the_pointer_only() -> None:
    """The operation continues; its end creates the document again without the pointer."""
    shop = Shop()
    with lab(single(shop.handle)) as one:
        old = failed(one)
        shop.mended = True
        new = resubmit(one, old).id
        del one.system.store._objects[f"status/public/{new}"]
        one.system.advance(10)
        assert (one.document(new).status, one.document(new).resubmit_of) == ("succeeded", None)


def test_a_callers_key_cannot_take_its_place() -> None:
    """A caller who guesses the names of resubmits only binds their own key to another body."""
    with lab(single(Shop().handle)) as one:
        old = failed(one)
        one.submit(8, key=f"resubmit:{old}")
        assert resubmit(one, old).status == "queued"
