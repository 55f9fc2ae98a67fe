"""Queue messages on the wire, and the queue in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from offpoll.errors import MalformedMessage, UnsupportedMessage
from offpoll.operation import Submission
from offpoll.queue import Delivery, Envelope, MemoryQueue, Message, carried
from offpoll.testing import run_virtual

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MESSAGE = Message(
    submission=Submission(
        operation_id="a" * 32,
        kind="order",
        owner="Zoë",
        status_key="status/public/a",
        digest="d",
        base_url="https://api.example.com",
        created_at=NOW,
    ),
    body='{"n":1}',
    traceparent="00-1-2-01",
)


def changed(**attributes: str | None) -> Envelope:
    envelope = MESSAGE.to_envelope()
    return replace(envelope, attributes={name: value for name, value in {**envelope.attributes, **attributes}.items() if value is not None})


def test_round_trip() -> None:
    """A message that is written and read again is unchanged."""
    assert Message.from_envelope(MESSAGE.to_envelope()) == MESSAGE


def test_the_body_is_the_input_and_nothing_else() -> None:
    """Everything but the input travels in attributes: at most ten, and none of them empty."""
    full = replace(MESSAGE, tracestate="a=b").to_envelope()
    assert full.body == '{"n":1}'
    assert len(full.attributes) == 10
    assert "tracestate" not in MESSAGE.to_envelope().attributes


def test_newer_version_is_unsupported() -> None:
    """A message of a newer version waits for a newer worker, even if this worker can read nothing else of it."""
    with pytest.raises(UnsupportedMessage):
        Message.from_envelope(changed(version="2", operation_id=None))


@pytest.mark.parametrize(
    "attributes",
    [
        {"version": None},
        {"version": "one"},
        {"version": "٣"},
        {"version": "9" * 5000},
        {"kind": "Order"},
        {"kind": None},
        {"created_at": "yesterday"},
        {"created_at": "9999-12-31T23:59:59-23:59"},
        {"created_at": "9999-12-31T00:00:00Z"},
        {"created_at": None},
        {"status_key": None},
        {"status_key": "k" * 2000},
        {"base_url": "https://" + "a" * 2041},
        {"digest": "d" * 200},
    ],
    ids=lambda each: str(each)[:40],
)
def test_malformed(attributes: dict[str, Any]) -> None:
    """An unreadable message is malformed; the error names the operation and owner if both can be read."""
    with pytest.raises(MalformedMessage) as raised:
        Message.from_envelope(changed(**attributes))
    assert (raised.value.operation_id, raised.value.owner) == ("a" * 32, "Zoë")


@pytest.mark.parametrize("attributes", [{"operation_id": "../../etc"}, {"operation_id": None}, {"owner": None}, {"owner": "\x00"}])
def test_a_malformed_message_without_id_or_owner(attributes: dict[str, Any]) -> None:
    """If its id or owner cannot be read, a malformed message names neither."""
    with pytest.raises(MalformedMessage) as raised:
        Message.from_envelope(changed(**attributes))
    assert (raised.value.operation_id, raised.value.owner) == (None, None)


def test_created_at_is_cut_to_milliseconds() -> None:
    """`created_at` is cut to milliseconds, so that a producer's finer clock makes no document that differs from the one read back."""
    message = Message.from_envelope(changed(created_at="2030-01-01T00:00:00.123456Z"))
    assert message.submission.created_at.microsecond == 123000


# --- trace context ------------------------------------------------------------------------------

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace() -> None:
    """A valid trace travels unchanged; its state travels only with it."""
    assert carried(PARENT, "v=1,rojo=00f067") == (PARENT, "v=1,rojo=00f067")
    assert carried(PARENT, "") == (PARENT, "")
    assert carried("", "v=1") == ("", "")


@pytest.mark.parametrize("parent", ["00-aa-bb-01", PARENT.upper(), PARENT + "\n", PARENT + "-x", "z" * 300_000])
def test_an_invalid_traceparent(parent: str) -> None:
    """An invalid `traceparent` is dropped, and `tracestate` with it."""
    assert carried(parent, "v=1") == ("", "")


@pytest.mark.parametrize("state", ["v" * 513, "v=\n", "v=\x7f", "v=é"])
def test_an_invalid_tracestate(state: str) -> None:
    """A `tracestate` that is too long or not printable ASCII is dropped; the trace stays."""
    assert carried(PARENT, state) == (PARENT, "")


# --- the queue in memory ------------------------------------------------------------------------


def test_delivered_once_until_visible_again() -> None:
    """A received message is hidden, reappears after its visibility timeout, and counts its deliveries."""

    async def main() -> None:
        queue = MemoryQueue(visibility=30)
        await queue.send(MESSAGE.to_envelope())
        (first,) = await queue.receive(limit=10, wait=0)
        assert await queue.receive(limit=10, wait=0) == []
        (second,) = await queue.receive(limit=10, wait=60)
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        assert (first.receives, second.receives) == (1, 2)

    run_virtual(main())


def test_an_old_receipt_does_nothing() -> None:
    """Only the receipt of the latest delivery can delete or hide a message."""

    async def main() -> None:
        queue = MemoryQueue(visibility=5)
        await queue.send(MESSAGE.to_envelope())
        (old,) = await queue.receive(limit=1, wait=0)
        (new,) = await queue.receive(limit=1, wait=20)
        await queue.delete(old)
        await queue.hide(old, seconds=0)
        assert (await queue.depth()).in_flight == 1
        await queue.delete(new)
        assert queue.peek() == []

    run_virtual(main())


def test_a_lapsed_receipt_does_not_hide() -> None:
    """A message that has become visible again is not in flight, so its old receipt cannot hide it."""

    async def main() -> None:
        queue = MemoryQueue(visibility=5)
        await queue.send(MESSAGE.to_envelope())
        (lapsed,) = await queue.receive(limit=1, wait=0)
        await asyncio.sleep(6)
        await queue.hide(lapsed, seconds=600)
        assert len(await queue.receive(limit=1, wait=0)) == 1

    run_virtual(main())


def test_a_waiting_receiver_wakes_at_once() -> None:
    """A long poll ends as soon as a message is sent or given back."""

    async def main() -> None:
        queue, loop = MemoryQueue(visibility=100), asyncio.get_running_loop()
        waiting = asyncio.create_task(queue.receive(limit=1, wait=20))
        await asyncio.sleep(3)
        await queue.send(MESSAGE.to_envelope())
        (delivery,) = await waiting
        assert loop.time() == pytest.approx(3)
        waiting = asyncio.create_task(queue.receive(limit=1, wait=20))
        await asyncio.sleep(3)
        await queue.hide(delivery, seconds=0)
        assert len(await waiting) == 1
        assert loop.time() == pytest.approx(6)

    run_virtual(main())


def test_delay() -> None:
    """A delayed message is not visible before its time."""

    async def main() -> None:
        queue = MemoryQueue()
        await queue.send(MESSAGE.to_envelope(), delay=7)
        assert (await queue.depth()).delayed == 1
        assert await queue.receive(limit=1, wait=5) == []
        assert len(await queue.receive(limit=1, wait=5)) == 1

    run_virtual(main())


def test_dead_letters() -> None:
    """A message that was delivered too often goes to the dead letters instead of being delivered again."""

    async def main() -> None:
        dead = MemoryQueue()
        queue = MemoryQueue(visibility=1, dead_letters=dead, max_receives=2)
        await queue.send(MESSAGE.to_envelope())
        assert [len(await queue.receive(limit=1, wait=5)) for _ in range(3)] == [1, 1, 0]
        assert dead.peek() == [MESSAGE.to_envelope()]

    run_virtual(main())


def test_two_receivers_share_what_comes() -> None:
    """Two waiting receivers never get the same message."""

    async def main() -> None:
        queue = MemoryQueue()
        receivers = [asyncio.create_task(queue.receive(limit=10, wait=20)) for _ in range(2)]
        await asyncio.sleep(1)
        for _ in range(6):
            await queue.send(MESSAGE.to_envelope())
        got = [delivery.receipt for each in receivers for delivery in await each]
        assert len(got) == len(set(got)) == 6

    run_virtual(main())


@pytest.mark.parametrize("value", ["", "x\n2030-01-01 ERROR forged", "ORDER", "0" * 31])
def test_log_lines_cannot_be_forged_by_a_message(value: str) -> None:
    """An id or a kind that could not be one does not get into log lines."""
    envelope = Envelope(body="", attributes={"operation_id": value, "kind": value})
    assert Delivery(envelope=envelope, receipt="r").names == {"operation_id": "-", "kind": "-"}
    valid = Envelope(body="", attributes={"operation_id": "a" * 32, "kind": "order"})
    assert Delivery(envelope=valid, receipt="r").names == {"operation_id": "a" * 32, "kind": "order"}


@pytest.mark.parametrize("name", ["status_key", "base_url"])
def test_an_attribute_with_a_line_break_is_malformed(name: str) -> None:
    """Keys and addresses are logged, so one that cannot be printed makes a message malformed."""
    envelope = MESSAGE.to_envelope()
    forged = replace(envelope, attributes={**envelope.attributes, name: "x\n2030-01-01 ERROR forged"})
    with pytest.raises(MalformedMessage, match=name):
        Message.from_envelope(forged)
