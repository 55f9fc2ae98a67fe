"""A worker's life: how it drains, stops and is replaced, and what its handlers share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.lab import Lab, lab, single
from tests.support.service_time_spans import measured

from offpoll.app import Offpoll
from offpoll.log_lines import AboutFilter
from offpoll.operation import Operation
from offpoll.work.loop import LONG_POLL


def sleeping(seconds: float, began: list[int]) -> Any:
    async def handle(number: int, operation: Operation) -> int:
        began.append(operation.attempt)
        await asyncio.sleep(seconds)
        return number

    return handle


def worker(one: Lab, number: int = 0) -> Any:
    return one.system._workers[number]


def test_drain() -> None:
    """A draining worker receives nothing more, and ends when the operations that it holds have ended."""
    began: list[int] = []
    with lab(single(sleeping(50, began))) as one:
        held = one.submit(1)
        one.system.advance(10)
        it, task = worker(one)
        it.drain()
        left = one.submit(2)
        one.system.advance(39)
        assert not task.done()
        one.system.advance(2)
        assert task.done()
        assert one.document(held).status == "succeeded"
        assert (one.document(left).status, began) == ("queued", [1])


def test_an_idle_worker_drains_when_its_receives_end() -> None:
    """A drain waits for the receives under way, which may take a message, and interrupts the pause after a failed one."""
    with lab(single(sleeping(1, [])), workers=2) as one:
        one.system.advance(LONG_POLL - 0.5)
        worker(one)[0].drain()
        one.system.advance(0.4)
        assert not worker(one)[1].done()
        one.system.advance(0.2)
        assert worker(one)[1].done()
        one.on_queue.down()
        one.system.advance(300)
        worker(one, 1)[0].drain()
        one.system.advance(LONG_POLL + 0.1)  # its dead letters' receive
        assert worker(one, 1)[1].done()


def test_an_operation_between_two_workers() -> None:
    """What a draining worker receives goes to another at once: it begins without delay."""
    began: list[int] = []
    with lab(single(sleeping(1, began))) as one:
        one.system.advance(1)
        worker(one)[0].drain()
        one.system.start_worker()
        ids = [one.submit(number) for number in range(3)]
        one.system.advance(0.1)
        assert len(began) == 3
        assert all(one.until_done(each).attempt == 1 for each in ids)


def test_stop_hands_over() -> None:
    """Another worker takes a stopped worker's operation at once, as attempt 2."""
    began: list[int] = []
    with lab(single(sleeping(50, began))) as one:
        operation_id = one.submit()
        one.system.advance(10)
        it, task = worker(one)
        it.stop()
        one.system.start_worker()
        one.system.advance(LONG_POLL)
        assert task.done()
        assert began == [1, 2]
        assert one.until_done(operation_id, within=60).attempt == 2


@pytest.mark.parametrize("skip", range(0, 12))
def test_stop_at_any_time_loses_nothing(skip: int) -> None:
    """A stop before or after any call ends the worker and loses nothing: another worker finishes the operation."""
    began: list[int] = []
    with lab(single(sleeping(20, began))) as one:

        async def stop() -> None:
            worker(one)[0].stop()

        calls = [(one.on_records, "claim"), (one.on_records, "renew"), (one.on_records, "decide"), (one.on_store, "replace"),
                 (one.on_queue, "delete"), (one.on_queue, "hide")]  # fmt: skip
        faults, verb = calls[skip // 2]
        faults.meanwhile(verb, stop, after=bool(skip % 2))
        operation_id = one.submit()
        one.system.advance(25 + LONG_POLL)
        assert worker(one)[1].done()
        one.system.start_worker()
        assert one.until_done(operation_id, within=120).status == "succeeded"
        one.system.advance(40)
        assert one.messages == 0


def test_stop_before_the_handler_began() -> None:
    """After a stop during the claim, the handler does not begin."""
    began: list[int] = []
    with lab(single(sleeping(500, began))) as one:

        async def stop() -> None:
            worker(one)[0].stop()

        one.on_records.meanwhile("claim", stop, after=True)
        operation_id = one.submit()
        one.system.advance(LONG_POLL + 1)
        assert (worker(one)[1].done(), began) == (True, [])
        record = one.record(operation_id)
        assert record is not None
        assert (record.token, record.attempt) == (None, 1)


def test_stop_after_a_lapse() -> None:
    """A worker that is stopped while it checks whether its lapsed claim stands does not run the handler again."""
    began: list[int] = []
    with lab(single(sleeping(500, began))) as one:
        one.submit()
        one.system.advance(5)
        one.on_records.down()
        one.system.advance(60)

        async def stop() -> None:
            worker(one)[0].stop()

        one.on_records.meanwhile("renew", stop, after=True)
        one.on_records.up()
        one.system.advance(60)
        assert (worker(one)[1].done(), began) == (True, [1])


def test_stop_during_an_outage() -> None:
    """A stop ends a worker that is waiting for a dependency at once, and the message comes back."""
    began: list[int] = []
    with lab(single(sleeping(5, began))) as one:
        operation_id = one.submit()
        one.system.advance(1)
        one.on_records.down()
        one.system.advance(100)
        worker(one)[0].stop()
        one.system.advance(40)
        assert worker(one)[1].done()
        one.on_records.up()
        one.system.start_worker()
        assert one.until_done(operation_id, within=120).attempt == 2


def test_concurrency() -> None:
    """A worker runs as many operations at once as it has slots, and receives no more messages than that."""
    began: list[int] = []
    with lab(single(sleeping(10, began)), concurrency=3) as one:
        ids = [one.submit(number) for number in range(7)]
        one.system.advance(5)
        assert len(began) == 3
        depth = one.system.run(one.system.queue.depth())
        assert (depth.in_flight, depth.visible) == (3, 4)
        for operation_id in ids:
            one.until_done(operation_id)
        assert one.time < 40


def test_a_lost_worker_is_replaced() -> None:
    """If a worker dies silently, another takes over its operation when the lease has ended, and it ends once."""
    began: list[int] = []
    with lab(single(sleeping(50, began))) as one:
        operation_id = one.submit()
        one.system.advance(10)
        _, task = worker(one)
        for each in asyncio.all_tasks(one.system.loop):
            if each is not task and each.get_coro().__qualname__ != "system.<locals>.live":  # type: ignore[union-attr]
                each.cancel()
        task.cancel()
        one.system._workers.clear()
        one.system.advance(0)
        one.system.start_worker()
        document = one.until_done(operation_id, within=200)
        assert (document.attempt, began) == (2, [1, 2])


def test_lifespan() -> None:
    """The lifespan's value is the operation's `state`; the lifespan begins before the first handler and ends after the last."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[str]:
        seen.append("up")
        yield "pool"
        seen.append("down")

    app = Offpoll(lifespan=lifespan)

    @app.operation("order")
    def handle(number: int, operation: Operation) -> int:
        seen.append(f"handler {operation.state}")
        return number

    with lab(app) as one:
        one.until_done(one.submit())
    assert seen == ["up", "handler pool", "down"]


def test_log_lines_name_their_operation(caplog: pytest.LogCaptureFixture) -> None:
    """Every log line about an operation carries its id and kind; lines of its handler also carry the attempt."""
    log, noted = logging.getLogger("shop"), logging.Handler()
    lines: list[dict[str, Any]] = []
    noted.addFilter(AboutFilter())
    noted.emit = lambda record: lines.append(vars(record))  # type: ignore[method-assign]

    def handle(number: int) -> int:
        log.warning("packing")
        return number

    logging.getLogger().addHandler(noted)
    try:
        with caplog.at_level(logging.INFO), lab(single(handle)) as one:
            operation_id = one.submit()
            one.until_done(operation_id)
    finally:
        logging.getLogger().removeHandler(noted)
    packing, ended = (next(each for each in lines if each["name"] == name) for name in ("shop", "offpoll.work.delivery"))
    assert (packing["operation_id"], packing["kind"], packing["attempt"]) == (operation_id, "order", 1)
    assert (ended["operation_id"], ended["kind"]) == (operation_id, "order")


def test_service_times_are_reported() -> None:
    """A worker reports the service times that it measured, at the latest when it ends."""
    with lab(single(sleeping(4, []))) as one:
        one.until_done(one.submit())
        worker(one)[0].drain()
        one.system.advance(30)
        assert measured(one.system).mean == pytest.approx(4)
