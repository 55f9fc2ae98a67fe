"""The event loops of tests and proofs use no private part of asyncio, in the Python that runs this test."""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap

import pytest
from proof.explore.loop import IdleLoop
from proof.simulate.clockwork import Clockwork

from offpoll.testing.virtual import VirtualLoop


def own_names(kind: type) -> set[str]:
    """Return every private name that a class and its bases, except asyncio's, define or use on themselves."""
    names: set[str] = set()
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] in {"asyncio", "builtins"}:
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(each)))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self", "super()"}:
                names.add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                names.add(node.name)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


@pytest.mark.parametrize("kind", [VirtualLoop, Clockwork, IdleLoop])
def test_no_private_name_is_shared(kind: type[asyncio.SelectorEventLoop]) -> None:
    """Our loops use none of asyncio's private names, and overwrite none, in this version of Python."""
    loop = asyncio.SelectorEventLoop()
    loop.close()
    assert own_names(kind) & set(dir(loop)) == set()
    assert own_names(kind)


def test_one_that_is_shared_is_found() -> None:
    """The check sees the private names that a loop uses from its base, and those that it overrides."""

    class Bad(VirtualLoop):
        def _run_once(self) -> None:
            self._ready.clear()

    assert {"_run_once", "_ready"} <= own_names(Bad)


@pytest.mark.parametrize("kind", [VirtualLoop, Clockwork])
def test_asyncio_s_own_tools_work(kind: type[VirtualLoop]) -> None:
    """Task groups, timeouts, generators left early, and a second run on the same loop work."""
    ended: list[str] = []

    async def numbers():  # type: ignore[no-untyped-def]
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            ended.append("generator")

    async def main() -> float:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
            group.create_task(asyncio.sleep(7))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), timeout=3)
        async for _ in numbers():
            break
        await asyncio.sleep(2)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=kind) as runner:
        assert runner.run(main()) == 12
        assert runner.run(main()) == 24
    assert ended == ["generator", "generator"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_callback_that_raises_ends_a_simulation(error: type[BaseException]) -> None:
    """The loop raises the exception, instead of logging it, and can be closed afterwards."""

    def fail() -> None:
        raise error("from a callback")

    async def main() -> None:
        asyncio.get_running_loop().call_later(1, fail)
        await asyncio.sleep(2)

    with pytest.raises(error, match="from a callback"), asyncio.Runner(loop_factory=Clockwork) as runner:
        runner.run(main())


def test_the_explorer_s_timers() -> None:
    """The settled loop knows its next timer, however far away, and forgets a cancelled one."""
    loop, rang = IdleLoop(), []
    try:
        assert not loop.next_timer()
        loop.call_later(5, rang.append, "cancelled").cancel()
        loop.call_later(100_000, rang.append, "late")
        loop.call_later(7, rang.append, "first")
        loop.settle()
        assert (loop.next_timer(), loop.time(), rang) == (True, 7, [])
        loop.settle()
        assert rang == ["first"]
        while rang == ["first"]:  # asyncio asks a selector to wait for a day at most
            assert loop.next_timer()
            loop.settle()
        assert loop.time() == pytest.approx(100_000)
        assert not loop.next_timer()
    finally:
        loop.close()
