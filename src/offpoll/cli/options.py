"""The shared arguments and options of commands, and the checks before a start."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

import typer

from offpoll.cli.logs import LEVELS
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.operation import is_operation_id, is_owner

__all__ = ["Host", "LogLevel", "OperationId", "Owner", "Port", "Reference", "free_port", "start_check"]

log = logging.getLogger("offpoll.start")

Reference: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:APP",
        help="The app, `orders:app`, or a function that makes it, `orders:create_app`. Python looks in the current folder too.",
        show_default=False,
    ),
]
Host: TypeAlias = Annotated[str, typer.Option(help="Address to listen on; `0.0.0.0` in a container.")]
Port: TypeAlias = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 picks a free one.")]


def _level(value: str) -> str:
    if value.lower() not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}")
    return value.lower()


def _operation_id(value: str) -> str:
    if not is_operation_id(value):
        raise typer.BadParameter("an operation id is 32 lowercase hex digits")
    return value


def _owner(value: str) -> str:
    if not is_owner(value):
        raise typer.BadParameter("an owner is 1 to 256 printable characters")
    return value


OperationId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", callback=_operation_id, help="The operation's id: 32 hex digits.", show_default=False)
]
Owner: TypeAlias = Annotated[
    str, typer.Option(metavar="OWNER", callback=_owner, help="The operation's owner, as `authorize` returned it for the caller.")
]
LogLevel: TypeAlias = Annotated[str, typer.Option(callback=_level, help="debug, info, warning or error.")]


async def start_check(*checks: Callable[[], Awaitable[object]]) -> None:
    """Check each dependency once, before the service starts.

    An outage does not prevent the start: until it is over, the API responds 503 and workers wait.

    Raises:
        ConfigurationError, DependencyRefused: a name, a permission or a key is wrong, and somebody has to fix it.
    """
    results = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, DependencyUnavailable):
            raise error
    for error in errors:
        log.warning("%s; starting anyway, because it may come back", error)


def free_port(host: str, port: int) -> int:
    """Return the port to listen on: the given one, or a free one for 0.

    Raises:
        ConfigurationError: another process uses the port, or this machine lacks the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = f"cannot listen on {host}:{port}: {error.strerror}"
            raise ConfigurationError(f"{why}. Choose another with --port, or 0 for a free one") from error
        return int(probe.getsockname()[1])
