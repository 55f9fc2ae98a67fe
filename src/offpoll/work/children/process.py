"""The parent's end of one child of `--processes`: starts it, talks to it, notices its death. Must not know what it is used for.

A child is dead when the operating system says so (waitpid, in a thread). The end of the connection alone says little: a process that
a handler forked may hold it open, and a child that leaves its lifespan has ended the conversation but still lives.
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
from offpoll.work.children.messages import HEADER, Done, Errand, Halt, Ready, Report, Run, Unable, pack, unpack
from offpoll.work.handle import GRACE, Ended, Errored
from offpoll.work.job import Job, Stop

__all__ = ["DIED", "ChildProcess"]

log = logging.getLogger(__name__)

#: The code of an attempt whose process died under it.
DIED = "ProcessDied"


class ChildProcess:
    """One child. Make it with `start`.

    Attributes:
        gone: done when the process has ended, with its exit code.
    """

    def __init__(self, process: SpawnProcess, errand: Errand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._process, self._errand, self._reader, self._writer = process, errand, reader, writer
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[int | None] = self._loop.create_future()
        self.gone: asyncio.Future[int | None] = self._loop.create_future()
        self._number = 0
        self._answer: asyncio.Future[Ended | Errored] | None = None
        self._progress: Callable[[Progress], None] | None = None
        self._attending = self._loop.create_task(self._attend())
        threading.Thread(target=self._wait, name=f"{process.name}-exit", daemon=True).start()

    @classmethod
    async def start(cls, errand: Errand, *, name: str) -> ChildProcess:
        """Start a child; `ready` says when it can be used."""
        ours, theirs = socket.socketpair()
        # Not a daemon: those may have no children, and a handler may want some.
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, errand), name=name, daemon=False)
        try:
            with theirs, _signals_held():
                process.start()
            # At exit multiprocessing waits for children; where nobody ended them (a loop that was torn down) that would be for ever.
            atexit.register(process.kill)
            return cls(process, errand, *await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()  # a child that was started ends by itself
            raise

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it lives and talks, as far as is known."""
        return not self._exited.done() and not self._reader.at_eof()

    async def ready(self) -> None:
        """Wait until it has imported the service and entered its lifespan.

        Raises:
            ConfigurationError: it cannot.
        """
        await asyncio.shield(self._ready)

    def begin(self, job: Job) -> asyncio.Future[Ended | Errored]:
        """Run a job's handler.

        Returns:
            How it ends; cancelled where the handler was stopped.
        """
        self._number += 1
        self._answer, self._progress = self._loop.create_future(), job.report
        self._send(Run(number=self._number, delivery=job.delivery, message=job.message, token=job.token, record=job.record))
        return self._answer

    def halt(self, reason: Stop) -> None:
        """Tell the handler to stop."""
        self._send(Halt(number=self._number, reason=reason))

    def kill(self) -> None:
        """End the process, now."""
        if not self._exited.done():
            self._process.kill()

    async def end(self) -> None:
        """Let it leave its lifespan and end; kill it where that takes too long."""
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

    # --- what comes from it ----------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(HEADER.size)
                self._take(unpack(await self._reader.readexactly(*HEADER.unpack(header))))
        except (asyncio.IncompleteReadError, OSError):
            pass  # it ends, or is dead
        except Exception:
            log.exception("%s: it said what cannot be read; killed", self._process.name)
            self.kill()

    def _take(self, message: object) -> None:
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
        answer, self._answer, self._progress = self._answer, None, None
        if answer is None or answer.done():
            return
        if ended is None:
            answer.cancel()
        else:
            answer.set_result(ended)

    def _refuse(self, why: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(ConfigurationError(f"{self._errand.reference} does not start in a child process: {why}"))
            self._ready.exception()  # seen: nobody may be waiting for it

    # --- its end ---------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for the process, in a thread."""
        self._process.join()
        try:
            self._loop.call_soon_threadsafe(self._note_exit, self._process.exitcode)
        except RuntimeError:
            pass  # the loop was closed: nobody wants to know

    def _note_exit(self, code: int | None) -> None:
        if not self._exited.done():
            self._exited.set_result(code)

    async def _attend(self) -> None:
        reading = self._loop.create_task(self._read())
        try:
            either: set[asyncio.Future[Any]] = {reading, self._exited}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._exited.done():
                await asyncio.wait({self._exited}, timeout=LINGER)
                self.kill()
                await asyncio.wait({self._exited})
            await asyncio.wait({reading}, timeout=GRACE)  # the last it said; somebody it forked may keep the connection open
        finally:
            self.kill()  # if it lives, the loop is being torn down
            reading.cancel()
            self._writer.close()
            atexit.unregister(self._process.kill)
            self._bury(self._exited.result() if self._exited.done() else -signal.SIGKILL)

    def _bury(self, code: int | None) -> None:
        if self._answer is not None and not self._answer.done():
            log.error("%s: its process died under a handler: %s", self._process.name, _cause(code))
        self._settle(Errored(code=DIED))
        self._refuse(f"it ended before it was ready: {_cause(code)}; see what it wrote")
        self.gone.set_result(code)


def _cause(code: int | None) -> str:
    """Say how a process ended: multiprocessing gives signals as negative numbers."""
    if code is not None and code < 0:
        return f"signal {-code} ({signal.strsignal(-code)})"
    return f"exit code {code}"


@contextmanager
def _signals_held() -> Iterator[None]:
    """Start a process with these signals blocked: it unblocks them once it takes no notice of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
