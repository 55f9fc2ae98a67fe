"""Plays one run: orders arrive all the time, one worker after the other is told to end and replaced, and each order's start is noted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice

from offpoll import AsyncClient
from offpoll.operation import Status
from proof.chaos.app import runs
from proof.chaos.deployment import Deployment
from proof.chaos.stores import Stores

__all__ = ["Finished", "Options", "run"]

#: Seconds of each of an order's three steps.
PAUSE = 0.05

#: Seconds between two checks whether all is done.
CHECK = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run.

    Attributes:
        restarts: how many workers are restarted, one at a time.
        rate: orders a second.
        lease: seconds; also the visibility timeout of a received message.
        settle: seconds for everything to end after the last restart.
    """

    restarts: int
    rate: float
    lease: float
    settle: float


@dataclass(kw_only=True)
class Finished:
    """The results of a run.

    Attributes:
        waited: from each order's 202 until its handler first began, seconds.
        drained: from each SIGTERM until the worker was gone, seconds.
        codes: the exit codes of workers.
        lost: accepted, and no record that succeeded, or no handler that began.
        again: how many orders took more than one attempt.
    """

    waited: list[float] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    again: int = 0


async def run(options: Options, deployment: Deployment, *, tell: Callable[[str], None]) -> Finished:
    """Play a run on a deployment that the caller ends.

    Raises:
        OffpollError: a process did not come up.
    """
    finished = Finished()
    tell(f"starting the embedded AWS, the API and three workers; logs are in {deployment.folder}")
    stores = Stores(await deployment.start())
    accepted: dict[str, float] = {}
    async with AsyncClient(deployment.api) as client:
        ordering = asyncio.create_task(_order(client, accepted, rate=options.rate))
        try:
            await _restart(options, deployment, finished, tell=tell)
        finally:
            ordering.cancel()
            await asyncio.gather(ordering, return_exceptions=True)
    tell(f"{len(accepted)} orders accepted; waiting until all are done")
    await _until_quiet(stores, within=options.settle)
    await asyncio.to_thread(_judge, stores, accepted, deployment, finished)
    return finished


async def _order(client: AsyncClient, accepted: dict[str, float], *, rate: float) -> None:
    """Place orders, and note when each was accepted. Slow answers do not lower the rate."""
    async with asyncio.TaskGroup() as placing:

        async def place(number: int) -> None:
            ticket = await client.submit("order", {"number": number, "pause": PAUSE})
            accepted[ticket.operation_id] = time.monotonic()

        number = 0
        while True:
            placing.create_task(place(number))
            number += 1
            await asyncio.sleep(1 / rate)


async def _restart(options: Options, deployment: Deployment, finished: Finished, *, tell: Callable[[str], None]) -> None:
    for number, member in enumerate(islice(cycle(deployment.workers), options.restarts), 1):
        began = time.monotonic()
        finished.codes.add(await member.drain())
        finished.drained.append(time.monotonic() - began)
        await member.start()
        if number % 10 == 0:
            tell(f"{number} workers restarted")


async def _until_quiet(stores: Stores, *, within: float) -> None:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not await asyncio.to_thread(stores.depth, "operations"):
            return
        await asyncio.sleep(CHECK)


def _judge(stores: Stores, accepted: dict[str, float], deployment: Deployment, finished: Finished) -> None:
    records = stores.records()
    began: dict[str, float] = {}
    for each in runs(deployment.folder):  # oldest first
        began.setdefault(each.operation_id, each.at)
    for operation_id, at in accepted.items():
        record = records.get(operation_id)
        if record is None or record.status is not Status.SUCCEEDED or operation_id not in began:
            finished.lost.append(operation_id)
            continue
        finished.waited.append(max(0.0, began[operation_id] - at))
        finished.again += record.attempt > 1
