"""Outages: how often a step is tried, and when the worker gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from offpoll.errors import DependencyError, DependencyRefused, DependencyUnavailable
from offpoll.testing import run_virtual
from offpoll.work.outage import REFUSALS, Outage

UNAVAILABLE = DependencyUnavailable("S3", "down")
REFUSED = DependencyRefused("S3", "no")


def failing(*errors: DependencyError) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """Return a step that fails with these errors and then works, and the times at which it was tried."""
    left, tried = list(errors), []

    async def step() -> str:
        tried.append(asyncio.get_running_loop().time())
        if left:
            raise left.pop(0)
        return "done"

    return step, tried


def test_it_tries_until_it_works() -> None:
    """Pauses double up to half a minute, and meanwhile `failing` says that something fails."""

    async def main() -> None:
        outage = Outage(random=lambda: 1.0)
        step, tried = failing(*[UNAVAILABLE] * 10)
        task = asyncio.create_task(outage.through(step, what="a step"))
        await asyncio.sleep(1)
        assert outage.failing
        assert await task == "done"
        pauses = [round(after - before, 6) for before, after in pairwise(tried)]
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
        assert not outage.failing
        await outage.over()

    run_virtual(main())


def test_what_works_at_once_is_no_outage() -> None:
    """A step that works at once costs no time."""

    async def main() -> None:
        outage = Outage(random=lambda: 1.0)
        assert await outage.through(failing()[0], what="a step") == "done"
        assert asyncio.get_running_loop().time() == 0

    run_virtual(main())


def test_over_waits_for_all() -> None:
    """An outage is over when no step is waiting any longer."""

    async def main() -> None:
        outage = Outage(random=lambda: 1.0)
        tasks = [asyncio.create_task(outage.through(failing(*[UNAVAILABLE] * n)[0], what="a step")) for n in (1, 4)]
        await asyncio.sleep(0.1)
        await outage.over()
        assert all(task.done() for task in tasks)

    run_virtual(main())


def test_refusals() -> None:
    """A refused step is tried several times, because an operator may mend the cause, and then given up."""

    async def main() -> None:
        outage = Outage(random=lambda: 1.0)
        assert await outage.through(failing(*[REFUSED] * (REFUSALS - 1))[0], what="a step") == "done"
        step, tried = failing(*[REFUSED] * 99)
        with pytest.raises(DependencyRefused):
            await outage.through(step, what="a step")
        assert len(tried) == REFUSALS
        assert not outage.failing

    run_virtual(main())


def test_stop() -> None:
    """A stop tries a waiting step once more, at once: it gives up if that fails; steps that work still count."""

    async def main() -> None:
        outage = Outage(random=lambda: 1.0)
        step, _ = failing(*[UNAVAILABLE] * 99)
        task = asyncio.create_task(outage.through(step, what="a step"))
        await asyncio.sleep(100)
        began = asyncio.get_running_loop().time()
        outage.stop()
        with pytest.raises(DependencyUnavailable):
            await task
        assert asyncio.get_running_loop().time() == began
        assert await outage.through(failing()[0], what="a step") == "done"

    run_virtual(main())


def test_other_errors_pass() -> None:
    """An error that does not come from a dependency is raised at once."""

    async def main() -> None:
        async def step() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Outage(random=lambda: 1.0).through(step, what="a step")

    run_virtual(main())
