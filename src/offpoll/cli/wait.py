"""`offpoll wait`: waits for an operation that was submitted here or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from offpoll.cli.client_options import AsJson, Ca, Headers, Proxy, Timeout, headers_of, text_of
from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from offpoll.ticket import Ticket

__all__ = ["wait"]


def wait(
    operation: Annotated[
        str,
        typer.Argument(
            metavar="TICKET|URL",
            help="A ticket's file, `-` for one on standard input, the operation's address, or a status link (in quotes).",
            show_default=False,
        ),
    ],
    *,
    api: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The API's address, if the operation names another.", show_default=False),
    ] = None,
    header: Headers = None,
    timeout: Timeout = 300.0,
    proxy: Proxy = None,
    ca: Ca = None,
    json_: AsJson = False,
) -> None:
    """Wait for an operation, and print its result as JSON.

    Standard error shows the progress. On a terminal that is a bar with the handler's message, the expected end, the time of the next poll
    and the number of polls; elsewhere it is a line for each change. Ctrl-C ends the wait, not the operation, and shows how to wait on.

    Credentials go only to the API that the command line names: with `--header`, a ticket or a status link needs `--api` too.

    `--json` prints one object instead, however the operation ends: outcome (succeeded, failed, canceled, timed_out, refused, unavailable),
    operation_id, kind, status, result, error, message, polls, api_requests, seconds.

    Exit codes: 0 succeeded; 1 failed; 2 usage, configuration, or an unreadable ticket; 3 canceled; 4 the time is up, the operation goes on;
    5 the API refused, or is not an offpoll API; 6 no response in time; 130 interrupted, the operation goes on.

    Example: `offpoll wait ticket.json --timeout 60`

    Example: `offpoll wait http://127.0.0.1:8000/order/5f2b0c8e9d3a47618c1f0e6b7a92d450 --json | jq .result`
    """
    from offpoll.cli.waiting import Found, run, wait_for
    from offpoll.cli.watch import Watch
    from offpoll.client import AsyncClient
    from offpoll.client.flows import api_of, api_of_url

    auth = headers_of(header)
    watch = Watch(quiet=json_)
    found = Found("Wait on with the same command")
    is_url = operation.startswith(("http://", "https://"))
    saved = None if is_url else _saved(operation)
    named = api or (api_of_url(operation) if is_url else None)
    if auth is not None and named is None:
        of = None if saved is None else api_of(saved.document)
        example = "" if of is None else f"; the ticket is of {of}"
        raise ConfigurationError(f"credentials go only to the API that the command line names: add --api URL{example}")

    def client(base_url: str) -> AsyncClient:
        own = auth if named is not None else None
        return AsyncClient(base_url, auth=own, proxy=proxy, ca=ca, on_request=watch.requested, on_wait=watch.waiting)

    async def main() -> None:
        ticket = saved
        if ticket is None:
            async with client(named or _origin(operation)) as opening:
                ticket = await opening.resume(operation)
        base_url = named or api_of(ticket.document) or _origin(ticket.link.href)
        shown = operation if saved is not None and operation != "-" else f"{base_url.rstrip('/')}/{ticket.kind}/{ticket.operation_id}"
        found.again = f"Wait on with: offpoll wait {shown}"
        async with client(base_url) as waiting:
            await wait_for(waiting, ticket, timeout=timeout, found=found, watch=watch, as_json=json_)

    run(main, found=found, watch=watch, as_json=json_)


def _saved(path: str) -> Ticket:
    """Read a saved ticket.

    Raises:
        ConfigurationError: there is none, or another version saved it.
    """
    from offpoll.ticket import Ticket

    try:
        return Ticket.from_json(text_of(path))
    except ValueError as error:
        raise ConfigurationError(f"{'standard input' if path == '-' else path}: {error}") from error


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"
