"""One run of `offpoll dev`, from the embedded AWS to the first operation."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

from offpoll.cli.dev.children import Children
from offpoll.cli.dev.display import Display
from offpoll.cli.dev.emulator import start_emulator
from offpoll.cli.dev.environment import EnvironmentFile, Ports
from offpoll.cli.dev.look import Found, Question, look
from offpoll.cli.dev.plan import Plan
from offpoll.cli.dev.resources import allow_attempts, make_resources
from offpoll.cli.dev.services import HOST, Changes, Services
from offpoll.cli.dev.tour import Tour, curl_lines
from offpoll.cli.options import free_port
from offpoll.errors import ConfigurationError

__all__ = ["run"]

#: The API's port in a folder where nothing ran before.
PORT = 8000

_NO_EXAMPLE = """No example to submit: pass one with --input, or give the input type of {kind!r} one, as
  model_config = ConfigDict(json_schema_extra={{"examples": [{{…}}]}})
or each required field one: Field(examples=[…])."""


async def run(plan: Plan, children: Children, file: EnvironmentFile, *, secret: str) -> int:
    """Start everything, show the example, and go on until cancelled. Return the exit code of `--once`."""
    display = Display()
    ports = _ports(plan, display)
    environ = await _stores(plan, children, display, file, ports=ports, secret=secret)
    changes = Changes(Path.cwd(), data=plan.data)
    if plan.reload:
        await changes.begin()
    with display.step("loading the app"):
        found = await look(Question(reference=plan.reference, api=plan.api, example=plan.value), environ=environ)
        await _allow(found, environ)
    services = Services(
        children=children,
        display=display,
        environ=environ,
        port=ports.api,
        reference=found.reference,
        api=plan.api,
        interface=found.interface,
        access_log=[],
        vital=not plan.reload,
    )
    with display.step("starting API and worker" if found.reference else "starting the API; it has no app, so no worker"):
        started = await services.start()
    display.say(f"  API {services.address}    object store {environ['AWS_ENDPOINT_URL']}", style="bold")
    succeeded = await _show(plan, found, services) if services.are_running(started) else False
    if plan.once:
        return 0 if succeeded else 1
    _say_how_to_use(display, file, reload=plan.reload)
    if plan.reload:
        return await services.follow(started, changes)
    await asyncio.Event().wait()
    return 0


def _ports(plan: Plan, display: Display) -> Ports:
    """Choose the ports: those of the last run if they are free."""
    before = Ports.of(plan.data)
    api = free_port(HOST, plan.port) if plan.port else _free(before.api or (PORT if plan.port is None else 0), "the API", display)
    ports = Ports(api=api, aws=_free(before.aws, "the embedded AWS", display))
    if not plan.once:
        ports.keep(plan.data)
    return ports


def _free(port: int, what: str, display: Display) -> int:
    try:
        return free_port(HOST, port)
    except ConfigurationError:
        other = free_port(HOST, 0)
        display.say(f"port {port} is taken: {what} gets {other}", style="yellow")
        return other


async def _stores(
    plan: Plan, children: Children, display: Display, file: EnvironmentFile, *, ports: Ports, secret: str
) -> Mapping[str, str]:
    """Start the embedded AWS, create what a service needs, and write the environment. Return that of API and worker."""
    with display.step("starting the embedded AWS"):
        endpoint = await start_emulator(children, plan.data, port=ports.aws)
    with display.step("creating bucket, queues, table and the service's user"):
        resources = await asyncio.to_thread(make_resources, endpoint, settings=plan.settings, attempts=plan.settings.attempts)
    own = {**resources.environ(), "OFFPOLL_SECRET": secret, "AWS_EC2_METADATA_DISABLED": "true"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    chosen = {name: value for name, value in kept.items() if name.startswith("OFFPOLL_")}
    about = f"offpoll dev {plan.reference} --api {plan.api}" if plan.api else f"offpoll dev {plan.reference}"
    left_out = file.write({**chosen, **_direct(kept), **own}, about=f"{about}: process {os.getpid()}, http://{HOST}:{ports.api}")
    if left_out:
        display.say(f"{file.path.name} lacks {', '.join(left_out)}: a shell and docker would read the value differently", style="yellow")
    return {**kept, **own}


def _direct(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that lead to loopback without a proxy, if there is a proxy."""
    proxied = any(environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"))
    return {name: environ[name] for name in ("NO_PROXY", "no_proxy")} if proxied else {}


async def _allow(found: Found, environ: Mapping[str, str]) -> None:
    """Let the queue deliver as often as the kind with the most attempts needs."""
    if found.kinds:
        await asyncio.to_thread(allow_attempts, environ, max(kind.attempts for kind in found.kinds))


async def _show(plan: Plan, found: Found, services: Services) -> bool:
    """Show the example, and how to do it by hand. Return whether it succeeded."""
    if plan.api:
        return True
    display, kind = services.display, found.kinds[0]
    tour = Tour(api=services.address, display=display, access_log=services.access_log)
    succeeded = not plan.example
    if not kind.example:
        display.say(_NO_EXAMPLE.format(kind=kind.name))
    elif plan.example:
        succeeded = await tour.show(kind.name, json.loads(kind.example))
    if not plan.once:
        display.say()
        display.say("Try it:", style="bold")
        for line in curl_lines(services.address, kind.name, json.loads(kind.example or "{}"), tour.operation_id):
            display.say(f"  {line}")
        display.say(f"  docs: {services.address}/docs")
    return succeeded


def _say_how_to_use(display: Display, file: EnvironmentFile, *, reload: bool) -> None:
    path = os.path.relpath(file.path)
    display.say()
    display.say("Use the same stores in other programs, while this runs:", style="bold")
    display.say(f"  set -a; . {path if '/' in path else f'./{path}'}; set +a")
    display.say(f"  docker run --network host --env-file {path} …")
    if reload:
        display.say("API and worker start again when a Python file changes.", style="dim")
    display.say("Ctrl-C ends everything.", style="dim")
