"""Runs API processes and workers, each in a slot. The fleet restarts a process that dies, and deploys other versions to a slot."""

from __future__ import annotations

import asyncio
import itertools
from contextvars import copy_context
from dataclasses import dataclass, field

from offpoll.app import Offpoll
from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.document_store import MemoryDocumentStore
from offpoll.http.endpoint import Endpoint
from offpoll.queue import MemoryQueue
from offpoll.records import MemoryRecords
from offpoll.service import AsyncService
from offpoll.service_times import MemoryServiceTimes
from offpoll.settings import Settings
from offpoll.testing.system import virtual_worker
from offpoll.testing.virtual import VirtualLoop
from offpoll.work.worker import Ambient, Worker
from proof.simulate.dice import Dice
from proof.simulate.ledger import Ledger
from proof.simulate.machine import MACHINE, Machine
from proof.simulate.shop import shop
from proof.simulate.stores import FaultyQueue, FaultyRecords, FaultyServiceTimes, FaultyStore

__all__ = ["APIS", "WORKERS", "Api", "Fleet", "Slot", "Twins"]

#: Processes of each type.
APIS, WORKERS = 3, 8

#: First pause of an idle receiver between two receives, seconds: from the queue, and from the dead letters.
PAUSE, DEAD_LETTER_PAUSE = 0.3, 2.5

#: Seconds that a process gets to end before the fleet kills it.
PATIENCE = 90.0


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The in-memory stores that all machines share."""

    store: MemoryDocumentStore
    queue: MemoryQueue
    dead_letters: MemoryQueue
    parking: MemoryQueue
    records: MemoryRecords
    service_times: MemoryServiceTimes


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API process."""

    machine: Machine
    endpoint: Endpoint


@dataclass(kw_only=True)
class Slot:
    """A place in which one process after another runs.

    Attributes:
        name: of the slot.
        version: of the next process.
        machine: the one that runs, or ran last.
        api, worker: the process on it.
    """

    name: str
    version: int = 1
    machine: Machine | None = None
    api: Api | None = None
    worker: Worker | None = None


@dataclass(kw_only=True)
class Fleet:
    """All API processes and workers."""

    loop: VirtualLoop
    dice: Dice
    ledger: Ledger
    settings: Settings
    twins: Twins
    apis: list[Slot] = field(default_factory=lambda: [Slot(name=f"api-{number}") for number in range(1, APIS + 1)])
    workers: list[Slot] = field(default_factory=lambda: [Slot(name=f"worker-{number}") for number in range(1, WORKERS + 1)])

    def __post_init__(self) -> None:
        self._tokens, self._generations = itertools.count(1), itertools.count(1)
        self._closing = False
        self._shops: dict[int, Offpoll] = {version: shop(self.ledger, version=version) for version in (1, 2)}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all processes, and keep them running."""
        for slot in self.apis:
            self._keepers.append(self.loop.create_task(self._keep_api(slot)))
        for slot in self.workers:
            self._keepers.append(self.loop.create_task(self._keep_worker(slot)))

    @property
    def machines(self) -> list[Machine]:
        """The live machines."""
        return [slot.machine for slot in (*self.apis, *self.workers) if slot.machine is not None and not slot.machine.dead]

    @property
    def held(self) -> int:
        """The number of operations that the workers hold."""
        return sum(slot.worker.held for slot in self.workers if slot.worker is not None)

    def any_api(self) -> Api | None:
        """Return a live API process, as a load balancer would."""
        live = [slot.api for slot in self.apis if slot.api is not None and not slot.api.machine.dead]
        return live[int(self.dice.random() * len(live))] if live else None

    async def replace(self, slot: Slot, *, version: int) -> None:
        """Deploy another version to a slot: end its process, so that the next one starts."""
        slot.version = version
        machine, worker = slot.machine, slot.worker
        if machine is None or machine.dead:
            return
        self.ledger.fault("restart", machine.name)
        if worker is not None:
            # A deployment drains; a machine that is taken away stops its handlers.
            (worker.drain if self.dice.random() < 0.5 else worker.stop)()
            await asyncio.wait({machine.died}, timeout=PATIENCE)
        machine.die()

    async def close(self) -> None:
        """Stop the workers, then kill every machine."""
        self._closing = True
        for slot in self.workers:
            if slot.worker is not None:
                slot.worker.stop()
        await asyncio.sleep(PATIENCE)
        for machine in self.machines:
            machine.die()
        await asyncio.sleep(1)
        for keeper in self._keepers:
            keeper.cancel()

    # --- one process after another -------------------------------------------------------------------

    async def _keep_api(self, slot: Slot) -> None:
        while not self._closing:
            machine = slot.machine = self._machine(slot)
            service = self._service(machine)
            slot.api = Api(machine=machine, endpoint=Endpoint(service))
            await asyncio.wait({machine.died})
            await self._until_restarted(machine)

    async def _keep_worker(self, slot: Slot) -> None:
        while not self._closing:
            machine = slot.machine = self._machine(slot)
            slot.worker = worker = self._worker(machine)
            context = copy_context()
            context.run(MACHINE.set, machine)
            running = self.loop.create_task(worker.run(), context=context)
            await asyncio.wait({running})
            if not machine.dead and not running.cancelled() and (error := running.exception()) is not None:
                self.ledger.violation("stuck", None, f"{machine.name} broke: {error!r}")
            machine.die()
            slot.worker = None
            await self._until_restarted(machine)

    async def _until_restarted(self, machine: Machine) -> None:
        self.ledger.note(machine.name, "is gone")
        await asyncio.sleep(self.dice.between(0.5, 15))

    def _machine(self, slot: Slot) -> Machine:
        name = f"{slot.name}.{next(self._generations)}"
        return Machine(name, version=slot.version, loop=self.loop, dice=self.dice, ledger=self.ledger)

    def _worker(self, machine: Machine) -> Worker:
        ambient = Ambient(
            clock=machine.clock,
            monotonic=machine.monotonic,
            random=self.dice.random,
            token=lambda: f"{next(self._tokens):032x}",
        )
        return virtual_worker(self._service(machine), settings=self.settings, ambient=ambient)

    def _service(self, machine: Machine) -> AsyncService:
        clock, settings, twins = machine.clock, self.settings, self.twins
        dependencies = Dependencies(
            board=AsyncStatusBoard.of(settings, store=FaultyStore(machine, twins.store), clock=clock),
            queue=FaultyQueue(machine, twins.queue, name="the queue", pause=PAUSE),
            dead_letters=FaultyQueue(machine, twins.dead_letters, name="the dead letters", pause=DEAD_LETTER_PAUSE),
            parking=FaultyQueue(machine, twins.parking, name="the parking", pause=PAUSE),
            records=FaultyRecords(machine, twins.records),
            service_times=FaultyServiceTimes(machine, twins.service_times),
        )
        shop = self._shops[machine.version]
        return AsyncService(shop, settings=settings, dependencies=dependencies, clock=clock, random_bytes=self.dice.source.randbytes)
