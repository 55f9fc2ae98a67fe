"""All three functions together, from the API's event to the document. Functions crash; nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.support.lab import single
from tests.support.lambda_runtime import TIMEOUT, deployed, http_1, http_2

from offpoll import Operation
from offpoll.errors import DependencyUnavailable
from offpoll.operation import Status


async def doubled(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("event", [http_2("POST", "/order", b"21"), http_1("POST", "/order", "21")])
def test_from_event_to_result(event: dict[str, Any]) -> None:
    """One event submits an order, a batch finishes it, and another event returns the result."""
    with deployed(single(doubled)) as service:
        status, headers, ticket = service.request(event)
        assert (status, ticket["status"]) == (202, "queued")
        assert service.work() == 1
        assert service.answers == [{"batchItemFailures": []}]
        assert service.lab.messages == 0
        assert service.lab.document(ticket["id"]).status == Status.SUCCEEDED
        status, _, result = service.request(http_2("GET", headers["location"]))
        assert (status, result) == (200, 42)


def test_a_killed_function() -> None:
    """A killed function's messages come back soon after its deadline, not after the queue's visibility timeout; attempt 2 runs."""
    attempts: list[int] = []

    async def handler(number: int, operation: Operation) -> int:
        attempts.append(operation.attempt)
        if operation.attempt == 1:
            await asyncio.sleep(TIMEOUT)
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        service.work(kill=5.0)
        assert service.answers == [None]
        service.work_until(operation_id)
        assert attempts == [1, 2]
        assert TIMEOUT <= service.lab.time <= TIMEOUT + 40
        assert service.lab.document(operation_id).attempt == 2


def test_an_answer_that_is_lost() -> None:
    """If a function is killed after its last step but before its answer, the message comes back and no handler runs again."""
    runs: list[int] = []

    async def handler(number: int) -> int:
        runs.append(number)
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        service.work(lose=True)
        assert (service.lab.document(operation_id).status, service.lab.messages) == (Status.SUCCEEDED, 1)
        service.lab.system.advance(TIMEOUT + 60)
        assert service.work() == 1
        assert (runs, service.lab.messages) == ([1], 0)


def test_a_part_of_a_batch_fails() -> None:
    """Only the failed messages of a batch come back, and not before their backoff has ended."""
    attempts: Counter[int] = Counter()

    async def handler(number: int) -> int:
        attempts[number] += 1
        if number == 1 and attempts[number] == 1:
            raise LookupError
        return number

    with deployed(single(handler)) as service:
        ids = [service.submit(number) for number in range(3)]
        assert service.work() == 3
        assert service.answers == [{"batchItemFailures": [{"itemIdentifier": "m1"}]}]
        assert [service.lab.document(each).done for each in ids] == [True, False, True]
        assert service.work() == 0  # the backoff lasts 2 s, half of its limit, and a second for the store's clock
        service.lab.system.advance(3.1)
        assert service.work() == 1
        assert service.lab.document(ids[1]).attempt == 2
        assert (service.lab.messages, attempts) == (0, Counter({0: 1, 1: 2, 2: 1}))


def test_a_poison_order() -> None:
    """An order that kills every function becomes a dead letter and ends `failed`; others in its batch succeed."""

    async def handler(number: int) -> int:
        await asyncio.sleep(TIMEOUT if number == 13 else 0.1)
        return number

    with deployed(single(handler, attempts=2)) as service:
        poison, other = service.submit(13), service.submit(1)
        deliveries = 0
        while not service.settle():
            assert deliveries < 20
            service.work(kill=1.0 if deliveries < 2 else None, crash=deliveries >= 2)
            deliveries += 1
            service.lab.system.advance(6 * TIMEOUT)
        document = service.lab.document(poison)
        assert (document.status, document.error["code"], document.attempt) == (Status.FAILED, "attempts_exhausted", 2)
        assert service.lab.document(other).status == Status.SUCCEEDED
        assert (service.lab.messages, service.lab.system.dead_letters.peek(), service.lab.system.parking.peek()) == (0, [], [])


def test_a_dead_letter_with_attempts_left() -> None:
    """Functions that crash before a claim spend no attempt, so the dead letters' function enqueues the message again."""
    with deployed(single(doubled)) as service:
        operation_id = service.submit(2)
        while not service.lab.system.dead_letters.peek():
            service.work(crash=True)
            service.lab.system.advance(6 * TIMEOUT)
        assert service.settle() == 1
        assert service.answers[-1] == {"batchItemFailures": []}
        service.work_until(operation_id)
        assert service.lab.document(operation_id).status == Status.SUCCEEDED


def test_a_dead_letter_that_cannot_be_settled() -> None:
    """The function's answer names a dead letter that cannot be settled, so that it stays."""
    with deployed(single(doubled)) as service:
        service.submit(2)
        while not service.lab.system.dead_letters.peek():
            service.work(crash=True)
            service.lab.system.advance(6 * TIMEOUT)
        service.lab.on_records.down()
        assert service.settle() == 1
        assert service.answers[-1] == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
        service.lab.on_records.up()
        assert len(service.lab.system.dead_letters.peek()) == 1


def test_a_record_that_cannot_be_parsed() -> None:
    """A record of a batch that cannot be parsed is parked, and other messages are processed."""
    with deployed(single(doubled)) as service:
        operation_id = service.submit(2)
        event = {"Records": [{"messageId": "bad", "receiptHandle": "999.1", "body": "?"}]}
        assert service.worker(event, service.context()) == {"batchItemFailures": []}
        assert [each.body for each in service.lab.system.parking.peek()] == ["?"]
        assert service.work() == 1
        assert service.lab.document(operation_id).done


def test_a_message_that_cannot_be_parked() -> None:
    """A message that cannot be parked comes back."""
    with deployed(single(doubled)) as service:
        parking = service.lab.system.parking

        async def refuse(*_: Any, **__: Any) -> None:
            raise DependencyUnavailable("SQS", "injected")

        parking.send = refuse  # type: ignore[method-assign]
        event = {"Records": [{"messageId": "bad", "receiptHandle": "999.1", "body": "?"}]}
        assert service.worker(event, service.context()) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


def test_an_event_of_another_source() -> None:
    """A function connected to another source raises an error that names the events it expects."""
    with deployed(single(doubled)) as service:
        with pytest.raises(ValueError, match="not a batch of SQS"):
            service.worker({"source": "aws.events"}, service.context())
        with pytest.raises(ValueError, match="not an event of an HTTP API"):
            service.api({"Records": []}, service.context())
