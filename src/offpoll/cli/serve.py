"""`offpoll serve`: the API, on uvicorn."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Annotated, Any

import typer

from offpoll.cli.access_log import AccessLog, Lines
from offpoll.cli.collector import settle
from offpoll.cli.logs import configure
from offpoll.cli.options import Host, LogLevel, Port, Reference, free_port, start_check
from offpoll.errors import OffpollError

__all__ = ["make", "serve"]

log = logging.getLogger("offpoll.serve")

#: How the server's processes learn what they serve. Not `OFFPOLL_…`: it is no setting.
_REFERENCE, _LEVEL = "_OFFPOLL_SERVE_APP", "_OFFPOLL_SERVE_LOG_LEVEL"

#: Seconds for open requests to finish after SIGTERM. A submit takes milliseconds.
GRACE = 10


def serve(
    app: Reference,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes. Use one per core.")] = 1,
    log_level: LogLevel = "info",
) -> None:
    """Serve the API: submit, fetch, status links, cancel.

    Reads its settings from `OFFPOLL_*` (see `offpoll config`) and AWS's own variables. Before it listens it asks bucket, queue and table
    once: a wrong name, key or permission ends it with exit code 2; if one does not answer, it only warns.

    Behind a proxy, links need the API's address as clients see it: `OFFPOLL_PUBLIC_URL`, or the proxy's `X-Forwarded-Proto` and
    `FORWARDED_ALLOW_IPS`, which lists the trusted proxies.

    Example: `offpoll serve orders:app --host 0.0.0.0 --port 8000 --workers 4`
    """
    import uvicorn

    from offpoll.http.direct import DirectProtocol

    configure(log_level)
    port = free_port(host, port)
    asyncio.run(_check(app))
    os.environ[_REFERENCE], os.environ[_LEVEL] = app, log_level
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends cleanly, then raises the signal again: that is no failure
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    try:
        uvicorn.run(
            "offpoll.cli.serve:make",
            factory=True,
            interface="asgi3",
            http=DirectProtocol,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
    except SystemExit as end:
        if end.code:
            raise OffpollError("the API could not start; the reason is above") from end


def make() -> Any:
    """Make the ASGI application in one of the server's processes."""
    from offpoll.http.asgi import served
    from offpoll.http.fast_path import FastPath
    from offpoll.wiring import async_connect, load_app

    configure(os.environ[_LEVEL])
    reference = os.environ[_REFERENCE]
    api, routes = served(async_connect(load_app(reference)), title=reference.partition(":")[0], started=settle)
    log = AccessLog(api, Lines(sys.stdout.buffer))
    return FastPath(log, routes, answered=log.answered)


async def _check(reference: str) -> None:
    """Connect as the API will, and ask. The connections end with this loop; the server makes its own."""
    from offpoll.wiring import async_connect, load_app

    service = async_connect(load_app(reference))
    try:
        await start_check(service.dependencies.check)
    finally:
        await service.dependencies.close()
