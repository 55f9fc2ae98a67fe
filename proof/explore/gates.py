"""Gates: each call of production code to a store, a queue, a table or its handler stops until the explorer lets it pass.

    production code ──call──► gate: pending ──the explorer chooses──► done, done with its answer lost, or refused before its effect

Each actor's history is a digest of the answers it received, so that the search recognises equal states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from offpoll.errors import DependencyUnavailable, OffpollError
from offpoll.work.handle import Errored

__all__ = ["Gate", "Gates", "Pending"]


#: Calls without an effect: losing the answer is the same as failing.
_READS = frozenset({"store.read", "records.get", "queue.depth"})


@dataclass(kw_only=True, eq=False)
class Pending:
    """A call that waits at its gate.

    Attributes:
        actor: who calls.
        call: such as `records.claim`.
        faults: what may go wrong with it.
        act: makes the call.
        answer: what the caller waits for.
    """

    actor: str
    call: str
    faults: tuple[str, ...]
    act: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]

    async def go(self, how: str) -> None:
        """Let it pass: `ok`, `lost` (done, but the answer does not arrive), `fail` (not done), `error` (the handler raises)."""
        service = self.call.partition(".")[0]
        error: OffpollError | None = None
        result: Any = None
        try:
            if how == "fail":
                raise DependencyUnavailable(service, "injected: not done")
            result = Errored(code="ValueError") if how == "error" else await self.act()
            if how == "lost":
                raise DependencyUnavailable(service, "injected: done, and the answer is lost")
        except OffpollError as met:
            error = met
        if self.answer.done():  # the caller was cancelled
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


@dataclass(kw_only=True)
class Gates:
    """All gates of a run.

    Attributes:
        pending: the waiting calls, oldest first.
        histories: by actor, a digest of all answers since it was last at rest.
        gone: crashed actors. Their remaining coroutines do nothing more.
        said: the last answer, for people.
        closed: the run is over.
    """

    pending: list[Pending] = field(default_factory=list)
    histories: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    said: str = ""
    closed: bool = False

    async def pass_(self, actor: str, call: str, act: Callable[[], Awaitable[Any]], *, faults: tuple[str, ...] = ("lost", "fail")) -> Any:
        """Wait at a gate, then return the call's result."""
        if self.closed:
            raise asyncio.CancelledError
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if actor in self.gone:
            await answer  # for ever
        waiting = Pending(actor=actor, call=call, faults=faults, act=act, answer=answer)
        self.pending.append(waiting)
        try:
            result = await answer
        except OffpollError as error:
            self._remember(actor, call, repr(error))
            raise
        finally:
            if waiting in self.pending:
                self.pending.remove(waiting)
        self._remember(actor, call, repr(result))
        return result

    def rest(self, actor: str) -> None:
        """Forget what an actor has seen: it is back where it began."""
        self.histories.pop(actor, None)

    def _remember(self, actor: str, call: str, seen: str) -> None:
        self.said = seen
        self.histories[actor] = hash((self.histories.get(actor, 0), call, seen))


class Gate:
    """Stands in front of a store, a queue or a table for one actor. Each verb but `sign`, which calls nothing, waits at a gate."""

    def __init__(self, gates: Gates, actor: str, service: str, target: Any) -> None:
        self._gates, self._actor, self._service, self._target = gates, actor, service, target

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._target, verb)
        if verb == "sign":
            return method
        call = f"{self._service}.{verb}"
        faults = ("fail",) if call in _READS else ("lost", "fail")

        async def wait(*args: Any, **kwargs: Any) -> Any:
            return await self._gates.pass_(self._actor, call, lambda: method(*args, **kwargs), faults=faults)

        return wait
