"""`offpoll dev`: runs the embedded AWS, the API, a worker and a first operation, and ends them together."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from offpoll.cli.client_options import json_of
from offpoll.cli.dev.environment import FOLDER
from offpoll.cli.dev.plan import Plan
from offpoll.cli.exit_codes import MISUSED, by_signal
from offpoll.errors import ConfigurationError

__all__ = ["dev"]


def dev(
    app: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:APP",
            help="The app, `orders:app`, or a function that makes it, `orders:create_app`. With `--api`: by default the app in its module.",
            show_default=False,
        ),
    ] = "",
    *,
    api: Annotated[
        str,
        typer.Option(
            metavar="MODULE:API",
            help="Run your own API instead of offpoll's: an ASGI application (FastAPI, Starlette, Django), or a WSGI one (Flask, Django).",
            show_default=False,
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="The API's port; by default that of the last run here, else 8000; 0: any.", show_default=False
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start API and worker again when a Python file below this folder changes.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End after the example, with exit code 0 if it succeeded.")] = False,
    example: Annotated[bool, typer.Option(help="Submit an example input of the first kind.")] = True,
    input: Annotated[  # the argument of the handler
        str | None,
        typer.Option("--input", metavar="JSON", help="The example input: JSON, `@FILE`, or `-` for standard input.", show_default=False),
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder for the environment, the secret, the ports and a log.", file_okay=False)] = Path(
        FOLDER
    ),
) -> None:
    """Run everything on this machine: embedded AWS, API, worker, and a first operation to watch.

    The embedded AWS enforces signatures and permissions. The user of API and worker has only the necessary permissions on offpoll's bucket,
    queues and table, and all permissions on other resources, such as your own tables. The embedded AWS starts empty and forgets everything
    at the end. Settings (`OFFPOLL_*`) apply, except for the names of those resources.

    While it runs, `.offpoll/env` holds the environment of API and worker, for a shell (`set -a; . .offpoll/env`) and for `docker run
    --env-file`. `offpoll inspect`, `stats`, `resubmit` and `submit` in this folder find it without being told.

    Ctrl-C ends everything.

    Exit codes: 0 ended by you, or the example succeeded; 1 the example failed, or a process ended by itself; 2 usage or configuration. With
    --once, a signal before the example's end has its own code.

    Example: `offpoll dev orders:app --once`

    Example: `offpoll dev orders:app --api shop:api --reload`
    """
    from offpoll.cli.dev.emulator import require
    from offpoll.cli.logs import configure
    from offpoll.reference import module_of
    from offpoll.settings import Settings

    if api and (once or input is not None):
        raise typer.BadParameter("offpoll does not know how to submit to your own API: leave out --once and --input")
    if not app and not api:
        raise typer.BadParameter("name the app, for example orders:app")
    require(reload=reload)
    configure("warning")
    _without_proxy()
    settings, value = Settings.load(environ=os.environ), "" if input is None else _json_text(input)
    for each in filter(None, (app, api)):
        module_of(each)
    plan = Plan(
        reference=app,
        api=api,
        settings=settings,
        port=port,
        data=data.absolute(),
        once=once,
        example=example and not api,
        value=value,
        reload=reload,
    )
    raise typer.Exit(asyncio.run(_until_told(plan)))


async def _until_told(plan: Plan) -> int:
    """Run until the example is done, a signal comes or a child ends. Then end every child, and remove the environment."""
    from offpoll.cli.dev.children import ChildEnded, Children
    from offpoll.cli.dev.environment import EnvironmentFile
    from offpoll.cli.dev.session import run

    loop, children = asyncio.get_running_loop(), Children()
    told: asyncio.Future[int] = loop.create_future()

    def tell(number: int) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, tell, number)
    secret = _secret(plan.data)
    file = EnvironmentFile.hold(plan.data)
    try:
        return await _first(run(plan, children, file, secret=secret), children.any_ended(), _end_of(told, once=plan.once))
    except ChildEnded as error:
        if error.code == MISUSED:
            raise ConfigurationError(str(error)) from error
        raise
    finally:
        file.remove()
        await children.end()


async def _end_of(told: asyncio.Future[int], *, once: bool) -> int:
    """Wait for a signal to end, and return the exit code: the user has ended a server, or an example before its end."""
    number = await told
    return by_signal(number) if once else 0


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


def _json_text(given: str) -> str:
    import json

    return json.dumps(json_of(given))


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
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1", "localhost")))
    os.environ.update(NO_PROXY=direct, no_proxy=direct)
