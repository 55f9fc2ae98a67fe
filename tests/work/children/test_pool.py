"""Handlers in children: real processes, spawned as `offpoll work --processes` does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from offpoll.errors import ConfigurationError
from offpoll.operation import Progress, Record, Status, Submission
from offpoll.queue import Delivery, Message
from offpoll.settings import Settings
from offpoll.wiring import load_app
from offpoll.work.children.pool import Processes
from offpoll.work.handle import Ended, Errored, Stopped
from offpoll.work.job import Job, Stop

HERE = Path(__file__).parents[2] / "support"
#: A test that takes longer hangs.
BOUND = 60.0


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The services, importable here and in children, who are given this `sys.path`."""
    monkeypatch.syspath_prepend(str(HERE))
    import apps_for_children  # type: ignore[import-not-found,unused-ignore]

    return apps_for_children  # type: ignore[no-any-return,unused-ignore]


@asynccontextmanager
async def running(apps: ModuleType, processes: int = 1, *, reference: str = "app", load: Any = None) -> AsyncIterator[Processes]:
    async with Processes(reference, load=load or apps.load, processes=processes, result_limit=350 * 1024) as runner:
        yield runner


def bounded(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, BOUND))


def make_job(apps: ModuleType, kind: str, input: Any = None, *, attempt: int = 1, app: str = "app") -> Job:
    now = datetime.now(UTC)
    submission = Submission(
        operation_id="0123456789abcdef" * 2, kind=kind, owner="public", status_key="k", digest=None, base_url="", created_at=now
    )
    message = Message(submission=submission, body=json.dumps(input))
    return Job(
        delivery=Delivery(envelope=message.to_envelope(), receipt="r"),
        message=message,
        kind=getattr(apps, app).kinds(Settings())[kind],
        token="t" * 32,
        record=Record(submission=submission, attempt=attempt, token="t" * 32, lease_until=now, started_at=now, expires_at=now),
    )


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


async def begun(runner: Processes, job: Job) -> asyncio.Task[Ended | Errored | Stopped]:
    """Start a run whose handler reports progress, and wait for that."""
    run = asyncio.create_task(runner.run(job))
    await until(lambda: job.progress)
    return run


async def result(runner: Processes, job: Job) -> Any:
    ended = await runner.run(job)
    assert isinstance(ended, Ended), ended
    assert ended.outcome.status is Status.SUCCEEDED, ended
    assert not job.running
    return json.loads(ended.outcome.result or "")


async def pid(runner: Processes, apps: ModuleType) -> int:
    return int((await result(runner, make_job(apps, "where")))["running_in"])


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_result(apps: ModuleType) -> None:
    """A handler runs in another process, with that process's lifespan state and the job's attempt."""

    async def main() -> None:
        async with running(apps) as runner:
            first = await result(runner, make_job(apps, "where", {"sku": "A1"}, attempt=2))
            again = await result(runner, make_job(apps, "where"))
        assert first["running_in"] == first["pid"] != os.getpid()
        assert (first["input"], first["attempt"], first["id"]) == ({"sku": "A1"}, 2, "0123456789abcdef" * 2)
        assert (again["pid"], first["calls"], again["calls"]) == (first["pid"], 1, 2)

    bounded(main())


def test_sizes(apps: ModuleType) -> None:
    """A result as large as allowed arrives; a larger one is the outcome `result_too_large`."""

    async def main() -> None:
        async with running(apps) as runner:
            assert len(await result(runner, make_job(apps, "big", 350 * 1024 - 2))) == 350 * 1024 - 2
            ended = await runner.run(make_job(apps, "big", 350 * 1024 - 1))
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "result_too_large"
            assert (await result(runner, make_job(apps, "where", "x" * 256 * 1024)))["input"] == "x" * 256 * 1024

    bounded(main())


def test_fail(apps: ModuleType) -> None:
    """`Fail` arrives with its code, message and members; an input that cannot be parsed is an outcome, too."""

    async def main() -> None:
        async with running(apps) as runner:
            ended = await runner.run(make_job(apps, "refuse"))
            assert isinstance(ended, Ended)
            assert ended.outcome.error == {"code": "out_of_stock", "message": "There is none left.", "sku": "A1"}
            ended = await runner.run(make_job(apps, "big", "many"))
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "invalid_input"

    bounded(main())


@pytest.mark.parametrize(
    ("raised", "code"),
    [("KeyError", "KeyError"), ("StopIteration", "RuntimeError"), ("SystemExit", "SystemExit"), ("HandlerStopped", "CancelledError")],
)
def test_exception(apps: ModuleType, raised: str, code: str) -> None:
    """Whatever a handler raises ends the attempt, and not the child."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            assert await runner.run(make_job(apps, "raise", raised)) == Errored(code=code)
            assert await pid(runner, apps) == before

    bounded(main())


def test_odd_member(apps: ModuleType) -> None:
    """A `Fail` with a member that is not JSON, and could not leave the process, is the outcome it would be without children."""

    async def main() -> None:
        async with running(apps) as runner:
            ended = await runner.run(make_job(apps, "refuse_oddly"))
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "odd"
            assert await result(runner, make_job(apps, "big", 1)) == "x"

    bounded(main())


def test_progress(apps: ModuleType) -> None:
    """Progress arrives while the handler runs; what one call leaves out stays as it was."""

    async def main() -> None:
        async with running(apps) as runner:
            job = make_job(apps, "report")
            run = asyncio.create_task(runner.run(job))
            await until(lambda: job.progress == Progress(fraction=0.25, message="packing"))
            assert job.running
            job.stop(Stop.LOST)
            assert await run == Stopped(reason=Stop.LOST)

    bounded(main())


def test_gil(apps: ModuleType) -> None:
    """While a handler holds the GIL of its process, the parent's loop goes on, and so do the other children."""

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with running(apps, 2) as runner:
            counting = asyncio.create_task(count())
            held = asyncio.create_task(runner.run(make_job(apps, "hold_gil", 30_000_000)))
            await result(runner, make_job(apps, "where"))
            before = turns
            await held
            counting.cancel()
            assert turns > before + 10
            assert isinstance(held.result(), Ended)

    bounded(main())


@pytest.mark.parametrize("kind", ["report", "report_until_stopped"])
@pytest.mark.parametrize("reason", [Stop.LOST, Stop.DECIDED, Stop.LAPSED, Stop.SHUTDOWN])
def test_stop(apps: ModuleType, kind: str, reason: Stop) -> None:
    """A coroutine is cancelled, a plain function stops at its next progress(); the child stays."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind)
            run = await begun(runner, job)
            job.stop(reason)
            assert await run == Stopped(reason=reason)
            await runner.vacated(job)
            assert await pid(runner, apps) == before

    bounded(main())


def test_result_in_spite_of_a_stop(apps: ModuleType) -> None:
    """A result that comes although the handler was told to stop counts."""

    async def main() -> None:
        async with running(apps) as runner:
            job = make_job(apps, "finish_anyway")
            run = await begun(runner, job)
            job.stop(Stop.LAPSED)
            ended = await run
            assert isinstance(ended, Ended)
            assert ended.outcome.result == '"done in spite of it"'

    bounded(main())


@pytest.mark.parametrize(("kind", "stays"), [("sleep", True), ("never_report", False)])
def test_timeout(apps: ModuleType, kind: str, stays: bool) -> None:
    """An attempt over its timeout is `timed_out`; where the handler does not stop, its child is replaced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind, 3600)
            ended = await runner.run(job)
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "timed_out"
            await runner.vacated(job)
            assert alive(before) is stays
            assert (await pid(runner, apps) == before) is stays

    bounded(main())


@pytest.mark.parametrize("kind", ["block", "hold_gil_for_ever"])
def test_stop_by_force(apps: ModuleType, kind: str, tmp_path: Path) -> None:
    """A handler that does not stop is killed with its child: nothing of it runs once it is vacated, and the runner works on."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind, str(tmp_path / "go"))
            run = await begun(runner, job)
            (tmp_path / "go").touch()
            job.stop(Stop.LOST)
            assert await run == Stopped(reason=Stop.LOST)
            await runner.vacated(job)
            assert not alive(before)
            assert await pid(runner, apps) != before

    bounded(main())


def test_stop_while_waiting(apps: ModuleType) -> None:
    """A job that waits for a free child can be stopped, and takes none."""

    async def main() -> None:
        async with running(apps) as runner:
            first, second = make_job(apps, "report"), make_job(apps, "where")
            run = await begun(runner, first)
            waiting = asyncio.create_task(runner.run(second))
            await until(lambda: second.running)
            second.stop(Stop.SHUTDOWN)
            assert await waiting == Stopped(reason=Stop.SHUTDOWN)
            first.stop(Stop.SHUTDOWN)
            assert await run == Stopped(reason=Stop.SHUTDOWN)
            assert await pid(runner, apps)

    bounded(main())


def test_more_jobs_than_children(apps: ModuleType) -> None:
    """Jobs wait for a free child; each gets its own answer."""

    async def main() -> None:
        async with running(apps, 2) as runner:
            answers = await asyncio.gather(*(result(runner, make_job(apps, "where", number)) for number in range(20)))
            assert [each["input"] for each in answers] == list(range(20))
            assert all(1 <= each["calls"] <= 20 for each in answers)

    bounded(main())


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "exit"])
def test_death(apps: ModuleType, how: str) -> None:
    """A child that dies under a handler ends the attempt, and is replaced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            assert await runner.run(make_job(apps, "die", how)) == Errored(code="ProcessDied")
            assert await pid(runner, apps) != before

    bounded(main())


def test_death_with_a_fork_left(apps: ModuleType) -> None:
    """A death is noticed although a process that the handler forked holds the connection open."""

    async def main() -> None:
        async with running(apps) as runner:
            assert await runner.run(make_job(apps, "leave_a_fork")) == Errored(code="ProcessDied")
            assert await pid(runner, apps)

    bounded(main())


def test_death_while_idle(apps: ModuleType) -> None:
    """A child that dies between two handlers is replaced."""

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
    """A replacement whose lifespan fails is tried again; what waits for a child waits on."""
    monkeypatch.setenv("APPS_FOR_CHILDREN_COUNT", str(tmp_path / "count"))

    async def main() -> None:
        async with running(apps, reference="flaky") as runner:
            assert await runner.run(make_job(apps, "die", "SIGKILL", app="flaky")) == Errored(code="ProcessDied")
            assert await result(runner, make_job(apps, "big", 1, app="flaky")) == "x"
        assert (tmp_path / "count").read_text() == "xxx"

    bounded(main())


@pytest.mark.parametrize(
    ("reference", "load", "words"),
    [
        ("no_such_module_here:app", load_app, "no_such_module_here"),
        ("apps_for_children:nothing", load_app, "not an Offpoll"),
        ("broken", "load", "ConnectionError: the database is down"),
        ("app", "load_and_leave", "wants to leave"),
        ("app", "load_and_die", "exit code 7"),
    ],
)
def test_cannot_start(apps: ModuleType, reference: str, load: Any, words: str) -> None:
    """A service that does not start in a child is refused at once, with the child's own words; no process is left."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=words):
            async with running(apps, 2, reference=reference, load=getattr(apps, load) if isinstance(load, str) else load):
                pytest.fail("it started")

    bounded(main())
    assert multiprocessing.active_children() == []


def test_none_is_refused(apps: ModuleType) -> None:
    """No children: refused."""
    with pytest.raises(ConfigurationError, match="0 processes"):
        Processes("app", load=apps.load, processes=0, result_limit=1)


def test_signals(apps: ModuleType) -> None:
    """SIGTERM and SIGINT, which reach the whole group, do not end a handler; they do end what it started itself."""

    async def main() -> None:
        async with running(apps) as runner:
            ended = [-signal.SIGTERM, -signal.SIGTERM]
            assert await result(runner, make_job(apps, "terminate_others")) == ended

    bounded(main())


def test_close(apps: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At the end every child leaves its lifespan; no process is left."""
    monkeypatch.setenv("APPS_FOR_CHILDREN_LEFT", str(tmp_path / "left"))

    async def main() -> None:
        async with running(apps, 3) as runner:
            await result(runner, make_job(apps, "where"))

    bounded(main())
    left = {int(line) for line in (tmp_path / "left").read_text().split()}
    assert len(left) == 3
    assert not any(alive(each) for each in left)
    assert multiprocessing.active_children() == []


def test_close_kills(apps: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not end when it should is killed."""
    monkeypatch.setattr("offpoll.work.children.process.LINGER", 0.2)

    async def main() -> None:
        async with running(apps) as runner:
            stuck = await pid(runner, apps)
            os.kill(stuck, signal.SIGSTOP)
        assert not alive(stuck)

    bounded(main())


def test_cancelled_run(apps: ModuleType) -> None:
    """Where nobody waits for a run any more, its child is killed: what runs unobserved could not be fenced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, "block", 3600)
            run = await begun(runner, job)
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run
            await runner.vacated(job)
            assert not alive(before)
            assert await pid(runner, apps) != before

    bounded(main())


PARENT = """
import asyncio, sys
sys.path[:0] = [{here!r}, {tests!r}]
import apps_for_children as apps
import test_pool as t

async def main():
    async with t.running(apps, 2) as runner:
        busy = await t.begun(runner, t.make_job(apps, {kind!r}, 3600))
        print(*(each.pid for each in runner._children.values()), flush=True)
        await busy

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["report", "report_until_stopped", "block"])
def test_parent_dies(kind: str, tmp_path: Path) -> None:
    """When the parent is killed, its children end, idle or busy, whether the handler stops or not."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(here=str(HERE), tests=str(Path(__file__).parent), kind=kind))
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
    """A program whose loop ends without closing its children ends all the same, and they with it."""
    script = tmp_path / "parent.py"
    text = PARENT.format(here=str(HERE), tests=str(Path(__file__).parent), kind="block").replace(
        "        await busy\n", "        raise SystemExit(5)\n"
    )
    left_open = "for runner in [await t.Processes('app', load=apps.load, processes=2, result_limit=9).__aenter__()]:"
    script.write_text(text.replace("async with t.running(apps, 2) as runner:", left_open))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        children = [int(each) for each in parent.stdout.readline().split()]
        try:
            assert parent.wait(BOUND) == 5
        finally:
            parent.kill()
    assert len(children) == 2
    assert not any(alive(each) for each in children)
