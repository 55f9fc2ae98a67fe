"""The real thing on virtual time: the product's client, service, worker and estimate, under the load of a workload. Counts, no formulas.

What the service publishes is what the client follows, whatever the estimate is made of; a document that is rewritten while the operation
runs brings a new plan. What does not exist here: latency, and a queue's counters that lag.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from polling_workloads import Draw

from offpoll import Offpoll, Settings
from offpoll.testing import System, system

__all__ = ["Measured", "run"]

#: Mean service time, seconds: far from the plan's floor, and from its cap.
SERVICE_TIME = 10.0

#: Operations that are not counted: the queue begins empty and nothing has been measured.
WARM_UP = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What clients saw: polls of one operation; mean and p95 of the delay, as shares of the mean duration; that duration, seconds."""

    polls: float
    delay: float
    delay_p95: float
    duration: float


def run(draw: Draw, *, load: float, servers: int, operations: int, seed: int) -> Measured:
    """Submit operations at random to one worker of so many slots, wait for each, and say how that went."""
    dice, ended = random.Random(seed), dict[int, float]()
    app = Offpoll()

    @app.operation("order", timeout=36_000)
    async def work(order: dict[str, float]) -> int:
        await asyncio.sleep(order["seconds"])
        ended[int(order["number"])] = asyncio.get_running_loop().time()
        return 0

    settings = Settings(secret="0" * 32, concurrency=servers, expected_service_time=SERVICE_TIME)
    seen: list[tuple[int, str, float, float]] = []

    async def order(running: System, number: int, seconds: float) -> None:
        submitted = running.loop.time()
        ticket = await running.async_client.submit("order", {"number": number, "seconds": seconds})
        await running.async_client.wait(ticket, timeout=None)
        seen.append((number, ticket.operation_id, ended[number] - submitted, running.loop.time() - ended[number]))

    async def arrive(running: System) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(WARM_UP + operations):
                await asyncio.sleep(dice.expovariate(load * servers / SERVICE_TIME))
                group.create_task(order(running, number, SERVICE_TIME * draw(dice)))

    with system(app, settings=settings) as running:
        running.run(arrive(running))
        polls = Counter(url.rpartition("/")[2] for _, url, _ in running.requests if url.startswith(running.store.origin))
    return _measured([each for each in seen if each[0] >= WARM_UP], polls)


def _measured(seen: list[tuple[int, str, float, float]], polls: Counter[str]) -> Measured:
    count = len(seen)
    duration = sum(took for _, _, took, _ in seen) / count
    delays = sorted(delay / duration for *_, delay in seen)
    return Measured(
        polls=sum(polls[operation] for _, operation, _, _ in seen) / count,
        delay=sum(delays) / count,
        delay_p95=delays[int(0.95 * count)],
        duration=duration,
    )
