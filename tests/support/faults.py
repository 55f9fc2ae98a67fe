"""Injects faults into in-memory stores: makes verbs fail before or after their effect, or lets something happen just then."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from offpoll.errors import DependencyUnavailable

__all__ = ["Faults"]


@dataclass(kw_only=True)
class _Plan:
    """What happens at some calls of a verb: after `skip` calls, at the next `times` calls."""

    verb: str
    act: Callable[[], Awaitable[None]]
    after: bool
    skip: int
    times: int

    def due(self, verb: str, *, after: bool) -> bool:
        if verb != self.verb or after != self.after or not self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Faults:
    """Patches a store, a queue or a table in place, so that every user of the instance meets the faults.

    Attributes:
        calls: every called verb, in order.
    """

    def __init__(self, target: Any, *, service: str = "memory") -> None:
        self.calls: list[str] = []
        self._service = service
        self._plans: list[_Plan] = []
        self._is_down = False
        for verb, method in inspect.getmembers(target, inspect.iscoroutinefunction):
            if not verb.startswith("_"):
                setattr(target, verb, self._wrapped(verb, method))

    def fail(self, *verbs: str, times: int = 1, skip: int = 0, after: bool = False, error: Exception | None = None) -> None:
        """Let calls fail before their effect, or after it, which loses the answer."""
        fault = error or DependencyUnavailable(self._service, "injected")

        async def act() -> None:
            raise fault

        self._plans += [_Plan(verb=verb, act=act, after=after, skip=skip, times=times) for verb in verbs]

    def meanwhile(self, verb: str, act: Callable[[], Awaitable[Any]], *, after: bool = False, skip: int = 0) -> None:
        """Let something happen right before or right after one call."""
        self._plans.append(_Plan(verb=verb, act=act, after=after, skip=skip, times=1))

    def down(self) -> None:
        """Let every call fail from now on."""
        self._is_down = True

    def up(self) -> None:
        """Let calls through again."""
        self._is_down = False

    def count(self, *verbs: str) -> int:
        """Return how often these verbs were called."""
        return sum(call in verbs for call in self.calls)

    def _wrapped(self, verb: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(verb)
            if self._is_down:
                raise DependencyUnavailable(self._service, "down")
            await self._meet(verb, after=False)
            answer = await method(*args, **kwargs)
            await self._meet(verb, after=True)
            return answer

        return call

    async def _meet(self, verb: str, *, after: bool) -> None:
        for plan in list(self._plans):
            if plan.due(verb, after=after):
                await plan.act()
