"""A scripted API and store for clients, and one interface to the blocking and the async client, on virtual time."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from offpoll.client import AsyncClient, Client, WaitResult
from offpoll.document import Document, PollHint
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.link import StatusLink
from offpoll.testing.virtual import run_virtual
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
ORDER = {"total": 5}
SELF = f"GET /order/{ID}"
STORE = "GET /status/1"
BROKEN = NoAnswer(reason="connection reset")


def unavailable(status: int = 503, **headers: str) -> Response:
    """Return an outage's response."""
    return Response(status=status, headers=headers, body=b"")


@dataclass
class World:
    """Gives scripted answers: for each `METHOD /path`, one after another, and then the last one again."""

    now: float = 0.0
    api: str = "https://api.test"
    link: str = "https://store.test/status/1?signature=old"
    seen: list[Fetch] = field(default_factory=list)
    script: dict[str, list[Any]] = field(default_factory=dict)
    closed: int = 0

    def on(self, request: str, *answers: Any) -> None:
        self.script[request] = list(answers)

    def answer(self, fetch: Fetch) -> Response | NoAnswer:
        self.seen.append(fetch)
        path = "/" + fetch.url.split("?")[0].split("/", 3)[3]
        answers = self.script[f"{fetch.method} {path}"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer() if callable(answer) else answer

    @property
    def steps(self) -> list[str]:
        return [f"{fetch.method} {fetch.to}" for fetch in self.seen]

    def document(self, status: str = "queued", **fields: Any) -> Document:
        own = f"{self.api}/order/{ID}"
        made = Document(
            id=ID,
            kind="order",
            status=status,
            revision={"queued": 1, "running": 2}.get(status, 3),
            created_at=NOW,
            updated_at=NOW,
            poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=2.0) if status in ("queued", "running") else None,
            links={"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"},
        )
        return replace(made, **fields)

    def ticket(self, **fields: Any) -> Ticket:
        link = StatusLink(href=self.link, expires_at=NOW + timedelta(hours=1))
        return replace(Ticket(document=self.document(), link=link, location=f"/order/{ID}", retry_after=10, answered_at=NOW), **fields)

    def accepted(self) -> Response:
        ticket = self.ticket()
        headers = {name.lower(): value for name, value in ticket.headers.items()}
        return Response(status=202, headers={**headers, "date": "Tue, 01 Jan 2030 00:00:00 GMT"}, body=json.dumps(ticket.body).encode())

    def shows(self, document: Document, status: int = 200) -> Response:
        return Response(status=status, headers={"content-type": "application/json", "etag": '"1"'}, body=document.to_bytes())

    def json(self, value: Any, status: int = 200, **headers: str) -> Response:
        return Response(status=status, headers={"content-type": "application/json", **headers}, body=json.dumps(value).encode())


class _Sync:
    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        return self._world.answer(fetch)

    def close(self) -> None:
        self._world.closed += 1


class _Async:
    def __init__(self, world: World) -> None:
        self._world = world

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        return self._world.answer(fetch)

    async def close(self) -> None:
        self._world.closed += 1


class SyncFace:
    """The sync client, whose waiting advances the world's time."""

    def __init__(self, world: World, **options: Any) -> None:
        def sleep(seconds: float) -> None:
            world.now += seconds

        options = {"random": lambda: 0.5, "transport": _Sync(world), "sleep": sleep, "monotonic": lambda: world.now, **options}
        self.client = Client(world.api, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def polled(self, ticket: Ticket, **options: Any) -> list[Document]:
        return list(self.client.poll(ticket, **options))

    def completed(self, tickets: Iterable[Ticket], **options: Any) -> list[WaitResult[Any]]:
        return list(self.client.as_completed(tickets, **options))


class AsyncFace:
    """The async client, which runs each call on a new virtual loop."""

    def __init__(self, world: World, **options: Any) -> None:
        self._world = world
        self.client = AsyncClient(world.api, **{"random": lambda: 0.5, "transport": _Async(world), **options})

    def _run(self, call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            import asyncio

            loop = asyncio.get_running_loop()
            try:
                return await call()
            finally:
                self._world.now += loop.time()

        return run_virtual(main())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        assert inspect.iscoroutinefunction(method)

        def call(*arguments: Any, **options: Any) -> Any:
            result = self._run(lambda: method(*arguments, **options))
            # Each call has its own loop here, and `received` is a time on one loop only.
            return replace(result, received=None) if isinstance(result, Ticket) else result

        return call

    def polled(self, ticket: Ticket, **options: Any) -> list[Document]:
        async def collect() -> list[Document]:
            return [document async for document in self.client.poll(ticket, **options)]

        return self._run(collect)

    def completed(self, tickets: Iterable[Ticket], **options: Any) -> list[WaitResult[Any]]:
        async def collect() -> list[WaitResult[Any]]:
            return [waited async for waited in self.client.as_completed(tickets, **options)]

        return self._run(collect)
