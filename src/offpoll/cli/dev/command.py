"""`offpoll dev`: runs the embedded AWS, the API, a worker and a first operation, and ends them together."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.exit_codes import MISUSED
from offpoll.cli.options import Port, Reference, free_port
from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from offpoll.cli.dev.children import Children
    from offpoll.cli.dev.display import Display
    from offpoll.kind import Kind
    from offpoll.settings import Settings

__all__ = ["dev"]

HOST = "127.0.0.1"

#: How long the API and the worker may take to start, the app's lifespan included, seconds.
PATIENCE = 60.0

_NO_EXAMPLE = """No example to submit: give the input type of {kind!r} one, as
  model_config = ConfigDict(json_schema_extra={{"examples": [{{…}}]}})
or each required field one: Field(examples=[…])."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to start; checked before anything starts. The command's arguments, and the app's kinds: the first is the example's."""

    reference: str
    kinds: list[Kind]
    settings: Settings
    port: int
    data: Path
    once: bool
    example: bool


def dev(
    app: Reference,
    port: Port = 8000,
    once: Annotated[bool, typer.Option("--once", help="End after the example, with exit code 0 if it succeeded.")] = False,
    example: Annotated[bool, typer.Option(help="Submit the example input of the first kind.")] = True,
    data: Annotated[Path, typer.Option(help="Folder for the secret and the embedded AWS's log.", file_okay=False)] = Path(".offpoll"),
) -> None:
    """Run everything on this machine: embedded AWS, API, worker, and a first operation to watch.

    The embedded AWS enforces signatures and permissions. The user of API and worker has only the necessary permissions on offpoll's bucket,
    queues and table, and all permissions on other resources, such as your own tables. The embedded AWS starts empty and forgets everything
    at the end. Settings (`OFFPOLL_*`) apply, except for the names of those resources.

    Ctrl-C ends everything.

    Example: `offpoll dev orders:app --once`
    """
    from offpoll.cli.dev.emulator import require
    from offpoll.cli.logs import configure
    from offpoll.settings import Settings
    from offpoll.wiring import load_app

    require()
    configure("warning")
    _without_proxy()
    settings = Settings.load(environ=os.environ)
    kinds = list(load_app(app).kinds(settings).values())
    plan = Plan(reference=app, kinds=kinds, settings=settings, port=free_port(HOST, port), data=data.absolute(), once=once, example=example)
    raise typer.Exit(asyncio.run(_until_told(plan)))


async def _until_told(plan: Plan) -> int:
    """Run until the example is done, a signal comes or a child ends. Then end every child."""
    from offpoll.cli.dev.children import ChildEnded, Children

    told, children = asyncio.Event(), Children()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        return await _first(_run(plan, children), children.any_ended(), _end_of(told, code=1 if plan.once else 0))
    except ChildEnded as error:
        if error.code == MISUSED:
            raise ConfigurationError(str(error)) from error
        raise
    finally:
        await children.end()


async def _end_of(told: asyncio.Event, *, code: int) -> int:
    """Wait for a signal to end, and return the exit code: a failure only if the user waits for the example."""
    await told.wait()
    return code


async def _first(*running: Coroutine[Any, Any, int]) -> int:
    """Wait for the first to end, cancel the others, and return its exit code."""
    tasks = [asyncio.ensure_future(each) for each in running]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(plan: Plan, children: Children) -> int:
    from offpoll.cli.dev.display import Display
    from offpoll.cli.dev.example import example_input
    from offpoll.cli.dev.tour import Tour, curl_lines

    display = Display()
    api = f"http://{HOST}:{plan.port}"
    access_log: list[str] = []
    await _start(plan, children, display, access_log)
    tour = Tour(api=api, display=display, access_log=access_log)
    kind = plan.kinds[0]
    value = example_input(kind)
    succeeded = True
    if value is None:
        display.say(_NO_EXAMPLE.format(kind=kind.name))
        succeeded = not plan.example
    elif plan.example:
        succeeded = await tour.show(kind.name, value)
    if plan.once:
        return 0 if succeeded else 1
    display.say()
    display.say("Try it:", style="bold")
    for line in curl_lines(api, kind.name, {} if value is None else value, tour.operation_id):
        display.say(f"  {line}")
    display.say(f"  docs: {api}/docs")
    display.say("Ctrl-C ends everything.", style="dim")
    await asyncio.Event().wait()
    return 0


async def _start(plan: Plan, children: Children, display: Display, access_log: list[str]) -> None:
    from offpoll.cli.dev.emulator import listening, start_emulator
    from offpoll.cli.dev.resources import make_resources
    from offpoll.cli.work import READY

    secret = _secret(plan.data)
    with display.step("starting the embedded AWS"):
        endpoint = await start_emulator(children, plan.data)
    with display.step("creating bucket, queues, table and the service's user"):
        attempts = max(kind.attempts for kind in plan.kinds)
        resources = await asyncio.to_thread(make_resources, endpoint, settings=plan.settings, attempts=attempts)
    environ = _environ(resources.environ() | {"OFFPOLL_SECRET": secret})
    working = asyncio.Event()
    api_lines, worker_lines = display.lines_of("api"), display.lines_of("work")

    def from_api(line: str) -> None:
        access_log.append(line)
        api_lines(line)

    def from_worker(line: str) -> None:
        if READY in line:
            working.set()
        worker_lines(line)

    with display.step("starting API and worker"):
        command = "offpoll.cli.main"
        await children.start("the API", command, ["serve", plan.reference, "--port", str(plan.port)], environ=environ, on_line=from_api)
        await children.start("the worker", command, ["work", plan.reference, "--long-poll", "1"], environ=environ, on_line=from_worker)
        await listening(HOST, plan.port, within=PATIENCE, what="the API")
        await working.wait()
    display.say(f"  API http://{HOST}:{plan.port}    object store {endpoint}", style="bold")


def _secret(data: Path) -> str:
    """Return this folder's secret. It is created once, so that idempotency keys keep their meaning; only its owner can read it."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / ".gitignore").write_text("*\n")
    path = data / "secret"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass  # an earlier run created it
    return path.read_text().strip()


def _without_proxy() -> None:
    """Reach loopback without this environment's proxy, here and in the children."""
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST, "localhost")))
    os.environ.update(NO_PROXY=direct, no_proxy=direct)


def _environ(ours: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with `ours` instead of the user's AWS variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **ours}
