"""Starts, kills, freezes, resumes and ends the processes: the embedded AWS, the API and the workers.

Each process leads its own group and is on a leash (`offpoll.cli.dev`), so none survives this one, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from offpoll.cli.dev.children import Child, ChildEnded, Children
from offpoll.cli.dev.emulator import start_emulator
from offpoll.cli.dev.resources import Resources, make_resources
from offpoll.cli.options import free_port
from offpoll.cli.work import READY
from offpoll.errors import OffpollError
from offpoll.settings import Settings
from proof.chaos.app import ATTEMPTS, FOLDER, WORKER

__all__ = ["Deployment", "Member"]

T = TypeVar("T")

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
APP = "proof.chaos.app:app"

#: Seconds for a process to come up on a busy machine.
PATIENCE = 60.0

#: Seconds between two checks of whether it is up.
CHECK = 0.05

#: The workers and their options. The third runs handlers in child processes, which outlive it for a moment when it is killed.
WORKERS: Mapping[str, tuple[str, ...]] = {"worker-1": (), "worker-2": (), "worker-3": ("--processes", "4")}


@dataclass(kw_only=True)
class Member:
    """One member of the deployment: a process, and those that replace it.

    Args:
        name: for people; its processes are `name.1`, `name.2` …
        arguments: of `offpoll`.
        ready: the text that its log contains once it is up.
        environ: of its processes.
        folder: for its logs.
        ended: set when a process ends that chaos did not kill.
    """

    name: str
    arguments: tuple[str, ...]
    ready: str
    environ: Mapping[str, str]
    folder: Path
    ended: asyncio.Future[ChildEnded]
    generation: int = 0
    _children: Children | None = None
    _child: Child | None = None
    _watch: asyncio.Task[None] | None = None

    @property
    def process(self) -> str:
        """The name of the current process."""
        return f"{self.name}.{self.generation}"

    async def start(self) -> None:
        """Start a process and wait until it is up.

        Raises:
            OffpollError: it did not come up.
        """
        self.generation += 1
        self._children = Children()
        log = self.folder / f"{self.process}.log"
        environ = {**self.environ, WORKER: self.process}
        child = await self._children.start(self.process, "offpoll.cli.main", self.arguments, environ=environ, log=log)
        self._child = child
        self._watch = asyncio.create_task(_notice(child, self.ended))
        for _ in range(int(PATIENCE / CHECK)):
            if self.ready in log.read_text(errors="replace"):
                return
            await asyncio.sleep(CHECK)
        raise OffpollError(f"{self.process} did not come up within {PATIENCE:g} s. Its output is in {log}.")

    async def kill(self) -> None:
        """End its process as a power cut would. Its children find out by themselves."""
        if self._child is None or self._watch is None:
            raise RuntimeError(f"{self.name} was not started")
        self._watch.cancel()
        os.kill(self._child.pid, signal.SIGKILL)
        await self._child.ended()

    async def drain(self) -> int:
        """End its process as a supervisor does, by one SIGTERM, and return its exit code."""
        if self._child is None or self._watch is None:
            raise RuntimeError(f"{self.name} was not started")
        self._watch.cancel()
        os.kill(self._child.pid, signal.SIGTERM)
        return (await self._child.ended()).code

    def freeze(self) -> None:
        """Stop its process and that one's children, as if the machine were paused."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    async def clear(self) -> None:
        """End whatever is left of its process, including children."""
        if self._watch is not None:
            self._watch.cancel()
        if self._children is not None:
            self.resume()  # a frozen process cannot end politely
            await self._children.end()
            self._children = None

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):  # nothing of it is left
                os.killpg(self._child.pid, number)


class _Emulator(Children):
    """The embedded AWS. Remembers its process, so that chaos can freeze it."""

    child: Child | None = None

    async def start(self, name: str, module: str, *rest: Any, **options: Any) -> Child:
        child = await super().start(name, module, *rest, **options)
        self.child = child
        return child


@dataclass(kw_only=True)
class Deployment:
    """All processes. After `start`, always call `end`.

    Args:
        folder: for logs, and for what the handlers write.
        lease: seconds.
        secret: OFFPOLL_SECRET of the processes, so that a seed gives the same operation ids.
    """

    folder: Path
    lease: float
    secret: str
    members: dict[str, Member] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_port(HOST, 0))
    _emulator: _Emulator = field(default_factory=_Emulator)
    _watch: asyncio.Task[None] | None = None
    _ended: asyncio.Future[ChildEnded] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def api(self) -> str:
        """The API's address. It survives restarts, because links lead there."""
        return f"http://{HOST}:{self.port}"

    @property
    def workers(self) -> list[Member]:
        """The workers."""
        return [self.members[name] for name in WORKERS]

    async def start(self) -> Resources:
        """Start everything and return the resources made in the embedded AWS."""
        self.folder.mkdir(parents=True, exist_ok=True)
        endpoint = await start_emulator(self._emulator, self.folder)
        self._watch = asyncio.create_task(_notice(self._emulator.child, self._ended))
        settings = Settings(lease=self.lease)
        resources = await asyncio.to_thread(make_resources, endpoint, settings=settings, attempts=max(ATTEMPTS.values()))
        environ = self._environ(resources)
        self._add("api", ("serve", APP, "--port", str(self.port)), "listening on", environ)
        for name, options in WORKERS.items():
            self._add(name, ("work", APP, *options), READY, environ)
        await asyncio.gather(*(member.start() for member in self.members.values()))
        return resources

    def signal_store(self, number: signal.Signals) -> None:
        """Freeze or resume the embedded AWS: bucket, queues and table at once."""
        if self._emulator.child is not None:
            os.killpg(self._emulator.child.pid, number)

    async def any_ended(self) -> NoReturn:
        """Wait until a process ends that chaos did not kill.

        Raises:
            ChildEnded: always.
        """
        raise await self._ended

    async def finish(self, run: Coroutine[Any, Any, T]) -> T | None:
        """Run to the end, or until a signal (None). Either way, end every process.

        Raises:
            OffpollError: a process did not start, or ended by itself.
        """
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, told.set)
        running: asyncio.Task[T] = asyncio.create_task(run)
        others = [asyncio.create_task(told.wait()), asyncio.create_task(self.any_ended())]
        try:
            await asyncio.wait({running, *others}, return_when=asyncio.FIRST_COMPLETED)
            if others[1].done():
                others[1].result()
            return running.result() if running.done() else None
        finally:
            for task in (running, *others):
                task.cancel()
            await asyncio.gather(running, *others, return_exceptions=True)
            await self.end()

    async def end(self) -> None:
        """End everything, the embedded AWS last."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(member.clear() for member in self.members.values()))
        with suppress(ProcessLookupError):
            self.signal_store(signal.SIGCONT)
        await self._emulator.end()

    def _add(self, name: str, arguments: tuple[str, ...], ready: str, environ: Mapping[str, str]) -> None:
        self.members[name] = Member(name=name, arguments=arguments, ready=ready, environ=environ, folder=self.folder, ended=self._ended)

    def _environ(self, resources: Resources) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
        own = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "AWS_EC2_METADATA_DISABLED": "true",
            "OFFPOLL_SECRET": self.secret,
            "OFFPOLL_LEASE": f"{self.lease:g}",
            "OFFPOLL_BACKOFF": "0.2",
            "OFFPOLL_EXPECTED_SERVICE_TIME": "0.5",
            "OFFPOLL_LATENESS_WEIGHT": "4",
            FOLDER: str(self.folder),
        }
        return {**inherited, **resources.environ(), **own}


async def _notice(child: Child | None, ended: asyncio.Future[ChildEnded]) -> None:
    """Set `ended` when a process ends by itself."""
    if child is None:
        return
    error = await child.ended()
    if not ended.done():
        ended.set_result(error)
