"""Simulates one machine: a process with a wrong clock, and a line to each service, on which calls fail.

    call ──► dead? ──► cut off? ──► dice ──► effect in the in-memory store ──► dice ──► answer
                                     │                                           └ lost; late; the machine dies
                                     └ refused; slow; the machine dies

A dead machine has no further effect, whatever its coroutines do: each call raises, and its tasks are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from datetime import datetime, timedelta
from typing import Any, TypeVar

from offpoll.errors import Conflict, DependencyError, DependencyRefused, DependencyUnavailable
from offpoll.testing.virtual import START
from proof.simulate.dice import CALLS, Dice, Shares
from proof.simulate.ledger import Ledger

__all__ = ["MACHINE", "SERVICES", "Crashed", "Line", "Machine", "machine_tasks"]

T = TypeVar("T")

#: The machine that a task runs on. Clients, and calls under way in the network, have none.
MACHINE: ContextVar[Machine] = ContextVar("machine")

SERVICES = ("store", "queue", "records")

#: A machine's wall clock is wrong by at most this many seconds.
SKEW = 300.0

#: Mean seconds of a call with latency, and of an error.
LATENCY = 0.03

#: The most seconds after which a caller gives up on a call without an answer.
TIMEOUT = 6.0

#: The most seconds that a slow call takes, or an effect after its caller has given up: longer than a short lease.
SLOW = 20.0

_CALLS = Shares(CALLS)


class Crashed(asyncio.CancelledError):
    """The machine has died. To the code on it this is a cancellation, because nothing may catch it."""


class Machine:
    """One process.

    Args:
        name: for the log.
        version: of the app that runs on it.
        loop, dice, ledger: the world's.
    """

    def __init__(self, name: str, *, version: int, loop: asyncio.AbstractEventLoop, dice: Dice, ledger: Ledger) -> None:
        self.name, self.version, self.loop, self.dice, self.ledger = name, version, loop, dice, ledger
        self._time = loop.time
        self.skew = dice.between(-SKEW, SKEW)
        self.computed = 0.0
        self.dead = False
        self.died: asyncio.Future[None] = loop.create_future()
        self.lines = {service: Line(self, service) for service in SERVICES}
        self._tasks: list[asyncio.Task[Any]] = []
        self._tidy_at = 64
        ledger.fault("clock_skew", name, answer=f"{self.skew:+.1f} s, version {version}")

    def clock(self) -> datetime:
        """Return its wall clock's time."""
        return START + timedelta(seconds=self._time() + self.skew)

    def monotonic(self) -> float:
        """Return its monotonic clock's time. It also counts computation, which takes no virtual time."""
        return self._time() + self.computed

    def track(self, task: asyncio.Task[Any]) -> None:
        """Remember a task, to cancel it when the machine dies."""
        self._tasks.append(task)
        if len(self._tasks) > self._tidy_at:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._tidy_at = max(64, 2 * len(self._tasks))

    def die(self) -> None:
        """Stop at once, without giving anything back or finishing anything."""
        if not self.dead:
            self.dead = True
            self.died.set_result(None)
            for task in self._tasks:
                task.cancel()


class Line:
    """A machine's line to one service.

    Attributes:
        cut_until: the loop's time until which no call gets through.
        refusing: whether such a call is refused, instead of timing out.
    """

    def __init__(self, machine: Machine, service: str) -> None:
        self._machine, self._service = machine, service
        self._random, self._time = machine.dice.random, machine.loop.time
        self._events = machine.ledger.events
        self.cut_until, self.refusing = 0.0, False

    async def call(self, verb: str, about: str | None, effect: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Call an in-memory store. The dice decide whether the effect happens and whether the answer arrives."""
        machine = self._machine
        if machine.dead:
            raise Crashed
        if machine.dice.on:
            roll = self._random()
            if self._time() < self.cut_until:
                raise await self._cut()
            if roll < _CALLS.any:
                return await self._rolled(_CALLS.pick(roll), verb, about, lambda: effect(*args, **kwargs))
        answer: object = None
        try:  # the same as `_plain`, which would cost nearly every call another coroutine
            answer = result = await effect(*args, **kwargs)
            return result
        except Conflict as conflict:
            answer = type(conflict).__name__
            raise
        finally:
            if about is not None:
                self._events.append((self._time(), machine.name, about, verb, answer))

    async def _plain(self, verb: str, about: str | None, effect: Awaitable[T]) -> T:
        answer: object = None
        try:
            answer = result = await effect
            return result
        except Conflict as conflict:
            answer = type(conflict).__name__
            raise
        finally:
            if about is not None:
                self._events.append((self._time(), self._machine.name, about, verb, answer))

    async def _rolled(self, what: str, verb: str, about: str | None, effect: Callable[[], Awaitable[T]]) -> T:
        machine, dice = self._machine, self._machine.dice
        if what == "latency":
            seconds = dice.about(LATENCY)
            return await self._slowly(verb, about, effect, seconds, early=dice.random() < 0.5)
        machine.ledger.fault(what, machine.name, about, verb)
        match what:
            case "slow_call":
                return await self._slowly(verb, about, effect, dice.between(0, SLOW), early=dice.random() < 0.5)
            case "crash_before_effect" | "crash_after_effect":
                if what == "crash_after_effect":
                    await self._unseen(effect)
                machine.die()
                raise Crashed
            case "timeout_without_effect" | "timeout_with_effect" | "error_with_effect":
                if what != "timeout_without_effect":
                    await self._unseen(effect)
            case "effect_after_timeout":
                self._send_off(self._later(verb, about, effect, dice.between(0, SLOW)))
        await self._pause(dice.about(LATENCY) if what.startswith("error") else dice.between(0, TIMEOUT))
        raise DependencyUnavailable(self._service, what)

    async def _slowly(self, verb: str, about: str | None, effect: Callable[[], Awaitable[T]], seconds: float, *, early: bool) -> T:
        """Make the call, with the pause before the effect, or after it ("early")."""
        if not early:
            await self._pause(seconds)
        try:
            return await self._plain(verb, about, effect())
        finally:
            if early:
                await self._pause(seconds)

    async def _cut(self) -> DependencyError:
        await self._pause(self._machine.dice.between(0, 2))
        if self.refusing:
            return DependencyRefused(self._service, "cut off", code="AccessDenied")
        return DependencyUnavailable(self._service, "cut off")

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._machine.dead:
            raise Crashed

    async def _unseen(self, effect: Callable[[], Awaitable[Any]]) -> None:
        """Let the effect happen, and drop the answer."""
        try:
            await effect()
        except Conflict:
            pass

    async def _later(self, verb: str, about: str | None, effect: Callable[[], Awaitable[Any]], seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._machine.ledger.note("network", f"a late {verb} of {self._machine.name} arrives", about)
        await self._unseen(effect)

    def _send_off(self, work: Coroutine[Any, Any, None]) -> None:
        """Start something that is under way in the network, and so outlives the machine."""
        self._machine.loop.create_task(work, context=Context())


def machine_tasks(loop: asyncio.AbstractEventLoop, work: Any, *, context: Context | None = None) -> asyncio.Task[Any]:
    """Make a task, as the loop's task factory, and let its machine track it."""
    task = asyncio.Task(work, loop=loop, context=context)
    machine = MACHINE.get(None) if context is None else context.get(MACHINE)
    if machine is not None:
        machine.track(task)
    return task
