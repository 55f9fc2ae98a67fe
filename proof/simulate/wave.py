"""Plays one wave: a separate world, from its first operation to rest. Forgetting it afterwards keeps memory small.

clients order amid disturbances     │ all numbers are given out │ disturbances stop │ clients see their ends │ rest │ check
version 1 … APIs 2 … workers 2 …
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import length_hint

from offpoll.client import AsyncClient
from offpoll.queue import SPARE_RECEIVES, MemoryQueue
from offpoll.service_times import MemoryServiceTimes
from offpoll.settings import Settings
from offpoll.testing.system import API
from proof.simulate.clients import CLIENTS, SimulatedClient
from proof.simulate.clockwork import Clockwork
from proof.simulate.dice import Dice
from proof.simulate.disturbances import Disturbances
from proof.simulate.final_state import check_final_state
from proof.simulate.fleet import Fleet, Twins
from proof.simulate.ledger import Ledger
from proof.simulate.machine import SLOW, machine_tasks
from proof.simulate.network import ClientNetwork
from proof.simulate.shop import ATTEMPTS
from proof.simulate.watched import WatchedRecords, WatchedStore

__all__ = ["Wave", "run_wave"]

#: Seconds of disturbances after the last number was given out, and the most seconds until nothing moves.
LAST_DISTURBANCES, LONGEST_REST = 45.0, 4 * 3600.0

#: The least operations of each client. A small wave has fewer clients, and so still lasts long enough for disturbances and deployment.
OF_EACH = 8

#: Leases, seconds: short ones lapse often, long ones make others wait.
LEASES = (6.0, 15.0, 40.0)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """The results of a wave: its ledger, and the virtual seconds that it took."""

    ledger: Ledger
    seconds: float


def run_wave(seed: str, operations: int, *, progress: Callable[[int, Ledger], object]) -> Wave:
    """Simulate this many operations, to rest. The same seed gives the same wave.

    `progress` is called once a virtual second with the number of operations begun so far.
    """
    loop = Clockwork()
    ledger = Ledger(time=loop.time)
    with _errors_to(_FaultsInOffpoll(ledger)), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_world(seed, operations, loop, ledger, progress))
    return Wave(ledger=ledger, seconds=loop.time())


async def _world(seed: str, operations: int, loop: Clockwork, ledger: Ledger, progress: Callable[[int, Ledger], object]) -> None:
    loop.set_task_factory(machine_tasks)
    dice = Dice(seed)
    settings = Settings(
        secret="simulated" * 4,
        lease=LEASES[int(dice.random() * len(LEASES))],
        concurrency=8 + int(dice.random() * 9),
        lateness_weight=0.05,
        link_lifetime_floor=dice.between(60, 1200),
        link_lifetime_cap=1200.0,
        expected_service_time=2.0,
    )
    fleet = Fleet(loop=loop, dice=dice, ledger=ledger, settings=settings, twins=_twins(loop, dice, ledger, settings))
    disturbances = Disturbances(dice=dice, ledger=ledger, fleet=fleet)
    numbers = iter(range(operations))

    def share_begun() -> float:
        return 1 - length_hint(numbers) / operations

    fleet.start()
    clients = loop.create_task(_run_clients(numbers, dice, ledger, fleet))
    reporting = loop.create_task(_every_second(lambda: progress(operations - length_hint(numbers), ledger)))
    disturbing, deploying = loop.create_task(disturbances.run()), loop.create_task(disturbances.deploy(share_begun))
    while share_begun() < 1:  # noqa: ASYNC110 - one check a second costs nothing; an event for each number would
        await asyncio.sleep(1)
    await asyncio.sleep(LAST_DISTURBANCES)
    disturbances.stop()
    await asyncio.gather(clients, disturbing, deploying)
    await _settle(fleet)
    reporting.cancel()
    check_final_state(ledger, fleet.twins)
    await fleet.close()


async def _every_second(act: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(1)
        act()


async def _run_clients(numbers: Iterator[int], dice: Dice, ledger: Ledger, fleet: Fleet) -> None:
    network = ClientNetwork(dice=dice, ledger=ledger, fleet=fleet, store=fleet.twins.store)
    clients = []
    for number in range(min(CLIENTS, 1 + length_hint(numbers) // OF_EACH)):
        owner = f"client-{number}" if number % 16 else f"Zoë's client {number}"  # one is plain in a key, the other is hashed
        client = AsyncClient(API, transport=network, auth={"x-owner": owner}, random=dice.random, retry_timeout=30)
        clients.append(SimulatedClient(client=client, numbers=numbers, dice=dice, ledger=ledger, fleet=fleet).run())
    await asyncio.gather(*clients)


async def _settle(fleet: Fleet) -> None:
    """Wait until nothing is under way, or until `LONGEST_REST` is over."""
    await asyncio.sleep(2 * SLOW)  # every late call has arrived by then
    deadline = fleet.loop.time() + LONGEST_REST
    while fleet.loop.time() < deadline and _moves(fleet):  # noqa: ASYNC110 - the in-memory queues do not announce that they are empty
        await asyncio.sleep(5)


def _moves(fleet: Fleet) -> bool:
    return bool(fleet.held or fleet.twins.queue.peek() or fleet.twins.dead_letters.peek())


def _twins(loop: Clockwork, dice: Dice, ledger: Ledger, settings: Settings) -> Twins:
    receipts = itertools.count()
    dead_letters, parking = MemoryQueue(receipts=receipts), MemoryQueue(receipts=receipts)
    return Twins(
        store=WatchedStore(clock=loop.now, ledger=ledger, _secret=dice.source.randbytes(32)),
        queue=MemoryQueue(visibility=settings.lease, dead_letters=dead_letters, max_receives=ATTEMPTS + SPARE_RECEIVES, receipts=receipts),
        dead_letters=dead_letters,
        parking=parking,
        records=WatchedRecords(clock=loop.now, ledger=ledger),
        service_times=MemoryServiceTimes(),
    )


@contextmanager
def _errors_to(handler: logging.Handler) -> Iterator[None]:
    """Send logged errors to this handler only, and drop the thousands of warnings."""
    loggers = [logging.getLogger(name) for name in ("offpoll", "asyncio")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.addHandler(handler)
            logger.propagate = False
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)


class _FaultsInOffpoll(logging.Handler):
    """Reports every exception that offpoll did not expect, caught and logged as an error: a fault in offpoll."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def handle(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.name != "offpoll.work.handle":  # which logs exceptions of handlers
            self._ledger.violation("stuck", None, f"a fault in offpoll: {record.getMessage()}: {record.exc_info[1]!r}")
        return True
