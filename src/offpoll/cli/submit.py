"""`offpoll submit`: submits an operation to any offpoll API, and waits for it with `--wait`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from offpoll.cli.client_options import AsJson, Ca, Headers, Proxy, Timeout, headers_of, json_of
from offpoll.errors import ConfigurationError

__all__ = ["submit"]


def submit(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="The API's address, such as `https://api.example.com`. Leave it out where an `offpoll dev` runs.",
            show_default=False,
        ),
    ],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The operation's kind, such as `order`.", show_default=False)] = "",
    *,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="JSON",
            help="The input: JSON, `@FILE`, or `-` for standard input. Leave it out if the kind takes no input.",
        ),
    ] = "{}",
    header: Headers = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key and input give the same operation, even days later.", show_default=False),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operation, and print its result.")] = False,
    timeout: Timeout = 300.0,
    proxy: Proxy = None,
    ca: Ca = None,
    json_: AsJson = False,
) -> None:
    """Submit an operation under an idempotency key, yours or a new one. While the API is unavailable, the command repeats the request.

    Prints the operation's address, which `offpoll wait` accepts. `--json` prints the ticket instead; `offpoll wait` accepts a file with it.
    The ticket contains the status link, so keep it secret. With `--wait` it waits, and prints the same as `offpoll wait`.

    Exit codes: 0 accepted, with --wait succeeded; 1 failed; 2 usage or configuration; 3 canceled; 4 the time is up, the operation goes on;
    5 the API refused; 6 no response. If the API may have accepted it, repeat it with the key that is shown; 130 interrupted.

    Example: `offpoll submit http://127.0.0.1:8000 order -d '{"sku": "A1", "quantity": 2}' --wait`

    Example: `offpoll submit $API order -d @order.json -H "Authorization: Bearer $TOKEN" --json > ticket.json`
    """
    from offpoll.cli.dev.environment import running_api
    from offpoll.cli.waiting import Found, run, wait_for
    from offpoll.cli.watch import Watch
    from offpoll.client import AsyncClient
    from offpoll.client.flows import new_key

    if not kind:
        if "://" in url:
            raise ConfigurationError(f"name the kind too, for example: offpoll submit {url} order -d '{{}}'")
        here = running_api()
        if here is None:
            raise ConfigurationError("name the API's address, such as https://api.example.com: no offpoll dev runs in this folder")
        url, kind = here, url
    key = new_key() if idempotency_key is None else idempotency_key
    value, headers = json_of(data), headers_of(header)
    watch = Watch(quiet=json_)
    found = Found(f"It may have been accepted: repeat it with --idempotency-key {key}")

    async def main() -> None:
        async with AsyncClient(
            url,
            headers=headers,
            proxy=proxy,
            ca=ca,
            on_request=watch.requested,
            on_wait=watch.waiting,
            on_trouble=watch.trouble,
        ) as client:
            with watch.asking(url):
                ticket = await client.submit(kind, value, idempotency_key=key)
            own = f"{url.rstrip('/')}/{ticket.kind}/{ticket.operation_id}"
            found.ticket, found.again = ticket, f"Wait on with: offpoll wait {own}"
            if wait:
                await wait_for(client, ticket, timeout=timeout, found=found, watch=watch, as_json=json_)
                return
        print(ticket.to_json() if json_ else own)
        print(f"offpoll: {ticket.document.status}. {found.again}", file=sys.stderr)

    run(main, found=found, watch=watch, as_json=json_)
