"""Manages the processes of `offpoll dev`: starts them, passes their lines on, notices when one ends, and ends them all.

Each leads a process group, so that Ctrl-C in the terminal reaches only `dev`, which ends them in order. Each runs on a leash, so that it
ends even if `dev` is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from offpoll.cli.standard_streams import Unwritable
from offpoll.errors import OffpollError

__all__ = ["Child", "ChildEnded", "Children"]

#: How long to wait for the last lines of an ended process, seconds.
LAST_LINES = 0.2

#: The longest line that is passed on, bytes.
MAX_LINE = 1 << 20


class ChildEnded(OffpollError):  # noqa: N818 - named by what happened, like OperationFailed
    """A process ended although it should have kept running.

    Attributes:
        code: its exit code.
    """

    def __init__(self, name: str, code: int, hint: str) -> None:
        super().__init__(f"{name} ended by itself with exit code {code}. {hint}")
        self.code = code


class Child:
    """One process.

    Args:
        hint: where to look when it ends by itself.
        patience: seconds between SIGTERM, a second SIGTERM (a worker stops its handlers), and SIGKILL.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, *, hint: str, patience: float) -> None:
        self.name, self.hint = name, hint
        self._process, self._patience = process, patience

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def ended(self) -> ChildEnded:
        """Wait until the process ends, and return the error for that."""
        return ChildEnded(self.name, await self._process.wait(), self.hint)

    async def end(self) -> None:
        """End the process by SIGTERM, a second SIGTERM and SIGKILL, then kill everything that it started."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None:
                break
            self._process.send_signal(number)
            try:
                await asyncio.wait_for(self._process.wait(), self._patience)
            except TimeoutError:
                continue
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left in its group


class Children:
    """The processes, in the order of their start."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_end: asyncio.Future[ChildEnded] = asyncio.get_running_loop().create_future()

    async def start(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        environ: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
        log: Path | None = None,
        patience: float = 3.0,
        vital: bool = True,
    ) -> Child:
        """Start a Python module as a program.

        Args:
            environ: its whole environment.
            on_line: called with each line of its output.
            log: the file for its output, instead.
            patience: how long each of two SIGTERMs may take, seconds.
            vital: whether everything ends when it does.
        """
        command = [sys.executable, "-m", "offpoll.cli.dev.leash", module, *arguments]
        out = None if log is None else log.open("wb")
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=out or asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**environ, "PYTHONUNBUFFERED": "1"},
                process_group=0,
                limit=MAX_LINE,
            )
        finally:
            if out is not None:
                out.close()
        hint = "See its output above." if log is None else f"See its output in {log}."
        child = Child(name, process, hint=hint, patience=patience)
        self._children.append(child)
        if vital:
            self._tasks.add(asyncio.create_task(self._notice(child)))
        if process.stdout is not None and on_line is not None:
            self._tasks.add(asyncio.create_task(self._read(process.stdout, on_line)))
        return child

    async def any_ended(self) -> NoReturn:
        """Wait until a vital process ends.

        Raises:
            ChildEnded: always; or what passing on a line has raised.
        """
        error = await self._first_end
        await asyncio.sleep(LAST_LINES)
        raise error

    async def stop(self, *children: Child) -> None:
        """End some processes that are not vital, together."""
        self._children = [each for each in self._children if each not in children]
        await asyncio.gather(*(child.end() for child in children))

    async def end(self) -> None:
        """End all processes. The first one ends last, because the others talk to it."""
        if not self._children:
            return
        first, *others = self._children
        await asyncio.gather(*(child.end() for child in others))
        await first.end()
        for task in self._tasks:
            task.cancel()

    async def _notice(self, child: Child) -> None:
        error = await child.ended()
        if not self._first_end.done():
            self._first_end.set_result(error)

    async def _read(self, stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # drop a line over MAX_LINE
            if not line:
                return
            try:
                on_line(line.decode("utf-8", "replace").rstrip())
            except Unwritable as error:
                if not self._first_end.done():
                    self._first_end.set_exception(error)
                return
