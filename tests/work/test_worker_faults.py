"""Faults that end a worker, and faults that must not stop it or delay its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.faults import Faults
from tests.support.lab import Lab, lab, single
from tests.support.scripted_handler import ScriptedHandler
from tests.support.service_time_spans import measured

from offpoll.errors import ConfigurationError
from offpoll.service_times import REPORT_INTERVAL
from offpoll.work.heartbeat import Heartbeat
from offpoll.work.loop import LONG_POLL
from offpoll.work.worker import LAST_FLUSH


def dismissed(one: Lab) -> tuple[Any, asyncio.Task[None]]:
    """Take the worker out of the system, which would raise its error at the end."""
    return one.system._workers.pop()


def given_back(one: Lab, operation_id: str, handler: ScriptedHandler) -> None:
    """Assert that the handler was stopped, its claim released, and its message made visible again."""
    record = one.record(operation_id)
    assert record is not None
    assert (record.attempt, record.token, record.done) == (1, None, False)
    assert handler.ended == ["cancelled"]
    assert one.system.run(one.system.queue.depth()).visible == 1


def test_a_heartbeat_that_dies_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a heartbeat leases would lapse: the worker gives back what it holds and says why it ends; another one goes on."""
    real = Heartbeat.run

    async def run(self: Heartbeat) -> None:
        try:
            async with asyncio.timeout(5):
                await real(self)
        except TimeoutError:
            raise ZeroDivisionError("a bug") from None

    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function()), workers=0) as one:
        with monkeypatch.context() as patch:
            patch.setattr(Heartbeat, "run", run)
            one.system.start_worker()
            operation_id = one.submit()
            one.system.advance(4)
            assert handler.began == [1]
            one.system.advance(2 + LONG_POLL)
        worker, task = dismissed(one)
        assert task.done()
        assert worker.held == 0
        with pytest.raises(RuntimeError, match="the heartbeat has died") as raised:
            task.result()
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
        given_back(one, operation_id, handler)
        one.system.start_worker()
        one.system.advance(2)
        assert handler.began == [1, 2]


@pytest.mark.parametrize("queue", ["queue", "dead_letters"])
def test_a_loop_that_breaks_ends_the_worker(queue: str) -> None:
    """If a queue cannot be received from through a wrong setup, both loops end, the worker gives back its messages and raises."""
    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function()), concurrency=2) as one:
        operation_id = one.submit()
        one.system.advance(1)
        faults = one.on_queue if queue == "queue" else Faults(one.system.dead_letters)
        faults.fail("receive", error=ConfigurationError("no AWS credentials were found"))
        one.system.advance(25)
        worker, task = dismissed(one)
        assert task.done()
        assert worker.held == 0
        with pytest.raises(ConfigurationError, match="credentials"):
            task.result()
        given_back(one, operation_id, handler)


def test_a_table_that_hangs_does_not_delay_the_end() -> None:
    """Service times are a hint: a worker that ends in an outage does not wait long to report them."""
    with lab(single(ScriptedHandler(seconds=1.0).function())) as one:
        on_times = Faults(one.system.service_times)
        on_times.meanwhile("add", lambda: asyncio.sleep(1000))
        one.until_done(one.submit())
        worker, task = one.system._workers[0]
        worker.drain()
        one.system.advance(LONG_POLL + LAST_FLUSH + 0.5)
        assert on_times.count("add") == 1
        assert task.done()


@pytest.mark.parametrize("error", [None, ConfigurationError("no credentials"), ZeroDivisionError("a bug")], ids=repr)
def test_flushing_goes_on_after_any_error(error: Exception | None) -> None:
    """Whatever the error was, the next report adds the service times that the failed one could not."""
    with lab(single(ScriptedHandler(seconds=4.0).function())) as one:
        on_times = Faults(one.system.service_times)
        on_times.fail("add", error=error)
        one.until_done(one.submit())
        one.until_done(one.submit())
        one.system.advance(2 * REPORT_INTERVAL + 1)
        assert on_times.count("add") >= 2
        assert measured(one.system).mean == pytest.approx(4)
        assert measured(one.system).total == pytest.approx(2, rel=0.02)
