"""A whole service in memory: API, worker, stores and clients on one virtual loop. It needs no port, no thread and no real time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from offpoll.app import Authorize, Offpoll
from offpoll.board import AsyncStatusBoard
from offpoll.client import AsyncClient, Client
from offpoll.dependencies import Dependencies
from offpoll.document_store import MemoryDocumentStore
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.http.endpoint import Endpoint, Request, read_all
from offpoll.queue import SPARE_RECEIVES, MemoryQueue
from offpoll.records import MemoryRecords
from offpoll.service import AsyncService
from offpoll.service_times import MemoryServiceTimes
from offpoll.settings import Settings
from offpoll.testing.virtual import VirtualLoop
from offpoll.work.handle import InProcess
from offpoll.work.heartbeat import HeartbeatTask
from offpoll.work.worker import Ambient, Worker

__all__ = ["API", "System", "system", "virtual_worker"]

T = TypeVar("T")

#: The address of the API in memory.
API = "https://api.invalid"


class MemoryTransport:
    """Carries a client's requests to the endpoint or to the store, by their address."""

    def __init__(self, endpoint: Endpoint, store: MemoryDocumentStore, *, log: list[tuple[str, str, int]]) -> None:
        self._endpoint, self._store, self._log = endpoint, store, log

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        parts = urlsplit(fetch.url)
        headers = {name.lower(): value for name, value in fetch.headers.items()}
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self._store.origin:
            status, fields, body = self._store.answer(fetch.method, fetch.url, headers)
            response = Response(status=status, headers=fields, body=body)
        elif origin == API:
            request = Request(
                method=fetch.method,
                path=parts.path,
                headers={**headers, "host": parts.netloc},
                scheme=parts.scheme,
                read=read_all(fetch.body or b""),
            )
            answer = await self._endpoint.answer(request)
            date = self._store.clock().strftime("%a, %d %b %Y %H:%M:%S GMT")
            named = {name.lower(): value for name, value in answer.headers.items()}
            response = Response(status=answer.status, headers={"date": date, **named}, body=answer.body)
        else:
            return NoAnswer(reason=f"there is nothing at {origin} in this system")
        self._log.append((fetch.method, f"{origin}{parts.path}", response.status))
        return response

    async def close(self) -> None:
        """Close nothing."""


@dataclass(kw_only=True)
class System:
    """A service in memory.

    Attributes:
        client, async_client: offpoll's own clients; use the async one inside `run`.
        store, queue, dead_letters, parking, records, service_times: the stores, to look into.
        service, endpoint: the API's.
        requests: every request of the clients: method, URL without its query, status.
        loop: the virtual loop; `loop.time()` tells how much virtual time has passed.
    """

    loop: VirtualLoop
    store: MemoryDocumentStore
    queue: MemoryQueue
    dead_letters: MemoryQueue
    parking: MemoryQueue
    records: MemoryRecords
    service_times: MemoryServiceTimes
    service: AsyncService
    endpoint: Endpoint
    requests: list[tuple[str, str, int]]
    client: Client
    async_client: AsyncClient

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the system to its end."""
        return self.loop.run_until_complete(main)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def start_worker(self, *, settings: Settings | None = None) -> Worker:
        """Start another worker."""
        worker = self._worker(settings or self.service.settings)
        self._workers.append((worker, self.loop.create_task(worker.run())))
        return worker

    def __post_init__(self) -> None:
        self._workers: list[tuple[Worker, asyncio.Task[None]]] = []
        self._random = random.Random(0)  # noqa: S311 - jitter, the same in every run
        self._tokens = itertools.count(1)

    def _worker(self, settings: Settings) -> Worker:
        loop = self.loop
        ambient = Ambient(clock=loop.now, monotonic=loop.time, random=self._random.random, token=lambda: f"{next(self._tokens):032x}")
        return virtual_worker(self.service, settings=settings, ambient=ambient)

    def _close(self) -> None:
        for worker, _ in self._workers:
            worker.stop()
        tasks = {task for _, task in self._workers}
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
            for task in tasks:
                task.result()


def virtual_worker(service: AsyncService, *, settings: Settings, ambient: Ambient) -> Worker:
    """Return a worker of a service whose heartbeat and handlers share the loop that it runs on."""

    @asynccontextmanager
    async def same() -> AsyncIterator[Dependencies]:
        yield service.dependencies

    return Worker(
        kinds=service.kinds,
        settings=settings,
        dependencies=service.dependencies,
        heartbeat_dependencies=same,
        heartbeat=HeartbeatTask(),
        runner=InProcess(state=service.state, threads=0, result_limit=settings.result_limit, monotonic=ambient.monotonic),
        ambient=ambient,
    )


@contextmanager
def system(app: Offpoll, *, settings: Settings | None = None, workers: int = 1, authorize: Authorize | None = None) -> Iterator[System]:
    """Run a service in memory, on virtual time.

    Args:
        app: the app. API and workers share one lifespan.
        settings: instead of the defaults.
        workers: how many to start at once; 0 to start them later, with `start_worker`.
        authorize: instead of the app's own.
    """
    loop = VirtualLoop()
    stopping = asyncio.Event()
    made = _make(app, settings or Settings(secret="0" * 32), loop, authorize)
    started: asyncio.Future[None] = loop.create_future()

    async def live() -> None:
        async with made.service.running():
            started.set_result(None)
            await stopping.wait()

    living = loop.create_task(live())
    try:
        loop.run_until_complete(_first_of(started, living))
        for _ in range(workers):
            made.start_worker()
        yield made
    finally:
        made._close()
        stopping.set()
        loop.run_until_complete(asyncio.wait({living}))
        _cancel_all(loop)
        loop.close()
        living.result()


def _make(app: Offpoll, settings: Settings, loop: VirtualLoop, authorize: Authorize | None) -> System:
    store = MemoryDocumentStore(clock=loop.now)
    receipts = itertools.count()
    dead_letters, parking = MemoryQueue(receipts=receipts), MemoryQueue(receipts=receipts)
    most = max(kind.attempts for kind in app.kinds(settings).values()) + SPARE_RECEIVES
    queue = MemoryQueue(visibility=settings.lease, dead_letters=dead_letters, max_receives=most, receipts=receipts)
    records, service_times = MemoryRecords(clock=loop.now), MemoryServiceTimes()
    dependencies = Dependencies(
        board=AsyncStatusBoard.of(settings, store=store, clock=loop.now),
        queue=queue,
        dead_letters=dead_letters,
        parking=parking,
        records=records,
        service_times=service_times,
    )
    ids = random.Random(1)  # noqa: S311 - ids, the same in every run
    service = AsyncService(app, settings=settings, dependencies=dependencies, clock=loop.now, random_bytes=ids.randbytes)
    endpoint = Endpoint(service, authorize=authorize)
    requests: list[tuple[str, str, int]] = []
    transport = MemoryTransport(endpoint, store, log=requests)
    jitter = random.Random(2)  # noqa: S311 - jitter, the same in every run
    return System(
        loop=loop,
        store=store,
        queue=queue,
        dead_letters=dead_letters,
        parking=parking,
        records=records,
        service_times=service_times,
        service=service,
        endpoint=endpoint,
        requests=requests,
        client=Client(
            API,
            transport=_BlockingTransport(loop, transport),
            random=jitter.random,
            sleep=lambda seconds: loop.run_until_complete(asyncio.sleep(seconds)),
            monotonic=loop.time,
        ),
        async_client=AsyncClient(API, transport=transport, random=jitter.random),
    )


class _BlockingTransport:
    """The transport of the blocking client. The system goes on while it waits."""

    def __init__(self, loop: VirtualLoop, transport: MemoryTransport) -> None:
        self._loop, self._transport = loop, transport

    def send(self, fetch: Fetch) -> Response | NoAnswer:
        return self._loop.run_until_complete(self._transport.send(fetch))

    def close(self) -> None:
        """Close nothing."""


async def _first_of(*awaitables: Awaitable[Any]) -> None:
    done, _ = await asyncio.wait({asyncio.ensure_future(each) for each in awaitables}, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
