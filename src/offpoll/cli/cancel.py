"""`offpoll cancel`: cancels an operation that was submitted here or elsewhere."""

from __future__ import annotations

from offpoll.cli.client_options import AsJson, Ca, Headers, Proxy, headers_of
from offpoll.cli.references import Api, Operation, Subject

__all__ = ["cancel"]


def cancel(
    operation: Operation,
    *,
    api: Api = None,
    header: Headers = None,
    proxy: Proxy = None,
    ca: Ca = None,
    json_: AsJson = False,
) -> None:
    """Cancel an operation.

    Its worker learns of it within seconds, and stops the handler. What it did until then stays done. Cancelling again is harmless.

    Credentials go only to the API that the command line names: with `--header`, a ticket or a status link needs `--api` too.

    Prints one line on standard error, and with `--json` the operation's document on standard output.

    Exit codes: 0 canceled; 2 usage, configuration, or an unreadable ticket; 5 the API refused: the operation has ended, or is not known;
    6 no response in time; 130 interrupted, nobody knows whether it was canceled.

    Example: `offpoll cancel ticket.json`

    Example: `offpoll cancel http://127.0.0.1:8000/order/5f2b0c8e9d3a47618c1f0e6b7a92d450`
    """
    import json
    import sys

    from offpoll.cli.waiting import Found, run
    from offpoll.cli.watch import Watch
    from offpoll.client import AsyncClient

    subject = Subject.of(operation, api=api, headers=headers_of(header))
    watch = Watch(quiet=json_)
    found = Found("It may have been canceled: cancel it again with the same command")

    async def main() -> None:
        async with AsyncClient(
            subject.base_url, headers=subject.headers, proxy=proxy, ca=ca, on_request=watch.requested, on_trouble=watch.trouble
        ) as client:
            with watch.asking(subject.base_url):
                document = await client.cancel(subject.reference)
        if json_:
            print(json.dumps(document.to_dict(), indent=2), flush=True)
        print(f"offpoll: operation {document.id} is {document.status}", file=sys.stderr)

    run(main, found=found, watch=watch, as_json=json_)
