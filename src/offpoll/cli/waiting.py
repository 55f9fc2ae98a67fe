"""Runs a wait on the command line, from the ticket to the exit code (`exit_codes.BY_OUTCOME`)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

import typer

from offpoll.cli.exit_codes import BY_OUTCOME, INTERRUPTED, MISUSED
from offpoll.cli.standard_streams import Unwritable
from offpoll.errors import ApiError, ApiUnavailable, ClientError, InvalidInput, OperationCanceled, OperationFailed, WaitTimeout

if TYPE_CHECKING:
    from offpoll.cli.watch import Watch
    from offpoll.client import AsyncClient
    from offpoll.ticket import Ticket

__all__ = ["Found", "run", "wait_for"]

_OUTCOMES: tuple[tuple[type[ClientError], str], ...] = (
    (OperationFailed, "failed"),
    (OperationCanceled, "canceled"),
    (WaitTimeout, "timed_out"),
    (ApiUnavailable, "unavailable"),
    (ApiError, "refused"),
)


class Found:
    """A command's operation so far. It tells the user how to continue, whenever the command ends.

    Attributes:
        ticket: None until there is one.
        again: says how to go on waiting, without any secret.
    """

    def __init__(self, again: str) -> None:
        self.ticket: Ticket | None = None
        self.again = again


def run(main: Callable[[], Coroutine[Any, Any, None]], *, found: Found, watch: Watch, as_json: bool) -> None:
    """Run a command's coroutine, and end the command with its exit code.

    Raises:
        ConfigurationError: an argument is unusable.
        Exit: in every other case.
    """
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        _say(f"interrupted; the operation goes on. {found.again}" if found.ticket is not None else f"interrupted. {found.again}")
        raise typer.Exit(INTERRUPTED) from None
    except Unwritable as error:
        error.add_note(found.again)
        raise
    except ClientError as error:
        outcome = next(word for kind, word in _OUTCOMES if isinstance(error, kind))
        if as_json:
            _print(_fields(outcome, found=found, watch=watch, error=error))
        _say("\n".join([str(error), *getattr(error, "__notes__", ())]))
        if isinstance(error, WaitTimeout):
            _say(found.again)
        raise typer.Exit(BY_OUTCOME[outcome]) from None
    except InvalidInput as error:  # JSON text in a string, or NaN: nothing was sent
        _say(f"usage: {error}")
        raise typer.Exit(MISUSED) from None
    raise typer.Exit(0)


async def wait_for(client: AsyncClient, ticket: Ticket, *, timeout: float, found: Found, watch: Watch, as_json: bool) -> None:
    """Wait while showing the progress, and print the result."""
    found.ticket = ticket
    with watch.following(ticket):
        result = await client.wait(ticket, timeout=None if timeout == inf else timeout, on_update=watch.updated)
    _print(_fields("succeeded", found=found, watch=watch, result=result) if as_json else result)


def _fields(outcome: str, *, found: Found, watch: Watch, error: ClientError | None = None, result: Any = None) -> dict[str, Any]:
    document = watch.document or (None if found.ticket is None else found.ticket.document)
    return {
        "outcome": outcome,
        "operation_id": None if document is None else document.id,
        "kind": None if document is None else document.kind,
        "status": None if document is None else document.status,
        "result": result,
        "error": error.error if isinstance(error, OperationFailed) else None,
        "message": None if error is None else str(error),
        "polls": watch.polls,
        "api_requests": watch.api_requests,
        "seconds": round(watch.seconds, 3),
    }


def _print(value: Any) -> None:
    print(json.dumps(value, indent=2), flush=True)


def _say(text: str) -> None:
    from offpoll.cli.watch import printable

    for line in text.splitlines():
        print(f"offpoll: {printable(line)}", file=sys.stderr)
