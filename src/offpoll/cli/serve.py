"""`offpoll serve`: the API, on uvicorn."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.access_log import AccessLog, Lines
from offpoll.cli.api_processes import run_here, run_workers
from offpoll.cli.collector import settle
from offpoll.cli.logs import configure, form
from offpoll.cli.options import Host, LogLevel, Port, Reference, free_port, start_check
from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from offpoll.http.proxies import TrustedProxies

__all__ = ["make", "serve"]

log = logging.getLogger("offpoll.serve")

#: How the server's processes learn what they serve. Not `OFFPOLL_…`: it is no setting.
_REFERENCE, _LEVEL, _ROOT_PATH = "_OFFPOLL_SERVE_APP", "_OFFPOLL_SERVE_LOG_LEVEL", "_OFFPOLL_SERVE_ROOT_PATH"

#: Seconds that an idle connection stays open, as in nginx. A load balancer that keeps connections for longer (an ALB: 60 s) would now and
#: then send a request into one that is just being closed, and answer 502.
KEEP_ALIVE = 75


def _root_path(value: str) -> str:
    path = value.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise typer.BadParameter("a path such as /v1: letters, digits, . _ ~ -, in parts that begin with /")
    return path


def serve(  # noqa: PLR0917 - typer makes options of them
    app: Reference,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes. Use one per core.")] = 1,
    keep_alive: Annotated[
        int, typer.Option(min=1, help="Seconds an idle connection stays open. Set it above the load balancer's.")
    ] = KEEP_ALIVE,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", callback=_root_path, help="Path of the API behind a proxy, such as `/v1`.")
    ] = "",
    log_level: LogLevel = "info",
) -> None:
    """Serve the API: submit, fetch, status links, cancel.

    Reads its settings from `OFFPOLL_*` (see `offpoll config`) and AWS's own variables. Before it listens it asks bucket, queue and table
    once: a wrong name, key or permission ends it with exit code 2; if one does not answer, it only warns.

    Behind a proxy, links need the API's address as clients see it: `OFFPOLL_PUBLIC_URL`, or the proxy's `X-Forwarded-Proto` and
    `X-Forwarded-Host`. `FORWARDED_ALLOW_IPS` lists the trusted proxies; `--root-path` names the path that they publish the API under.

    Example: `offpoll serve orders:app --host 0.0.0.0 --port 8000 --workers 4`
    """
    import uvicorn  # noqa: F401 - a missing extra shows before anything else

    configure(log_level)
    port = free_port(host, port)
    trusted()
    asyncio.run(_check(app))
    os.environ[_REFERENCE], os.environ[_LEVEL], os.environ[_ROOT_PATH] = app, log_level, root_path
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    if workers == 1:
        run_here(make, host=host, port=port, timeout_keep_alive=keep_alive)
    else:
        run_workers(make, workers, host=host, port=port, log_level=log_level, timeout_keep_alive=keep_alive)


def make(started: Callable[[], None]) -> Any:
    """Make the ASGI application in one of the server's processes. `started` is called once its lifespan is entered."""
    from offpoll.http.asgi import served
    from offpoll.http.fast_path import FastPath
    from offpoll.http.proxies import BehindProxies
    from offpoll.wiring import async_connect, load_app

    configure(os.environ[_LEVEL])
    reference = os.environ[_REFERENCE]

    def begin() -> None:
        settle()
        started()

    api, routes = served(async_connect(load_app(reference)), title=reference.partition(":")[0], started=begin)
    log = AccessLog(api, Lines(sys.stdout.buffer, as_json=form() == "json"))
    app = FastPath(log, routes, answered=log.answered)
    return BehindProxies(app, trusted=trusted(), root_path=os.environ[_ROOT_PATH])


def trusted() -> TrustedProxies:
    """Return the trusted proxies, from the variable that uvicorn and gunicorn read too."""
    from offpoll.http.proxies import TrustedProxies

    try:
        return TrustedProxies(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"))
    except ValueError as error:
        raise ConfigurationError(f"FORWARDED_ALLOW_IPS: {error}") from error


async def _check(reference: str) -> None:
    """Connect as the API will, and ask. The connections end with this loop; the server makes its own."""
    from offpoll.wiring import async_connect, load_app

    service = async_connect(load_app(reference))
    try:
        await start_check(service.dependencies.check)
    finally:
        await service.dependencies.close()
