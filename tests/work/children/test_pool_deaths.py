"""Child processes that die, and child processes whose parent dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.children import BOUND, alive, bounded, make_job, pid, result, running, until

from offpoll.work.handle import Ended, Errored

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "exit"])
def test_death(apps: ModuleType, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """If a child dies under a handler, the attempt ends and the child is replaced. The log says which operation died with it, and how."""
    pids: list[int] = []

    async def main() -> None:
        async with running(apps) as runner:
            pids.append(await pid(runner, apps))
            assert await runner.run(make_job(apps, "die", how, attempt=2)) == Errored(code="ProcessDied")
            assert await pid(runner, apps) != pids[0]

    bounded(main())
    (line,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert line.startswith(f"operation {'0123456789abcdef' * 2} (die): attempt 2 died with its process offpoll-1 (pid {pids[0]}): ")
    assert {"SIGKILL": "signal 9", "SIGSEGV": "signal 11", "exit": "exit code"}[how] in line


def test_death_with_a_fork_left(apps: ModuleType) -> None:
    """The parent notices a child's death even if a process that its handler forked holds the connection open."""

    async def main() -> None:
        async with running(apps) as runner:
            assert await runner.run(make_job(apps, "leave_a_fork")) == Errored(code="ProcessDied")
            assert await pid(runner, apps)

    bounded(main())


def test_death_while_idle(apps: ModuleType) -> None:
    """A child that dies while idle is replaced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            os.kill(before, signal.SIGKILL)
            await until(lambda: not alive(before))
            while isinstance(ended := await runner.run(make_job(apps, "where")), Errored):
                assert ended.code == "ProcessDied"
            assert isinstance(ended, Ended)
            assert json.loads(ended.outcome.result or "")["pid"] != before

    bounded(main())


def test_restart_that_fails(apps: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If a replacement's lifespan fails, the pool starts another one, and jobs keep waiting for it."""
    monkeypatch.setenv("APPS_FOR_CHILDREN_COUNT", str(tmp_path / "count"))

    async def main() -> None:
        async with running(apps, reference="flaky") as runner:
            assert await runner.run(make_job(apps, "die", "SIGKILL", app="flaky")) == Errored(code="ProcessDied")
            assert await result(runner, make_job(apps, "big", 1, app="flaky")) == "x"
        assert (tmp_path / "count").read_text() == "xxx"

    bounded(main())


PARENT = """
import asyncio, sys
sys.path[:0] = [{support!r}]
import apps_for_children as apps
import children

async def main():
    async with children.running(apps, 2) as runner:
        busy = await children.begun(runner, children.make_job(apps, {kind!r}, 3600))
        print(*(each.pid for each in runner._children.values()), flush=True)
        await busy

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["report", "report_until_stopped", "block"])
def test_parent_dies(kind: str, tmp_path: Path) -> None:
    """When the parent is killed, its children end, idle or busy, even if a handler does not stop."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(support=str(SUPPORT), kind=kind))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(each) for each in parent.stdout.readline().split()]
        assert len(children) == 2
        assert all(alive(each) for each in children)
        parent.kill()
    deadline = time.monotonic() + BOUND
    while any(alive(each) for each in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_loop_torn_down(tmp_path: Path) -> None:
    """If a program's loop ends without closing the pool, the program still ends, and so do the children."""
    script = tmp_path / "parent.py"
    text = PARENT.format(support=str(SUPPORT), kind="block").replace("        await busy\n", "        raise SystemExit(5)\n")
    left_open = "for runner in [await children.ChildPool('app', load=apps.load, processes=2, result_limit=9).__aenter__()]:"
    script.write_text(text.replace("async with children.running(apps, 2) as runner:", left_open))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        children = [int(each) for each in parent.stdout.readline().split()]
        try:
            assert parent.wait(BOUND) == 5
        finally:
            parent.kill()
    assert len(children) == 2
    assert not any(alive(each) for each in children)
