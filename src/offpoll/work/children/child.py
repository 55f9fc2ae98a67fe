"""The program of a child process (`--processes`): runs the app, its lifespan, and one handler at a time.

It has three threads, so that a handler which blocks one of them can still be told to stop:

    main           the event loop: lifespan, coroutine handlers
    handler        plain functions
    parent         receives the parent's messages and notices its death; sends the newest progress a few times a second

The child ends when its connection does: the parent closes that, or the kernel does when the parent dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from offpoll import log_lines
from offpoll.errors import ConfigurationError, HandlerStopped
from offpoll.kind import Kind
from offpoll.operation import Progress
from offpoll.settings import Settings
from offpoll.work.children.messages import HEADER, Application, ChildSetup, Done, Halt, Ready, Report, Run, Unable, pack, unpack
from offpoll.work.handle import Ended, Errored, HandlerCalls
from offpoll.work.job import Job, Stop

__all__ = ["LEFT_TO_PARENT", "LINGER", "serve"]

log = logging.getLogger(__name__)

#: Signals that a child ignores, because the parent decides how a worker ends. Ctrl-C reaches the whole process group, and a supervisor may
#: signal the whole cgroup.
LEFT_TO_PARENT = frozenset({signal.SIGINT, signal.SIGTERM})

#: How long a child's handler and lifespan together may take to end after the parent closes the connection or dies, seconds.
LINGER = 5.0

#: How often to send progress, seconds. The heartbeat looks for it every 0.25 s.
REPORT_INTERVAL = 0.1

LOG_FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


def serve(connection: socket.socket, setup: ChildSetup) -> None:
    """Run a child process until its connection to the parent ends."""
    _leave_signals_to_parent()
    os.set_inheritable(connection.fileno(), False)  # a program that a handler starts must not keep the connection open
    logging.basicConfig(level=setup.log_level, handlers=[log_lines.handler(sys.stderr, form=setup.log_format, text=LOG_FORMAT)])
    child = _Child(connection, setup)
    try:
        child.run()
    except BaseException as error:  # SystemExit too: a module may call sys.exit() while it is imported
        known = isinstance(error, ConfigurationError)
        log.error("%s cannot run: %s", setup.reference, error, exc_info=not known)
        child.send(Unable(why=str(error) if known else f"{type(error).__name__}: {error}"))
        sys.exit(1)


def _leave_signals_to_parent() -> None:
    """Ignore the signals, by a handler: programs that the user's handler starts would inherit SIG_IGN, and could not be terminated."""
    for each in LEFT_TO_PARENT:
        signal.signal(each, _ignore)
    os.register_at_fork(after_in_child=_restore_signals)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_PARENT)  # the parent has blocked them until now


def _ignore(*_: object) -> None:
    """Handle a signal by doing nothing."""


def _restore_signals() -> None:
    """Let signals terminate a process that a handler forks, as a pool does with its workers."""
    for each in LEFT_TO_PARENT:
        if signal.getsignal(each) is _ignore:
            signal.signal(each, signal.SIG_DFL)


class _Child:
    """The state of this process. The parent thread sets the current `_job`, and the main thread removes it."""

    def __init__(self, connection: socket.socket, setup: ChildSetup) -> None:
        self._connection, self._setup = connection, setup
        self._sending = threading.RLock()
        self._calls = HandlerCalls(threads=1, result_limit=setup.result_limit)
        self._kinds: Mapping[str, Kind] = {}
        self._state: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._task: asyncio.Task[Ended | Errored] | None = None
        self._number = 0
        self._job: Job | None = None
        self._sent: Progress | None = None

    def run(self) -> None:
        """Load the app, and run handlers until the connection ends."""
        threading.Thread(target=self._listen, name="offpoll-parent", daemon=True).start()
        app = self._setup.load(self._setup.reference)
        self._kinds = app.kinds(Settings())  # default settings: the parent enforces timeouts and attempts
        asyncio.run(self._main(app))

    def send(self, message: object) -> None:
        """Send a message to the parent. If the parent is gone, drop it: the parent thread learns of that."""
        data = pack(message)
        with self._sending:
            try:
                self._connection.sendall(data)
            except OSError:
                pass  # the parent is gone

    # --- the main thread -------------------------------------------------------------------------

    async def _main(self, app: Application) -> None:
        self._loop = asyncio.get_running_loop()
        async with app.running() as self._state:
            self.send(Ready())
            await self._over.wait()
            if self._task is not None:
                await asyncio.wait({self._task})

    def _start(self, job: Job) -> None:
        self._task = asyncio.get_running_loop().create_task(self._calls.call(job, self._state))
        self._task.add_done_callback(self._done)

    def _cancel(self, job: Job) -> None:
        if self._task is not None:
            self._calls.cancel(job, self._task)

    def _done(self, task: asyncio.Task[Ended | Errored]) -> None:
        number, job = self._number, self._job
        self._report()
        self._job = None
        if job is not None:
            self._calls.forget(job)
        self.send(Done(number=number, ended=_ended(task)))

    # --- the parent thread -----------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                while True:
                    if selector.select(None if self._job is None else REPORT_INTERVAL):
                        self._handle(unpack(_receive(self._connection, *HEADER.unpack(_receive(self._connection, HEADER.size)))))
                    self._report()
        except (EOFError, OSError):
            pass  # the parent has closed it, or has died
        except Exception:
            log.exception("the connection to the parent broke")
        self._end()

    def _handle(self, message: object) -> None:
        job = self._job
        match message:
            case Run():
                self._begin(message)
            case Halt(number=number, reason=reason) if job is not None and number == self._number:
                job.stop(reason)

    def _begin(self, run: Run) -> None:
        loop, kind = self._loop, self._kinds[run.message.submission.kind]
        assert loop is not None  # noqa: S101 - the parent waits for Ready
        job = Job(delivery=run.delivery, message=run.message, kind=kind, token=run.token, record=run.record)

        def on_stop() -> None:
            loop.call_soon_threadsafe(self._cancel, job)  # after _start: callbacks keep their order

        job.begin(now=time.monotonic(), on_stop=on_stop)
        self._number, self._job, self._sent = run.number, job, None
        loop.call_soon_threadsafe(self._start, job)

    def _report(self) -> None:
        """Send the job's progress if it is new."""
        with self._sending:
            job = self._job
            if job is None or job.progress is None or job.progress is self._sent:
                return
            self._sent = job.progress
            try:
                self.send(Report(number=self._number, progress=job.progress))
            except Exception as error:
                log.warning("operation %s: progress not published: %s", job.message.submission.operation_id, error)

    def _end(self) -> NoReturn:
        """Stop the handler and leave the lifespan; force an exit if that takes longer than LINGER."""
        loop, job = self._loop, self._job
        if loop is not None:
            try:
                if job is not None:
                    job.stop(Stop.SHUTDOWN)
                loop.call_soon_threadsafe(self._over.set)
            except RuntimeError:
                pass  # the loop is closed: the main thread is ending
            time.sleep(LINGER)
        os._exit(1)


def _ended(task: asyncio.Task[Ended | Errored]) -> Ended | Errored | None:
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or isinstance(error, HandlerStopped):
        return None
    if error is not None:
        log.error("an attempt ended with a fault in offpoll", exc_info=error)
        return Errored(code=type(error).__name__)
    return task.result()


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
