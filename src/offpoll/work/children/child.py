"""What runs in a child of `--processes`: the service, its lifespan, and one handler at a time. Must not know queues, records or leases.

Three threads, so that a handler which blocks one of them can still be told to stop:

    main           the event loop: lifespan, coroutine handlers
    handler        plain functions
    parent         hears what the parent says, and that it has died; sends progress, the newest only, a few times a second

The connection's end is the order to end: the parent closes it, or the kernel does when the parent dies.
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

from offpoll.errors import ConfigurationError, HandlerStopped
from offpoll.kind import Kind
from offpoll.operation import Progress
from offpoll.settings import Settings
from offpoll.work.children.messages import HEADER, Application, Done, Errand, Halt, Ready, Report, Run, Unable, pack, unpack
from offpoll.work.handle import Ended, Errored, HandlerCalls
from offpoll.work.job import Job, Stop

__all__ = ["LEFT_TO_PARENT", "LINGER", "serve"]

log = logging.getLogger(__name__)

#: Ctrl-C goes to the whole process group, and a supervisor may signal the whole cgroup: how a worker ends is the parent's decision.
LEFT_TO_PARENT = frozenset({signal.SIGINT, signal.SIGTERM})

#: How long a child may take to end, its handler and its lifespan together, once the parent has closed the connection or died. Seconds.
LINGER = 5.0

#: How often progress is sent, seconds. The heartbeat looks for it every 0.25 s.
REPORT_INTERVAL = 0.1

LOG_FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


def serve(connection: socket.socket, errand: Errand) -> None:
    """Be a child, until the connection ends.

    Args:
        connection: to the parent.
        errand: which service.
    """
    _leave_signals_to_parent()
    os.set_inheritable(connection.fileno(), False)  # a program that a handler starts must not keep the connection open
    logging.basicConfig(level=errand.log_level, format=LOG_FORMAT)
    child = _Child(connection, errand)
    try:
        child.run()
    except BaseException as error:  # SystemExit too: a module may call sys.exit() while it is imported
        known = isinstance(error, ConfigurationError)
        log.error("%s cannot run: %s", errand.reference, error, exc_info=not known)
        child.send(Unable(why=str(error) if known else f"{type(error).__name__}: {error}"))
        sys.exit(1)


def _leave_signals_to_parent() -> None:
    """Take no notice of signals. By handlers, not SIG_IGN: that would be inherited by programs that a handler starts and terminates."""
    for each in LEFT_TO_PARENT:
        signal.signal(each, _take_no_notice)
    os.register_at_fork(after_in_child=_restore_signals)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_PARENT)  # blocked by the parent until now


def _take_no_notice(*_: object) -> None:
    """Handle a signal."""


def _restore_signals() -> None:
    """Let a process that a handler forks be terminated, as a pool terminates its workers."""
    for each in LEFT_TO_PARENT:
        if signal.getsignal(each) is _take_no_notice:
            signal.signal(each, signal.SIG_DFL)


class _Child:
    """The state of this process. What it works on, `_job`, is set by the parent thread and taken away by the main thread."""

    def __init__(self, connection: socket.socket, errand: Errand) -> None:
        self._connection, self._errand = connection, errand
        self._sending = threading.RLock()
        self._calls = HandlerCalls(threads=1, result_limit=errand.result_limit)
        self._kinds: Mapping[str, Kind] = {}
        self._state: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._task: asyncio.Task[Ended | Errored] | None = None
        self._number = 0
        self._job: Job | None = None
        self._sent: Progress | None = None

    def run(self) -> None:
        """Load the service, and run handlers until the connection ends."""
        threading.Thread(target=self._listen, name="offpoll-parent", daemon=True).start()
        app = self._errand.load(self._errand.reference)
        self._kinds = app.kinds(Settings())  # without the settings' limits: timeouts and attempts are the parent's business
        asyncio.run(self._main(app))

    def send(self, message: object) -> None:
        """Send to the parent. What cannot be sent is dropped: the parent is gone, and the other thread learns of it."""
        data = pack(message)
        with self._sending:
            try:
                self._connection.sendall(data)
            except OSError:
                pass  # see above

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
        self._task.add_done_callback(self._answer)

    def _cancel(self, job: Job) -> None:
        if self._task is not None:
            self._calls.cancel(job, self._task)

    def _answer(self, task: asyncio.Task[Ended | Errored]) -> None:
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
                        self._take(unpack(_receive(self._connection, *HEADER.unpack(_receive(self._connection, HEADER.size)))))
                    self._report()
        except (EOFError, OSError):
            pass  # closed, or the parent has died
        except Exception:
            log.exception("the connection to the parent broke")
        self._end()

    def _take(self, message: object) -> None:
        job = self._job
        match message:
            case Run():
                self._take_job(message)
            case Halt(number=number, reason=reason) if job is not None and number == self._number:
                job.stop(reason)

    def _take_job(self, begin: Run) -> None:
        loop, kind = self._loop, self._kinds[begin.message.submission.kind]
        assert loop is not None  # noqa: S101 - the parent waits for Ready
        job = Job(delivery=begin.delivery, message=begin.message, kind=kind, token=begin.token, record=begin.record)

        def on_stop() -> None:
            loop.call_soon_threadsafe(self._cancel, job)  # after _start: callbacks keep their order

        job.begin(now=time.monotonic(), on_stop=on_stop)
        self._number, self._job, self._sent = begin.number, job, None
        loop.call_soon_threadsafe(self._start, job)

    def _report(self) -> None:
        """Send the progress that is new."""
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
        """Stop the handler and leave the lifespan; what does not end by itself is ended."""
        loop, job = self._loop, self._job
        if loop is not None:
            try:
                if job is not None:
                    job.stop(Stop.SHUTDOWN)
                loop.call_soon_threadsafe(self._over.set)
            except RuntimeError:
                pass  # the loop is closed: the main thread is at its end
            time.sleep(LINGER)
        os._exit(1)


def _ended(task: asyncio.Task[Ended | Errored]) -> Ended | Errored | None:
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or isinstance(error, HandlerStopped):
        return None
    if error is not None:
        log.error("an attempt ended by an error that is not its handler's", exc_info=error)
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
