"""Makes the actors of a run, all of production code behind gates: submitters, workers with heartbeats, canceller, dead-letter consumer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from offpoll.app import Offpoll
from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.operation import Outcome, Status
from offpoll.queue import Delivery
from offpoll.service import AsyncService
from offpoll.settings import Settings
from offpoll.work.handle import Ended, Errored, Stopped
from offpoll.work.heartbeat import Heartbeat, HeartbeatTask
from offpoll.work.job import Job, Stop
from offpoll.work.worker import Ambient, Worker
from proof.explore.gates import Gate, Gates
from proof.explore.world import World

__all__ = ["ATTEMPTS", "BODY", "KEY", "OTHER", "Cast", "WorkerActor"]

ATTEMPTS = 2
KEY, BODY, OTHER = "key", b'{"sku":"A1"}', b'{"sku":"B2"}'
SETTINGS = Settings(secret="s" * 32, lease=30_000.0, backoff=100.0, attempts=ATTEMPTS)


@cache
def application() -> Offpoll:
    """Return an app with one kind. `Runner` stands in for its handler, which never runs."""
    app = Offpoll()

    @app.operation("order")
    async def create_order(order: dict[str, str]) -> str:
        raise NotImplementedError

    return app


class Cast:
    """Makes the actors of a run.

    Attributes:
        handled: the bodies that handlers were started with.
        running: by worker, how often time had jumped when its handler started.
    """

    def __init__(self, world: World, gates: Gates) -> None:
        self.world, self.gates = world, gates
        self.handled: list[str] = []
        self.running: dict[str, int] = {}
        self._app = application()
        self._tokens = itertools.count(1)

    def dependencies(self, actor: str) -> Dependencies:
        """Return an actor's dependencies. Every call stops at a gate."""
        world = self.world
        store, records = Gate(self.gates, actor, "store", world.store), Gate(self.gates, actor, "records", world.records)
        return Dependencies(
            board=AsyncStatusBoard(store=store, clock=world.clock),
            queue=Gate(self.gates, actor, "queue", world.queue),
            dead_letters=Gate(self.gates, actor, "dead", world.dead),
            parking=Gate(self.gates, actor, "parking", world.parking),
            records=records,
            service_times=world.service_times,
        )

    def service(self, actor: str) -> AsyncService:
        """Return an API. The depth of the queue has no gate, because it is only a hint."""
        service = AsyncService(self._app, settings=SETTINGS, dependencies=self.dependencies(actor), clock=self.world.clock)
        service._submitter.forecast._depth.get = lambda loop, wall=None: NO_DEPTH  # type: ignore[method-assign]
        return service

    def worker(self, actor: str) -> WorkerActor:
        """Return a worker."""
        return WorkerActor(self, actor)

    def token(self, actor: str) -> str:
        """Return a fresh claim token."""
        return f"{actor}.{next(self._tokens)}"


class WorkerActor:
    """A worker whose loop is the explorer, which hands it one delivery at a time."""

    def __init__(self, cast: Cast, actor: str) -> None:
        dependencies = cast.dependencies(actor)
        runner = Runner(cast, actor)
        kinds = cast._app.kinds(SETTINGS)

        @asynccontextmanager
        async def same() -> AsyncIterator[Dependencies]:
            yield dependencies

        self.runner = runner
        self.worker = Worker(
            kinds=kinds,
            settings=SETTINGS,
            dependencies=dependencies,
            heartbeat_dependencies=same,
            heartbeat=HeartbeatTask(),
            runner=runner,
            ambient=Ambient(clock=cast.world.clock, monotonic=cast.world.loop_time, random=lambda: 0.0, token=lambda: cast.token(actor)),
        )
        runner.worker = self.worker

    async def work(self, delivery: Delivery) -> None:
        """Process a delivery of the queue."""
        await self.worker._loops[0].work(delivery)

    async def settle(self, delivery: Delivery) -> None:
        """Settle a dead letter."""
        await self.worker._loops[1].work(delivery)


class Runner:
    """A `HandlerRunner` that waits at a gate to learn how its handler ends. Renewals and progress may happen meanwhile."""

    worker: Worker

    def __init__(self, cast: Cast, actor: str) -> None:
        self._cast, self._actor = cast, actor

    async def run(self, job: Job) -> Ended | Errored | Stopped:
        told = asyncio.Event()
        self._started(job)
        job.begin(now=self._cast.world.loop_time(), on_stop=told.set)
        faults = ("error", "beat", "progress")
        passing = self._cast.gates.pass_(self._actor, "handler.run", lambda: self._ok(job), faults=faults)
        handling, telling = asyncio.ensure_future(passing), asyncio.ensure_future(told.wait())
        try:
            await asyncio.wait({handling, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            job.end()
            telling.cancel()
            self._cast.running.pop(self._actor, None)
        if handling.done():
            found: Ended | Errored = handling.result()
            return found
        handling.cancel()
        return Stopped(reason=job.stop_reason or Stop.LOST)

    async def vacated(self, job: Job) -> None:
        """Return at once: no handler runs on."""

    async def _ok(self, job: Job) -> Ended:
        return Ended(outcome=Outcome(status=Status.SUCCEEDED, result='"done"'))

    def _started(self, job: Job) -> None:
        record = self._cast.world.records._records.get(job.message.submission.operation_id)
        if record is not None and record.done:
            self._cast.world.broken.append(f"a handler started although the operation had {record.status}")
        if self._cast.world.jumps in self._cast.running.values():
            self._cast.world.broken.append("two handlers of one operation run, although no lease has lapsed")
        self._cast.running[self._actor] = self._cast.world.jumps
        self._cast.handled.append(job.message.body)
        if len(set(self._cast.handled)) > 1:
            self._cast.world.broken.append(f"two inputs of one operation were handled: {sorted(set(self._cast.handled))}")

    async def beside(self, how: str) -> None:
        """Let the heartbeat renew lease and visibility of the running job ("beat"), or publish its progress ("progress")."""
        (job,) = self.worker._jobs
        async with self.worker._make_heartbeat() as heartbeat:
            now = self._cast.world.loop_time()
            if how == "beat":
                job.beating, job.last_beat_try = True, now
                heartbeat._start(heartbeat._beat(job, now), job, "beating")
            else:
                job.publishing = True
                heartbeat._start(_twice(heartbeat, job, now), job, "publishing")


async def _twice(heartbeat: Heartbeat, job: Job, now: float) -> None:
    """Publish twice if the job has no document yet: the first call only reads it."""
    if job.shown is None:
        await heartbeat._publish(job, now)
    if job.shown is not None:
        await heartbeat._publish(job, now)


class _Depth:
    visible = in_flight = delayed = 0


NO_DEPTH: Any = _Depth()
