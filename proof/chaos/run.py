"""Plays one run: start everything, let customers and faults come for some minutes, wait for quiet, gather the evidence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from offpoll import AsyncClient
from offpoll.client.transport import AsyncHttpTransport
from proof.chaos import faults, swarm
from proof.chaos.app import effects, runs
from proof.chaos.chronicle import Chronicle, Event
from proof.chaos.deployment import Deployment
from proof.chaos.evidence import Evidence
from proof.chaos.sightings import WatchedTransport
from proof.chaos.stores import QUEUES, Stores

__all__ = ["Finished", "Options", "run"]

#: Seconds between two checks of the queues.
CHECK = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run.

    Attributes:
        seconds: how long customers and faults keep coming.
        seed: draws orders and faults.
        rate: orders a second.
        at_once: most customers at a time.
        lease: seconds.
        settle: seconds for everything to end once the faults have stopped.
    """

    seconds: float
    seed: int
    rate: float
    at_once: int
    lease: float
    settle: float


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The results of a run."""

    evidence: Evidence
    faults: dict[str, int]
    events: list[Event]


async def run(options: Options, deployment: Deployment, *, tell: Callable[[str], None]) -> Finished:
    """Play a run on a deployment that the caller ends.

    Args:
        tell: receives a line of progress now and then.

    Raises:
        OffpollError: the embedded AWS or a process did not come up.
    """
    chronicle, watched = Chronicle(), WatchedTransport(transport=AsyncHttpTransport(), monotonic=time.monotonic)
    tell(f"starting the embedded AWS, the API and the workers; logs are in {deployment.folder}")
    stores = Stores(await deployment.start())
    customers = swarm.Swarm(
        client=AsyncClient(deployment.api, transport=watched),
        plans=swarm.draw(Random(f"swarm {options.seed}"), lease=options.lease),
        rate=options.rate,
        at_once=options.at_once,
        chronicle=chronicle,
    )
    chaos = faults.Chaos(
        deployment=deployment,
        plan=faults.draw(Random(f"faults {options.seed}"), lease=options.lease),
        chronicle=chronicle,
        garbage=lambda: asyncio.to_thread(stores.send_garbage),
    )
    try:
        depths = await _until_quiet(options, customers, chaos, stores, tell=tell)
    finally:
        await watched.close()
    evidence = await asyncio.to_thread(
        _gather, stores, depths, customers=customers.customers, sightings=watched.seen, folder=deployment.folder,
        garbage=chaos.counts["garbage_message"], lease=options.lease,
    )  # fmt: skip
    return Finished(evidence=evidence, faults=dict(chaos.counts), events=chronicle.events)


async def _until_quiet(
    options: Options, customers: swarm.Swarm, chaos: faults.Chaos, stores: Stores, *, tell: Callable[[str], None]
) -> dict[str, int]:
    """Let customers and faults come, then wait for quiet. Return how many messages each queue holds."""
    tell(f"everything is up; orders and faults for {options.seconds:g} s")
    progress = asyncio.create_task(_tell(customers, chaos, tell))
    try:
        await asyncio.gather(customers.run(seconds=options.seconds), chaos.run(seconds=options.seconds))
        tell(f"no more faults, no more orders: everything has {options.settle:g} s to end")
        until = time.monotonic() + options.settle
        await customers.done(within=options.settle)
        return await _quiet(stores, until=until)
    finally:
        progress.cancel()


async def _quiet(stores: Stores, *, until: float) -> dict[str, int]:
    """Wait until all queues but the parking are empty, or the time is up. Return how many messages each holds."""
    while True:
        depths = {queue: await asyncio.to_thread(stores.depth, queue) for queue in QUEUES}
        if not any(depths[queue] for queue in QUEUES if queue != "parking") or time.monotonic() >= until:
            return depths
        await asyncio.sleep(CHECK)


def _gather(stores: Stores, depths: Mapping[str, int], *, folder: Path, **known: Any) -> Evidence:
    messages = stores.messages()
    return Evidence(
        runs=runs(folder),
        effects=effects(folder),
        records=stores.records(),
        documents=stores.documents(),
        messages=messages,
        hidden={queue: depth - sum(message.queue == queue for message in messages) for queue, depth in depths.items()},
        **known,
    )


async def _tell(customers: swarm.Swarm, chaos: faults.Chaos, tell: Callable[[str], None]) -> None:
    """Report progress every 10 s."""
    while True:
        await asyncio.sleep(10)
        accepted = sum(bool(customer.accepted) for customer in customers.customers)
        tell(f"{accepted} orders accepted, {customers.open} not done; {sum(chaos.counts.values())} faults")
