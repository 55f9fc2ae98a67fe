"""`offpoll work`: runs a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.collector import settle
from offpoll.cli.health import reported
from offpoll.cli.logs import configure
from offpoll.cli.options import LogLevel, Reference, start_check
from offpoll.work.health import Health, State
from offpoll.work.loop import LONG_POLL

if TYPE_CHECKING:
    from offpoll.app import Offpoll
    from offpoll.settings import Settings
    from offpoll.work.handle import HandlerRunner
    from offpoll.work.worker import Worker

__all__ = ["READY", "work"]

log = logging.getLogger("offpoll.work")

#: The beginning of the log line that says that the worker receives.
READY = "working on"

#: How long a stopped worker may take to give back its operations, seconds; longer where long polls are longer than LONG_POLL. A plain
#: function ends at its next `progress()`, or never.
STOPPING = 10.0

#: How long an abandoned thread may delay the end of the process, seconds.
LINGER = 2.0


def work(
    app: Reference,
    *,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Operations at once; by default the setting OFFPOLL_CONCURRENCY.", show_default=False)
    ] = None,
    processes: Annotated[
        int, typer.Option(min=0, help="Run handlers in this many child processes, one at a time in each: for handlers that hold the GIL.")
    ] = 0,
    dead_letters: Annotated[bool, typer.Option(help="Also settle dead letters: messages that the queue has delivered too often.")] = True,
    long_poll: Annotated[
        int, typer.Option(min=1, max=20, help="Seconds that one receive waits for messages. An idle worker may take that long to end.")
    ] = int(LONG_POLL),
    health_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Answer `GET /livez` and `/readyz` on this port; 0 picks a free one.", show_default=False),
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address of that port; `0.0.0.0` for Kubernetes.")] = "127.0.0.1",
    health_file: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write this file every 5 s while the worker is alive.", show_default=False)
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Work on an app's operations until told to end.

    The first SIGTERM or SIGINT drains the worker: it waits for its receives, gives back their messages, finishes what runs, and
    exits with 0. A second one stops the handlers: their operations go to another worker at once, with one attempt spent. If a plain
    function runs on, the process abandons it after 10 s, with exit code 1.

    A worker is alive (`/livez`, the file) as long as its event loop runs, also in an outage. It is ready (`/readyz`) while it takes
    operations. Under systemd it also answers the watchdog.

    Example: `offpoll work orders:app --concurrency 20`
    """
    from offpoll.settings import Settings
    from offpoll.wiring import load_app

    configure(log_level)
    if processes and concurrency:
        raise typer.BadParameter("with --processes, each process works on one operation at a time: leave out --concurrency")
    at_once = processes or concurrency
    settings = Settings.load(environ=os.environ, concurrency=at_once) if at_once else Settings.load(environ=os.environ)
    loaded = load_app(app)
    started = _Started()

    async def main() -> None:
        async with reported(started.health, port=health_port, host=health_host, file=health_file, environ=os.environ):
            runner = _runner(loaded, app, settings, processes)
            await _work(loaded, settings, started, runner=runner, dead_letters=dead_letters, long_poll=long_poll)

    with asyncio.Runner(loop_factory=_loop_factory()) as loop:
        loop.run(main())
        _leave_after(LINGER, code=0)


@dataclass
class _Started:
    """The worker, once there is one."""

    worker: Worker | None = None

    def health(self) -> Health:
        return Health(state=State.STARTING) if self.worker is None else self.worker.health


async def _work(
    app: Offpoll,
    settings: Settings,
    started: _Started,
    *,
    runner: AbstractAsyncContextManager[HandlerRunner],
    dead_letters: bool,
    long_poll: float,
) -> None:
    from offpoll.wiring import dependencies, make_worker

    kinds = ", ".join(app.kinds(settings))
    own = dependencies(settings, environ=os.environ, links=False)
    try:
        await start_check(own.check, own.dead_letters.depth, own.parking.depth)
        async with runner as handlers:
            worker = make_worker(
                app,
                settings=settings,
                dependencies_here=own,
                runner=handlers,
                environ=os.environ,
                dead_letters=dead_letters,
                long_poll=long_poll,
            )
            with _signals(worker, patience=STOPPING + max(0.0, long_poll - LONG_POLL)):
                settle()
                started.worker = worker
                log.info("%s %s: up to %d at once", READY, kinds, settings.concurrency)
                await worker.run()
                log.info("drained: no operation is held")
    finally:
        await own.close()


def _runner(app: Offpoll, reference: str, settings: Settings, processes: int) -> AbstractAsyncContextManager[HandlerRunner]:
    """Return the handlers' runner. It enters the lifespan where they run: in each child, or here."""
    if not processes:
        return _here(app, settings)
    from offpoll.wiring import load_app
    from offpoll.work.children.pool import ChildPool

    return ChildPool(reference, load=load_app, processes=processes, result_limit=settings.result_limit, log_format=settings.log_format)


@asynccontextmanager
async def _here(app: Offpoll, settings: Settings) -> AsyncIterator[HandlerRunner]:
    from offpoll.work.handle import InProcess

    async with app.running() as state:
        here = InProcess(state=state, threads=settings.concurrency, result_limit=settings.result_limit)
        try:
            yield here
        finally:
            here.close()


@contextmanager
def _signals(worker: Worker, *, patience: float) -> Iterator[None]:
    """Drain at the first signal, stop at the second. Then the worker gets `patience` seconds: its last receives use a part of them."""
    loop = asyncio.get_running_loop()
    received = 0

    def receive() -> None:
        nonlocal received
        received += 1
        if received == 1:
            held = worker.held
            log.info("draining: %d operations held; messages that still arrive go back; a second signal stops the handlers", held)
            worker.drain()
        else:
            log.info("stopping: operations that run go to another worker")
            worker.stop()
            _leave_after(patience, code=1)

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, receive)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None  # not on every platform
    return uvloop.new_event_loop


def _leave_after(seconds: float, *, code: int) -> None:
    """End the process even if a handler's thread runs on. Its operation goes to another worker when its lease ends."""

    def leave() -> None:
        log.warning("a handler's thread runs on and is abandoned; its operation goes to another worker when its lease ends")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
