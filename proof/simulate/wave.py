"""One wave: a world of its own, from its first operation to rest. What is forgotten with it, memory is not needed for.

clients order, the weather is bad          │ all numbers are given out │ it clears up │ clients see their ends │ rest │ check
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

#: Seconds of bad weather after the last number was given out, and how long it may then take until nothing moves.
LAST_STORM, LONGEST_CALM = 45.0, 4 * 3600.0

#: Operations of each client, at least: where there are few operations, fewer clients order, and there is time for weather and deployment.
OF_EACH = 8

#: Leases, seconds: short ones lapse often, long ones let others wait.
LEASES = (6.0, 15.0, 40.0)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What came of a wave: its book, and how many virtual seconds it took."""

    ledger: Ledger
    seconds: float


def run_wave(seed: str, operations: int, *, look: Callable[[int, Ledger], object]) -> Wave:
    """Simulate so many operations, to rest. The same seed gives the same wave.

    `look` is called once a virtual second, with the number of operations that were begun: it may say how far the wave is.
    """
    loop = Clockwork()
    ledger = Ledger(time=loop.time)
    faults = _FaultsInOffpoll(ledger)
    with _heard(faults), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_world(seed, operations, loop, ledger, look))
    return Wave(ledger=ledger, seconds=loop.time())


async def _world(seed: str, operations: int, loop: Clockwork, ledger: Ledger, look: Callable[[int, Ledger], object]) -> None:
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
    weather = Disturbances(dice=dice, ledger=ledger, fleet=fleet)
    numbers = iter(range(operations))

    def progress() -> float:
        return 1 - length_hint(numbers) / operations

    fleet.start()
    people = loop.create_task(_people(numbers, dice, ledger, fleet))
    looking = loop.create_task(_look(lambda: look(operations - length_hint(numbers), ledger)))
    raging, deploying = loop.create_task(weather.run()), loop.create_task(weather.deploy(progress))
    while progress() < 1:  # noqa: ASYNC110 - a look a second costs nothing here, an event for each number would
        await asyncio.sleep(1)
    await asyncio.sleep(LAST_STORM)
    weather.clear()
    await asyncio.gather(people, raging, deploying)
    await _settle(fleet)
    looking.cancel()
    check_final_state(ledger, fleet.twins)
    await fleet.close()


async def _look(look: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(1)
        look()


async def _people(numbers: Iterator[int], dice: Dice, ledger: Ledger, fleet: Fleet) -> None:
    street = ClientNetwork(dice=dice, ledger=ledger, fleet=fleet, store=fleet.twins.store)
    people = []
    for number in range(min(CLIENTS, 1 + length_hint(numbers) // OF_EACH)):
        owner = f"client-{number}" if number % 16 else f"Zoë's client {number}"  # plain in a key, and not
        client = AsyncClient(API, transport=street, auth={"x-owner": owner}, random=dice.random, retry_timeout=30)
        people.append(SimulatedClient(client=client, numbers=numbers, dice=dice, ledger=ledger, fleet=fleet).run())
    await asyncio.gather(*people)


async def _settle(fleet: Fleet) -> None:
    """Wait until nothing is under way any more, or for so long that it will be for ever."""
    await asyncio.sleep(2 * SLOW)  # what is late in the network has arrived
    deadline = fleet.loop.time() + LONGEST_CALM
    while fleet.loop.time() < deadline and _moves(fleet):  # noqa: ASYNC110 - the twins tell nobody that they are empty
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
def _heard(faults: logging.Handler) -> Iterator[None]:
    """Give a handler the errors that are logged, and nobody anything else: there would be thousands of warnings."""
    loggers = [logging.getLogger(name) for name in ("offpoll", "asyncio")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.addHandler(faults)
            logger.propagate = False
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(faults)
            logger.propagate = propagate
            logger.setLevel(level)


class _FaultsInOffpoll(logging.Handler):
    """Takes an exception that offpoll caught and logged as an error, and did not expect, as what it is: a fault in offpoll."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def handle(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.name != "offpoll.work.handle":  # that one logs what handlers raise
            self._ledger.violation("stuck", None, f"a fault in offpoll: {record.getMessage()}: {record.exc_info[1]!r}")
        return True
