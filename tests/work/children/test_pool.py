"""Handlers in child processes: what runs there, and what comes back. Real processes, spawned as `offpoll work --processes` does it."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.children import alive, bounded, make_job, pid, result, running, until

from offpoll.errors import ConfigurationError
from offpoll.operation import Progress
from offpoll.wiring import load_app
from offpoll.work.children.pool import ChildPool
from offpoll.work.handle import Ended, Errored, Stopped
from offpoll.work.job import Stop


def test_result(apps: ModuleType) -> None:
    """A handler runs in another process, with the lifespan's state of that process and the job's attempt."""

    async def main() -> None:
        async with running(apps) as runner:
            first = await result(runner, make_job(apps, "where", {"sku": "A1"}, attempt=2))
            again = await result(runner, make_job(apps, "where"))
        assert first["running_in"] == first["pid"] != os.getpid()
        assert (first["input"], first["attempt"], first["id"]) == ({"sku": "A1"}, 2, "0123456789abcdef" * 2)
        assert (again["pid"], first["calls"], again["calls"]) == (first["pid"], 1, 2)

    bounded(main())


def test_sizes(apps: ModuleType) -> None:
    """The largest allowed result arrives; a larger one becomes the outcome `result_too_large`."""

    async def main() -> None:
        async with running(apps) as runner:
            assert len(await result(runner, make_job(apps, "big", 350 * 1024 - 2))) == 350 * 1024 - 2
            ended = await runner.run(make_job(apps, "big", 350 * 1024 - 1))
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "result_too_large"
            assert (await result(runner, make_job(apps, "where", "x" * 256 * 1024)))["input"] == "x" * 256 * 1024

    bounded(main())


def test_fail(apps: ModuleType) -> None:
    """`Fail` arrives with its code, message and members; an invalid input is an outcome, too."""

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
    """Whatever a handler raises ends the attempt but not the child."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            assert await runner.run(make_job(apps, "raise", raised)) == Errored(code=code)
            assert await pid(runner, apps) == before

    bounded(main())


def test_odd_member(apps: ModuleType) -> None:
    """A `Fail` with a member that cannot leave the process has the same outcome as without children."""

    async def main() -> None:
        async with running(apps) as runner:
            ended = await runner.run(make_job(apps, "refuse_oddly"))
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "odd"
            assert await result(runner, make_job(apps, "big", 1)) == "x"

    bounded(main())


def test_progress(apps: ModuleType) -> None:
    """Progress arrives while the handler runs; a call that omits the fraction keeps it."""

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
    """While a handler holds the GIL of its process, the parent's loop and the other children go on."""

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


def test_more_jobs_than_children(apps: ModuleType) -> None:
    """Jobs wait for a free child, and each gets its own result."""

    async def main() -> None:
        async with running(apps, 2) as runner:
            answers = await asyncio.gather(*(result(runner, make_job(apps, "where", number)) for number in range(20)))
            assert [each["input"] for each in answers] == list(range(20))
            assert all(1 <= each["calls"] <= 20 for each in answers)

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
    """If an app does not start in a child, the pool raises at once with the child's own words, and leaves no process."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=words):
            async with running(apps, 2, reference=reference, load=getattr(apps, load) if isinstance(load, str) else load):
                pytest.fail("it started")

    bounded(main())
    assert multiprocessing.active_children() == []


def test_none_is_refused(apps: ModuleType) -> None:
    """A pool of no children is refused."""
    with pytest.raises(ConfigurationError, match="0 processes"):
        ChildPool("app", load=apps.load, processes=0, result_limit=1)


def test_close(apps: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At the end every child leaves its lifespan, and no process remains."""
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
    """A child that does not end in time is killed."""
    monkeypatch.setattr("offpoll.work.children.process.LINGER", 0.2)

    async def main() -> None:
        async with running(apps) as runner:
            stuck = await pid(runner, apps)
            os.kill(stuck, signal.SIGSTOP)
        assert not alive(stuck)

    bounded(main())


@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_of_a_child(apps: ModuleType, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What a handler's exception leaves in a child's log has the worker's format, and names operation, kind and attempt."""

    async def main() -> None:
        async with running(apps, log_format=form) as runner:
            assert isinstance(await runner.run(make_job(apps, "raise", "KeyError", attempt=2)), Errored)

    bounded(main())
    said = capfd.readouterr().err.splitlines()
    if form == "json":
        (line,) = [json.loads(each) for each in said]
        assert (line["level"], line["operation_id"], line["kind"], line["attempt"]) == ("ERROR", "0123456789abcdef" * 2, "raise", 2)
        assert "Traceback" in line["exception"]
    else:
        assert "attempt 2 raised [kind=raise]" in said[0]
