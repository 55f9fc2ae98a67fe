"""The API and the worker of `offpoll dev`: starts them, and starts them again when the app's files change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offpoll.cli.dev.children import Child, Children
from offpoll.cli.dev.display import Display
from offpoll.cli.dev.emulator import listening
from offpoll.cli.work import READY

__all__ = ["HOST", "Changes", "Services"]

HOST = "127.0.0.1"

#: How long the API and the worker may take to start, the app's lifespan included, seconds.
PATIENCE = 60.0

_CLI = "offpoll.cli.main"


@dataclass(frozen=True, kw_only=True)
class Services:
    """What runs beside the embedded AWS.

    Args:
        reference: of the app; empty for no worker.
        api: reference of the user's own API, and its interface; empty for offpoll's.
        access_log: gets the API's lines.
        vital: whether everything ends when one of them does.
    """

    children: Children
    display: Display
    environ: Mapping[str, str]
    port: int
    reference: str
    api: str
    interface: str
    access_log: list[str]
    vital: bool

    @property
    def address(self) -> str:
        """The API's address."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> list[Child]:
        """Start them. Return once each is ready, or has ended although that is not vital."""
        api = await self._start("the API", *self._api(), self._from_api)
        ready = [_unless_ended(api, listening(HOST, self.port, within=PATIENCE, what="the API"))]
        started = [api]
        if self.reference:
            working = asyncio.Event()
            worker = await self._start("the worker", _CLI, ["work", self.reference, "--long-poll", "1"], self._from_worker(working))
            ready.append(_unless_ended(worker, working.wait()))
            started.append(worker)
        await asyncio.gather(*ready)
        if self.vital and not all(child.is_running for child in started):
            await asyncio.Event().wait()  # the wait for the children's end reports it
        return started

    async def follow(self, started: list[Child], changes: Changes) -> int:
        """Start them again at every change. Never returns."""
        async for names in changes:
            self.display.say()
            self.display.say(f"{', '.join(names)} changed", style="bold")
            with self.display.step("starting API and worker again" if self.reference else "starting the API again"):
                await self.children.stop(*started)
                started = await self.start()
            self.are_running(started)
        raise AssertionError("changes never end")

    def are_running(self, started: list[Child]) -> bool:
        """Tell whether none of them has ended, and say which one has."""
        ended = [child for child in started if not child.is_running]
        for child in ended:
            self.display.say(f"{child.name} has ended; the reason is above. It starts again when a Python file changes", style="red")
        return not ended

    def _api(self) -> tuple[str, list[str]]:
        if self.api:
            return "offpoll.cli.dev.own_api", [self.api, self.interface, str(self.port)]
        return _CLI, ["serve", self.reference, "--port", str(self.port)]

    async def _start(self, name: str, module: str, arguments: list[str], on_line: Callable[[str], None]) -> Child:
        return await self.children.start(name, module, arguments, environ=self.environ, on_line=on_line, vital=self.vital)

    def _from_api(self, line: str) -> None:
        self.access_log.append(line)
        self.display.lines_of("api")(line)

    def _from_worker(self, working: asyncio.Event) -> Callable[[str], None]:
        def write(line: str) -> None:
            if READY in line:
                working.set()
            self.display.lines_of("work")(line)

        return write


class Changes:
    """The names of Python files that have changed, each time some have."""

    def __init__(self, folder: Path, *, data: Path) -> None:
        self._folder, self._data = folder, data
        self._found: asyncio.Queue[list[str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Notice changes from now on."""
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)  # the watch begins in the task's first step

    async def __aiter__(self) -> AsyncIterator[list[str]]:
        """Yield them, also those since the beginning."""
        while True:
            yield await self._found.get()

    async def _watch(self) -> None:
        from watchfiles import PythonFilter, awatch

        async for changed in awatch(self._folder, watch_filter=PythonFilter(ignore_paths=[self._data])):
            paths = sorted(Path(path) for _, path in changed)
            names = [str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path) for path in paths]
            self._found.put_nowait(names)


async def _unless_ended(child: Child, ready: Coroutine[Any, Any, object]) -> None:
    """Wait until a process is ready, or has ended."""
    both: list[asyncio.Future[Any]] = [asyncio.ensure_future(ready), asyncio.ensure_future(child.ended())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if both[0].done():
            both[0].result()
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
