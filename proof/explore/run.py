"""Plays one run: a world, its actors, and what may happen next. A run is a list of choices; the same list gives the same run.

This module decides which choices exist and what each does; `search` decides which to try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from offpoll.document import Document
from offpoll.errors import DependencyUnavailable, OffpollError
from proof.explore.actors import BODY, KEY, OTHER, Cast, WorkerActor
from proof.explore.final_state import check_final_state
from proof.explore.gates import Gates, Pending
from proof.explore.loop import IdleLoop
from proof.explore.scenarios import Scenario
from proof.explore.timeline import line
from proof.explore.world import JUMP, World

__all__ = ["Choice", "Run"]

Choice = tuple[str, ...]

#: Rounds of a fair schedule. An operation that is not done after these waits for ever.
ROUNDS = 60


class Run:
    """A run of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._steps: list[tuple[str, str, str, str]] = []
        self._loop = IdleLoop()
        self.world = World(loop_time=self._loop.time, max_receives=scenario.max_receives)
        self._gates = Gates()
        self._cast = Cast(self.world, self._gates)
        self._left = dict(scenario.budget)
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._workers: dict[str, WorkerActor] = {}
        self._ended: dict[str, str] = {}
        self._lives: dict[str, int] = {}
        self._start("S", self._submit("S", BODY))
        self._settle()
        while scenario.submitted and self._tasks:
            self.take(("go", "0", "ok"))

    def close(self) -> None:
        """End all remaining coroutines. They can no longer reach a store."""
        self._gates.closed = True
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.settle()
        self._loop.close()

    def timeline(self) -> list[str]:
        """Return what happened, for people."""
        return [line(actor, call, how, said) for actor, call, how, said in self._steps]

    @property
    def broken(self) -> str | None:
        """The first broken rule, or None."""
        return self.world.broken[0] if self.world.broken else None

    def state(self) -> int:
        """Return a digest of everything that can still affect the run or its findings."""
        actors = tuple(
            (name, self._gates.histories.get(self._life(name), 0), name in self._tasks, self._ended.get(name)) for name in self._names()
        )
        pending = tuple((each.actor.partition("#")[0], each.call) for each in self._gates.pending)
        return hash((self.world.state(), actors, pending, tuple(sorted(self._left.items())), tuple(sorted(set(self._cast.handled)))))

    # --- what may happen ---------------------------------------------------------------------------

    def choices(self) -> list[Choice]:
        """Return everything that may happen next."""
        found: list[Choice] = []
        for number, pending in enumerate(self._gates.pending):
            found += [("go", str(number), how) for how in ("ok", *pending.faults) if how == "ok" or self._left.get(how)]
        found += self._starts()
        if self._left.get("crash"):
            found += [("crash", name) for name in self._tasks]
        queue = self.world.queue
        if self._left.get("duplicate") and any(held.receives and held.visible_at > self._loop.time() for held in queue._held.values()):
            found.append(("duplicate",))
        if self._left.get("jump") and (self.world.hidden(queue) or self.world.hidden(self.world.dead) or self._tasks):
            found.append(("jump",))
        if self._left.get("delete") and any(Document.from_bytes(body).done for body in self.world.store._objects.values()):
            found.append(("delete",))
        return found

    def _starts(self) -> list[Choice]:
        scenario, world = self.scenario, self.world
        found: list[Choice] = []
        if scenario.retry and self._ended.get("S") in {"unknown", "crashed"} and "R" not in self._ended and "R" not in self._tasks:
            found.append(("start", "R"))
        if scenario.other and "O" not in self._ended and "O" not in self._tasks:
            found.append(("start", "O"))
        if scenario.cancel and world.store._objects and "C" not in self._ended and "C" not in self._tasks:
            found.append(("start", "C"))
        if world.visible(world.queue):
            idle = [name for name in self._worker_names() if name not in self._tasks]
            found += [("deliver", name) for name in idle]
        if scenario.dead and world.visible(world.dead) and "D" not in self._tasks:
            found.append(("deliver", "D"))
        return found

    def take(self, choice: Choice) -> None:
        """Carry out a choice."""
        what, *rest = choice
        match what:
            case "go":
                self._go(self._gates.pending[int(rest[0])], rest[1])
            case "start" | "deliver":
                self._begin(rest[0])
            case "crash":
                self._spend("crash")
                self._crash(rest[0])
            case "jump":
                self._spend("jump")
                self._jump()
            case "duplicate":
                self._spend("duplicate")
                self.world.lapse_visibility()
                self._say("", "the message is delivered again")
            case "delete":
                self._spend("delete")
                self.world.store._objects.clear()
                self._say("", "the bucket's lifecycle deletes the document")
        self._settle()

    # --- making it happen --------------------------------------------------------------------------

    def _go(self, pending: Pending, how: str) -> None:
        if how != "ok":
            self._spend(how)
        actor = pending.actor.partition("#")[0]
        if how in {"beat", "progress"}:
            self._say(actor, f"the heartbeat {'renews' if how == 'beat' else 'publishes progress'} meanwhile")
            self._loop.create_task(self._workers[actor].runner.beside(how))
            return
        self._loop.create_task(pending.go(how))
        self._loop.settle()
        self._steps.append((actor, pending.call, how, self._gates.said))

    def _begin(self, name: str) -> None:
        self._say(name, "begins" if name in "SROC" else "receives the message")
        match name:
            case "R":
                self._start(name, self._submit(name, BODY))
            case "O":
                self._start(name, self._submit(name, OTHER))
            case "C":
                self._start(name, self._cancel(name))
            case _:
                self._deliver(name)

    def _deliver(self, name: str) -> None:
        worker = self._workers.get(name)
        if worker is None:
            worker = self._workers[name] = self._cast.worker(self._life(name))
        queue = self.world.dead if name == "D" else self.world.queue
        receiving = self._loop.create_task(queue.receive(limit=1, wait=0.0))
        self._loop.settle()
        for delivery in receiving.result():
            self._start(name, worker.settle(delivery) if name == "D" else worker.work(delivery))

    def _start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks[name] = self._loop.create_task(work)

    async def _submit(self, name: str, body: bytes) -> None:
        service = self._cast.service(self._life(name))
        try:
            await service.submit("order", body, idempotency_key=KEY)
            self._ended[name] = "accepted"
        except DependencyUnavailable:
            self._ended[name] = "unknown"
        except OffpollError as error:
            self._ended[name] = type(error).__name__

    async def _cancel(self, name: str) -> None:
        service = self._cast.service(self._life(name))
        operation_id = next(iter(self.world.store._objects)).rpartition("/")[2]
        try:
            await service.cancel("order", operation_id)
            self._ended[name] = "canceled"
        except OffpollError as error:
            self._ended[name] = type(error).__name__

    def _crash(self, name: str) -> None:
        life = self._life(name)
        self._gates.gone.add(life)
        self._gates.pending[:] = [each for each in self._gates.pending if each.actor != life]
        self._tasks.pop(name)
        self._workers.pop(name, None)
        self._cast.running.pop(life, None)
        self._lives[name] = self._lives.get(name, 0) + 1
        if name in "SROC":
            self._ended[name] = "crashed"
        self._say(name, "CRASHES")

    def _jump(self) -> None:
        self.world.jumps += 1
        self._loop.seconds += JUMP
        self._say("", "time passes: leases, backoffs and visibility timeouts end")

    def _settle(self) -> None:
        """Run until every actor waits at a gate, has ended, or has crashed. Pauses between retries pass by themselves."""
        self._loop.settle()
        while any(self._pauses(name) for name in self._tasks) and self._loop.next_timer():
            self._loop.settle()
        for name, task in list(self._tasks.items()):
            if task.done():
                task.result()
                del self._tasks[name]
        for name in self._names():
            if name not in self._tasks and not self._waits(name):
                self._gates.rest(self._life(name))

    def _pauses(self, name: str) -> bool:
        return not self._tasks[name].done() and not self._waits(name)

    def _waits(self, name: str) -> bool:
        life = self._life(name)
        return any(each.actor == life for each in self._gates.pending)

    def _life(self, name: str) -> str:
        return f"{name}#{self._lives.get(name, 0)}"

    def _worker_names(self) -> list[str]:
        return [f"W{number + 1}" for number in range(self.scenario.workers)]

    def _names(self) -> list[str]:
        return ["S", "R", "O", "C", "D", *self._worker_names()]

    def _spend(self, what: str) -> None:
        self._left[what] -= 1

    def _say(self, actor: str, text: str) -> None:
        self._steps.append((actor, text, "", ""))

    # --- the end ------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Let all who live go on without faults, and check the final state."""
        self._left = {}
        self._say("", "from here on nothing goes wrong")
        for _ in range(ROUNDS):
            if self._gates.pending:
                self.take(("go", "0", "ok"))
            elif starts := [each for each in self._starts() if each[0] == "deliver"]:
                self.take(starts[0])
            elif self.world.hidden(self.world.queue) or self.world.hidden(self.world.dead):
                self._jump()
                self._settle()
            else:
                break
            if self.broken:
                return
        check_final_state(
            self.world,
            waiting=bool(self._gates.pending),
            accepted="accepted" in (self._ended.get(name) for name in "SRO"),
            deleted=self.scenario.budget.get("delete", 0) > 0,
        )
