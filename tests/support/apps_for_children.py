"""The apps that test_pool.py runs in children: an importable module, like a user's."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from offpoll import Fail, Offpoll, Operation
from offpoll.errors import HandlerStopped


@asynccontextmanager
async def lifespan(_: Offpoll) -> AsyncIterator[dict[str, Any]]:
    state = {"pid": os.getpid(), "calls": 0}
    yield state
    left = os.environ.get("APPS_FOR_CHILDREN_LEFT")
    if left:
        with Path(left).open("a") as file:  # noqa: ASYNC230 - one line, while nothing else runs
            file.write(f"{os.getpid()}\n")


app = Offpoll(lifespan=lifespan)


@app.operation("where")
async def where(input: Any, operation: Operation) -> dict[str, Any]:
    operation.state["calls"] += 1
    return {**operation.state, "running_in": os.getpid(), "attempt": operation.attempt, "id": operation.id, "input": input}


@app.operation("big")
def big(input: int) -> str:
    return "x" * input


@app.operation("refuse")
def refuse(input: Any) -> None:
    raise Fail("out_of_stock", "There is none left.", sku="A1")


@app.operation("refuse_oddly")
def refuse_oddly(input: Any) -> None:
    raise Fail("odd", "It has a member that is not JSON.", member=lambda: None)


@app.operation("raise")
def raise_(input: str) -> None:
    raise {"KeyError": KeyError, "StopIteration": StopIteration, "SystemExit": SystemExit, "HandlerStopped": HandlerStopped}[input]


@app.operation("report")
async def report(input: Any, operation: Operation) -> None:
    """Report progress in two parts, then wait to be stopped."""
    operation.progress(0.25)
    operation.progress(message="packing")
    await asyncio.sleep(3600)


@app.operation("report_until_stopped")
def report_until_stopped(input: Any, operation: Operation) -> None:
    while True:
        operation.progress(0.5)
        time.sleep(0.01)


@app.operation("finish_anyway")
async def finish_anyway(input: Any, operation: Operation) -> str:
    operation.progress(0.5)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return "done in spite of it"
    raise AssertionError


@app.operation("hold_gil")
def hold_gil(input: int, operation: Operation) -> int:
    """Hold the GIL: this call never lets another thread run."""
    return sum(range(input))


@app.operation("hold_gil_for_ever")
def hold_gil_for_ever(input: str, operation: Operation) -> None:
    """Report once, and hold the GIL for ever once the file exists."""
    operation.progress(0.5)
    while not Path(input).exists():
        time.sleep(0.01)
    ctypes.PyDLL(None).sleep(3600)


@app.operation("sleep", timeout=0.5)
async def sleep(input: float) -> None:
    await asyncio.sleep(input)


@app.operation("never_report", timeout=0.5)
def never_report(input: float) -> None:
    time.sleep(input)


@app.operation("block")
def block(input: Any, operation: Operation) -> None:
    """Report once, then never again."""
    operation.progress(0.5)
    time.sleep(3600)


@app.operation("die")
def die(input: str) -> None:
    if input == "exit":
        os._exit(3)
    os.kill(os.getpid(), getattr(signal, input))
    time.sleep(60)


def set_and_sleep(event: Any) -> None:
    event.set()
    time.sleep(60)


@app.operation("terminate_others")
def terminate_others(input: Any) -> list[int | None]:
    """Start a program and fork a process. SIGTERM must end both, although it does not end this process."""
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    program = subprocess.Popen(["sleep", "60"])
    program.terminate()
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    forked = fork.Process(target=set_and_sleep, args=(started,))
    forked.start()
    started.wait()
    forked.terminate()
    forked.join()
    return [program.wait(), forked.exitcode]


@app.operation("leave_a_fork")
def leave_a_fork(input: Any) -> None:
    """Die, and leave a fork behind that keeps every descriptor of this process open."""
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
    os._exit(4)


@asynccontextmanager
async def broken_lifespan(app: Offpoll) -> AsyncIterator[None]:
    if app is broken:
        raise ConnectionError("the database is down")
    yield


broken = Offpoll(lifespan=broken_lifespan)


@broken.operation("order")
def order(input: Any) -> None:
    """Never runs."""


@asynccontextmanager
async def once_lifespan(_: Offpoll) -> AsyncIterator[None]:
    """Fail in the second process only."""
    with Path(os.environ["APPS_FOR_CHILDREN_COUNT"]).open("a+") as file:  # noqa: ASYNC230 - one character, while nothing else runs
        file.write("x")
        file.seek(0)
        count = len(file.read())
    if count == 2:
        raise ConnectionError("the database is down")
    yield


flaky = Offpoll(lifespan=once_lifespan)
flaky.operation("die")(die)
flaky.operation("big")(big)


def load(reference: str) -> Offpoll:
    """Return an app, without searching the current folder."""
    logging.getLogger(__name__).debug("loading %s", reference)
    return {"app": app, "broken": broken, "flaky": flaky}[reference]


def load_and_leave(reference: str) -> Offpoll:
    raise SystemExit(f"{reference} wants to leave")


def load_and_die(_: str) -> Offpoll:
    os._exit(7)
