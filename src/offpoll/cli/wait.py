"""`offpoll wait`: waits for an operation that was submitted here or elsewhere."""

from __future__ import annotations

from offpoll.cli.client_options import AsJson, Ca, Headers, Proxy, Timeout, headers_of
from offpoll.cli.references import Api, Operation, Subject

__all__ = ["wait"]


def wait(
    operation: Operation,
    *,
    api: Api = None,
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
    import asyncio

    from offpoll.cli.waiting import Found, run, wait_for
    from offpoll.cli.watch import Watch
    from offpoll.client import AsyncClient, Ticket

    subject = Subject.of(operation, api=api, headers=headers_of(header))
    watch = Watch(quiet=json_)
    found = Found("Wait on with the same command")

    async def main() -> None:
        reference = subject.known_now(asyncio.get_running_loop().time())
        ticket = reference if isinstance(reference, Ticket) else None
        if ticket is None:
            async with client(subject.base_url) as opening:
                with watch.asking(subject.base_url):
                    ticket = await opening.resume(reference)
        found.again = f"Wait on with: offpoll wait {subject.again(ticket)}"
        async with client(subject.api_of(ticket)) as waiting:
            await wait_for(waiting, ticket, timeout=timeout, found=found, watch=watch, as_json=json_)

    def client(base_url: str) -> AsyncClient:
        return AsyncClient(
            base_url,
            headers=subject.headers,
            proxy=proxy,
            ca=ca,
            on_request=watch.requested,
            on_wait=watch.waiting,
            on_trouble=watch.trouble,
        )

    run(main, found=found, watch=watch, as_json=json_)
