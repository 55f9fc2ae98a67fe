"""One batch before the invocation's deadline: leases and visibility follow from the time left, and so does which attempts begin."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from tests.support.lab import single
from tests.support.lambda_runtime import TIMEOUT, Deployed, batch_of, deployed

from offpoll import Operation
from offpoll.errors import ConfigurationError
from offpoll.log_lines import JsonLines
from offpoll.operation import Status
from offpoll.queue import Delivery


async def echo(number: int) -> int:
    return number


def receive(service: Deployed) -> list[Delivery]:
    queue = service.lab.system.queue
    return list(service.lab.system.run(queue.receive(limit=10, wait=0.0)))


def work(service: Deployed, deliveries: list[Delivery], *, left: float = TIMEOUT) -> dict[str, Any]:
    """Let the worker's function process a batch, with `left` seconds until its deadline."""
    context = service.context()
    context.end = service.lab.time + left
    return service.worker(batch_of(deliveries), context)


FAILED = {"batchItemFailures": [{"itemIdentifier": "m0"}]}
DONE: dict[str, Any] = {"batchItemFailures": []}


def test_lease_and_visibility_follow_from_the_time_left() -> None:
    """The lease ends with the function's time, the visibility 30 s later, whatever the settings say."""
    seen: list[tuple[float, float]] = []

    async def handler(number: int, operation: Operation) -> int:
        record = service.lab.record(operation.id)
        assert record is not None
        assert record.lease_until is not None
        lease = (record.lease_until - service.lab.system.loop.now()).total_seconds()
        (held,) = service.lab.system.queue._held.values()
        seen.append((lease, held.visible_at - service.lab.time))
        return number

    with deployed(single(handler, timeout=60.0)) as service:
        service.submit()
        assert work(service, receive(service), left=200.0) == DONE
        assert seen == [(pytest.approx(200.0), pytest.approx(230.0))]


def test_nothing_is_renewed() -> None:
    """However long a handler runs, its claim is never renewed and its message is hidden once."""

    async def handler(number: int) -> int:
        await asyncio.sleep(250)
        return number

    with deployed(single(handler)) as service:
        service.submit()
        deliveries, hides = receive(service), service.lab.on_queue.count("hide")
        assert work(service, deliveries) == DONE
        assert service.lab.on_records.count("claim", "renew", "decide") == 2
        assert service.lab.on_queue.count("hide") - hides == 1


def test_a_backoff_is_set_before_the_failure_is_returned() -> None:
    """When the function returns, the message is already hidden for the backoff, and the record has the backoff's lease."""

    async def handler(number: int) -> int:
        raise LookupError

    with deployed(single(handler), backoff=100.0) as service:
        operation_id = service.submit()
        assert work(service, receive(service)) == FAILED
        (held,) = service.lab.system.queue._held.values()
        assert held.visible_at - service.lab.time == pytest.approx(51.0)  # the backoff's lower half, and a second for the store's clock
        record = service.lab.record(operation_id)
        assert record is not None
        assert record.lease_until == service.lab.system.loop.now() + timedelta(seconds=50)


def test_no_attempt_is_begun_that_could_not_end() -> None:
    """If a batch has more operations than slots, those that could not end in time are given back without an attempt."""

    async def handler(number: int) -> int:
        await asyncio.sleep(100)
        return number

    with deployed(single(handler, timeout=200.0), concurrency=1) as service:
        first, second = service.submit(1), service.submit(2)
        assert work(service, receive(service)) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
        assert service.lab.document(first).done
        assert service.lab.record(second) is None
        assert len(receive(service)) == 1


def test_concurrency_is_a_limit_for_batches_too() -> None:
    """No more handlers of a batch run at once than the setting allows."""
    running, most = 0, 0

    async def handler(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return number

    with deployed(single(handler, timeout=60.0), concurrency=3) as service:
        for number in range(7):
            service.submit(number)
        assert work(service, receive(service)) == DONE
        assert most == 3


def test_an_attempt_that_takes_longer_than_its_timeout() -> None:
    """An attempt over its timeout ends `failed`, `timed_out`, as in any worker, and before the function's deadline."""

    async def handler(number: int) -> int:
        await asyncio.sleep(10_000)
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        assert work(service, receive(service)) == DONE
        document = service.lab.document(operation_id)
        assert (document.status, document.error["code"]) == (Status.FAILED, "timed_out")  # type: ignore[index]
        assert service.lab.time == pytest.approx(TIMEOUT - 30, abs=2)


def test_an_outage_at_the_end() -> None:
    """If the records are down, the result is kept until the deadline is near; then the message is given back."""

    async def handler(number: int, operation: Operation) -> int:
        if operation.attempt == 1:
            service.lab.on_records.down()
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        assert work(service, receive(service)) == FAILED
        assert TIMEOUT - 11 <= service.lab.time <= TIMEOUT - 2
        service.lab.on_records.up()
        service.work_until(operation_id)
        assert service.lab.document(operation_id).attempt == 2


def test_an_outage_before_the_claim() -> None:
    """If an outage delays the claim until the attempt could no longer end, the message is given back and no attempt is spent."""
    with deployed(single(echo, timeout=100.0)) as service:
        operation_id = service.submit()
        deliveries = receive(service)
        service.lab.on_records.down()
        service.lab.system.loop.call_later(250, service.lab.on_records.up)
        assert work(service, deliveries) == FAILED
        assert service.lab.time <= TIMEOUT - 100 - 15 + 30  # the longest pause between two tries
        service.work_until(operation_id)
        assert service.lab.document(operation_id).attempt == 1


def test_an_outage_that_ends_in_time() -> None:
    """If the outage ends in time, the result that was kept is recorded, without another attempt."""

    async def handler(number: int) -> int:
        service.lab.on_records.down()
        asyncio.get_running_loop().call_later(60, service.lab.on_records.up)
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        assert work(service, receive(service)) == DONE
        assert service.lab.document(operation_id).attempt == 1


def test_a_handler_that_does_not_stop_is_left_behind() -> None:
    """A handler that swallows its cancellation cannot keep the function from returning."""

    async def handler(number: int) -> int:
        while True:
            try:
                await asyncio.sleep(10_000)
            except asyncio.CancelledError:
                if service.lab.time > 10 * TIMEOUT:
                    raise

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        assert work(service, receive(service)) == DONE
        assert service.lab.time == pytest.approx(TIMEOUT - 2, abs=1)
        assert service.lab.document(operation_id).error["code"] == "timed_out"  # type: ignore[index]
        service.lab.system.advance(10 * TIMEOUT)


def test_progress_follows_the_readers() -> None:
    """A handler's progress is published before the readers look, as in any worker."""

    async def handler(number: int, operation: Operation) -> int:
        for step in range(20):
            operation.progress(step / 20, "packing")
            await asyncio.sleep(5)
        return number

    with deployed(single(handler)) as service:
        operation_id = service.submit()
        revisions: list[tuple[str, float | None]] = []
        for after in (50, 90):
            service.lab.system.loop.call_later(
                after,
                lambda: revisions.append(
                    (service.lab.document(operation_id).status, (service.lab.document(operation_id).progress or object).fraction)  # type: ignore[union-attr]
                ),
            )
        assert work(service, receive(service)) == DONE
        assert [status for status, _ in revisions] == ["running", "running"]
        assert 0.0 < revisions[0][1] < revisions[1][1]  # type: ignore[operator]


def test_a_timeout_that_is_too_long_for_the_function() -> None:
    """If a kind's timeout does not fit into the function's, nothing begins; the error names the kind and the most that fits."""
    with deployed(single(echo, timeout=271.0)) as service:
        operation_id = service.submit()
        with pytest.raises(ConfigurationError, match=r"at most 270 s. Over it: 'order' \(271 s\)"):
            work(service, receive(service))
        assert service.lab.record(operation_id) is None


def test_a_message_that_cannot_be_hidden() -> None:
    """A message that cannot be hidden is processed all the same, because the lease keeps others away."""
    with deployed(single(echo)) as service:
        operation_id = service.submit()
        deliveries = receive(service)
        service.lab.on_queue.fail("hide")
        assert work(service, deliveries) == DONE
        assert service.lab.document(operation_id).done


def test_lines_of_the_log_name_the_operation() -> None:
    """Each log line has the id and kind of its own operation, from any library, even while a batch runs side by side."""

    async def handler(number: int) -> int:
        await asyncio.sleep(number)
        logging.getLogger("library").warning("%d", number)
        return number

    stream = io.StringIO()
    listening = logging.StreamHandler(stream)
    listening.setFormatter(JsonLines())
    logging.getLogger("library").addHandler(listening)
    try:
        with deployed(single(handler)) as service:
            ids = [service.submit(number) for number in (2, 1)]
            work(service, receive(service))
    finally:
        logging.getLogger("library").removeHandler(listening)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["message"], line["operation_id"], line["kind"], line["requestId"]) for line in lines] == [
        ("1", ids[1], "order", "request-1"),
        ("2", ids[0], "order", "request-1"),
    ]


def test_service_times_are_reported_now_and_then() -> None:
    """Service times are reported after the first batch, and from then on at most every ten seconds."""
    with deployed(single(echo)) as service:
        flushes: list[float] = []
        service_times = service.lab.system.service_times
        add = service_times.add

        async def counted(*given: Any, **named: Any) -> None:
            flushes.append(service.lab.time)
            await add(*given, **named)

        service_times.add = counted  # type: ignore[method-assign]
        for _ in range(5):
            service.submit()
            assert work(service, receive(service)) == DONE
            service.lab.system.advance(4)
        assert flushes == [pytest.approx(0, abs=0.1), pytest.approx(12, abs=0.1)]
