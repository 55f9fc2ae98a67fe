"""Runs the product's client, API and worker on virtual time under the load of a workload, and counts polls and delays.

There are two ways. With right estimates, the API publishes what the workload knows of each operation, and no document is rewritten: the
counts then show whether clients follow the plan. With its own estimates, the API derives them from the queue's counters and the measured
times, and workers publish new plans. Latency and lagging counters are not simulated.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bench.polling.workloads import Draw, Workload

from offpoll import Offpoll, Settings
from offpoll.document import Estimate, PollHint
from offpoll.lateness import Weight
from offpoll.poll_plan import plan
from offpoll.testing import System, system

__all__ = ["Measured", "run"]

#: Mean service time, seconds: far from the plan's floor and cap.
SERVICE_TIME = 10.0

#: Operations that are not counted, because the queue begins empty and nothing has been measured.
WARM_UP = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What clients saw.

    Attributes:
        polls: of one operation.
        delay, delay_p95: its mean and p95, as shares of the mean duration.
        duration: the mean, seconds.
    """

    polls: float
    delay: float
    delay_p95: float
    duration: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    number: int
    operation: str
    took: float
    delay: float


@dataclass(frozen=True, kw_only=True)
class RightForecast:
    """Forecasts from the workload, in place of `offpoll.forecast.Forecast`.

    Args:
        workload: knows the distributions.
        ahead: returns how many operations must end before the next can begin.
    """

    workload: Workload
    ahead: Callable[[], int]

    def accepted(self, _kind: str, *, now: datetime, lateness_weight: Weight) -> tuple[Estimate, PollHint]:
        """Forecast an operation that is enqueued now."""
        state, seconds = self.workload.state(self.ahead()), SERVICE_TIME / self.workload.service
        earliest, mean = state.earliest * seconds, state.duration.mean * seconds
        made = plan(earliest=earliest, mean=mean, lateness_weight=lateness_weight)
        hint = PollHint(not_before=now + timedelta(seconds=made.first), interval=made.interval)
        return Estimate(mean=now + timedelta(seconds=mean)), hint


def run(draw: Draw, *, load: float, servers: int, operations: int, seed: int, right: Workload | None = None) -> Measured:
    """Submit operations at random to one worker with this many slots, wait for each, and return the counts.

    Args:
        right: the workload whose estimates the API gives; None for the API's own.
    """
    dice, ended, submitted = random.Random(seed), dict[int, float](), Counter[str]()
    app, seen = Offpoll(), list[_Seen]()

    @app.operation("order", timeout=36_000)
    async def work(order: dict[str, float]) -> int:
        await asyncio.sleep(order["seconds"])
        ended[int(order["number"])] = asyncio.get_running_loop().time()
        return 0

    async def order(running: System, number: int, seconds: float) -> None:
        start = running.loop.time()
        ticket = await running.async_client.submit("order", {"number": number, "seconds": seconds})
        submitted["all"] += 1
        await running.async_client.wait(ticket, timeout=None)
        end = ended[number]
        seen.append(_Seen(number=number, operation=ticket.operation_id, took=end - start, delay=running.loop.time() - end))

    async def arrive(running: System) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(WARM_UP + operations):
                await asyncio.sleep(dice.expovariate(load * servers / SERVICE_TIME))
                group.create_task(order(running, number, SERVICE_TIME * draw(dice)))

    settings = Settings(secret="0" * 32, concurrency=servers, expected_service_time=SERVICE_TIME)
    if right is not None:
        settings = replace(settings, max_updates=0)
    with system(app, settings=settings) as running:
        if right is not None:
            forecast = RightForecast(workload=right, ahead=lambda: max(0, submitted["all"] - len(ended) - servers + 1))
            running.service._submitter = replace(running.service._submitter, forecast=forecast)
        running.run(arrive(running))
        polls = Counter(url.rpartition("/")[2] for _, url, _ in running.requests if url.startswith(running.store.origin))
    return _measured([each for each in seen if each.number >= WARM_UP], polls)


def _measured(seen: list[_Seen], polls: Counter[str]) -> Measured:
    count = len(seen)
    duration = sum(each.took for each in seen) / count
    delays = sorted(each.delay / duration for each in seen)
    return Measured(
        polls=sum(polls[each.operation] for each in seen) / count,
        delay=sum(delays) / count,
        delay_p95=delays[int(0.95 * count)],
        duration=duration,
    )
