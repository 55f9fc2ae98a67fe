"""The parent's end of one child process (`--processes`): starts it, talks to it and notices its death.

A child is dead when the operating system says so (waitpid, in a thread). The end of the connection proves little: a process that a handler
forked may hold it open, and a child that is leaving its lifespan still lives.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any

from offpoll.errors import ConfigurationError
from offpoll.operation import Progress
from offpoll.work.children.child import LEFT_TO_PARENT, LINGER, serve
from offpoll.work.children.messages import HEADER, ChildSetup, Done, Halt, Ready, Report, Run, Unable, pack, unpack
from offpoll.work.handle import GRACE, Ended, Errored
from offpoll.work.job import Job, Stop

__all__ = ["DIED", "ChildProcess"]

log = logging.getLogger(__name__)

#: The error code of an attempt whose process died.
DIED = "ProcessDied"


class ChildProcess:
    """One child. Make it with `start`.

    Attributes:
        gone: done when the process has ended, with its exit code.
    """

    def __init__(self, process: SpawnProcess, setup: ChildSetup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._process, self._setup, self._reader, self._writer = process, setup, reader, writer
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[int | None] = self._loop.create_future()
        self.gone: asyncio.Future[int | None] = self._loop.create_future()
        self._number = 0
        self._handling: asyncio.Future[Ended | Errored] | None = None
        self._progress: Callable[[Progress], None] | None = None
        self._job: Job | None = None
        self._watching = self._loop.create_task(self._watch())
        threading.Thread(target=self._wait, name=f"{process.name}-exit", daemon=True).start()

    @classmethod
    async def start(cls, setup: ChildSetup, *, name: str) -> ChildProcess:
        """Start a child. `ready` waits until it is usable."""
        ours, theirs = socket.socketpair()
        # Not a daemonic process: those must not have children, and a handler may need some.
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, setup), name=name, daemon=False)
        try:
            with theirs, _signals_held():
                process.start()
            # At exit multiprocessing waits for children. If a torn-down loop left one running, that would never end.
            atexit.register(process.kill)
            return cls(process, setup, *await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()  # a child that has started ends by itself
            raise

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether the child seems to live and its connection is open."""
        return not self._exited.done() and not self._reader.at_eof()

    async def ready(self) -> None:
        """Wait until the child has loaded the app and entered its lifespan.

        Raises:
            ConfigurationError: the child cannot do that.
        """
        await asyncio.shield(self._ready)

    def begin(self, job: Job) -> asyncio.Future[Ended | Errored]:
        """Run a job's handler.

        Returns:
            A future of how the handler ends; cancelled if the handler was stopped.
        """
        self._number += 1
        self._job = job
        self._handling, self._progress = self._loop.create_future(), job.report
        self._send(Run(number=self._number, delivery=job.delivery, message=job.message, token=job.token, record=job.record))
        return self._handling

    def halt(self, reason: Stop) -> None:
        """Tell the handler to stop."""
        self._send(Halt(number=self._number, reason=reason))

    def kill(self) -> None:
        """Kill the process."""
        if not self._exited.done():
            self._process.kill()

    async def end(self) -> None:
        """Let the child leave its lifespan and end. Kill it if that takes too long."""
        if not self._writer.is_closing():
            self._writer.write_eof()
        done, _ = await asyncio.wait({self.gone}, timeout=LINGER)
        if not done:
            log.warning("%s: did not end within %g s; killed", self._process.name, LINGER)
            self.kill()
            await asyncio.wait({self.gone})

    def _send(self, message: object) -> None:
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    async def _read(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(HEADER.size)
                self._handle(unpack(await self._reader.readexactly(*HEADER.unpack(header))))
        except (asyncio.IncompleteReadError, OSError):
            pass  # the child is ending, or dead
        except Exception:
            log.exception("%s: killed, because it sent an unreadable message", self._process.name)
            self.kill()

    def _handle(self, message: object) -> None:
        match message:
            case Ready():
                if not self._ready.done():
                    self._ready.set_result(None)
            case Unable(why=why):
                self._refuse(why)
            case Report(number=number, progress=progress) if number == self._number and self._progress is not None:
                self._progress(progress)
            case Done(number=number, ended=ended) if number == self._number:
                self._settle(ended)

    def _settle(self, ended: Ended | Errored | None) -> None:
        handling, self._handling, self._progress = self._handling, None, None
        if handling is None or handling.done():
            return
        if ended is None:
            handling.cancel()
        else:
            handling.set_result(ended)

    def _refuse(self, why: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(ConfigurationError(f"{self._setup.reference} does not start in a child process: {why}"))
            self._ready.exception()  # mark it as retrieved: perhaps no caller waits for it

    def _wait(self) -> None:
        """Wait for the process to exit, in a thread."""
        self._process.join()
        try:
            self._loop.call_soon_threadsafe(self._note_exit, self._process.exitcode)
        except RuntimeError:
            pass  # the loop is closed

    def _note_exit(self, code: int | None) -> None:
        if not self._exited.done():
            self._exited.set_result(code)

    async def _watch(self) -> None:
        """Read the child's messages until it has exited. If it closes the connection, it gets LINGER to exit, then is killed."""
        reading = self._loop.create_task(self._read())
        try:
            either: set[asyncio.Future[Any]] = {reading, self._exited}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._exited.done():
                await asyncio.wait({self._exited}, timeout=LINGER)
                self.kill()
                await asyncio.wait({self._exited})
            await asyncio.wait({reading}, timeout=GRACE)  # its last messages; a process that it forked may keep the connection open
        finally:
            self.kill()  # if it still lives, the loop is being torn down
            reading.cancel()
            self._writer.close()
            atexit.unregister(self._process.kill)
            self._note_gone(self._exited.result() if self._exited.done() else -signal.SIGKILL)

    def _note_gone(self, code: int | None) -> None:
        if self._job is not None and self._handling is not None and not self._handling.done():
            submission, attempt = self._job.message.submission, 0 if self._job.record is None else self._job.record.attempt
            log.error(
                "operation %s (%s): attempt %d died with its process %s (pid %s): %s",
                submission.operation_id, submission.kind, attempt, self._process.name, self.pid, _cause(code), extra={"attempt": attempt},
            )  # fmt: skip
        self._settle(Errored(code=DIED))
        self._refuse(f"it ended before it was ready: {_cause(code)}; see its output")
        self.gone.set_result(code)


def _cause(code: int | None) -> str:
    """Describe how a process ended: multiprocessing gives signals as negative numbers."""
    if code is not None and code < 0:
        return f"signal {-code} ({signal.strsignal(-code)})"
    return f"exit code {code}"


@contextmanager
def _signals_held() -> Iterator[None]:
    """Block these signals while a process starts. The child unblocks them once it ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
