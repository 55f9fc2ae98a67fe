"""An app connected to its stores: what an API calls. Knows protocols, no adapters, and no HTTP."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from offpoll.app import Offpoll
from offpoll.cached import Readiness
from offpoll.dependencies import Dependencies
from offpoll.document import Document
from offpoll.errors import ConfigurationError, InputTooLarge, OperationNotFound
from offpoll.forecast import Forecast
from offpoll.instant import utc_now
from offpoll.keyed_hash import KeyedHash
from offpoll.kind import Kind, record_lifetime
from offpoll.limits import base_url_that_fits
from offpoll.link import StatusLink
from offpoll.metrics import OPERATIONS_ACCEPTED
from offpoll.object_json import NO_INPUT
from offpoll.operation import PUBLIC, is_owner
from offpoll.poll_plan import MAX_PAUSE
from offpoll.queue import carried
from offpoll.settings import Settings

if TYPE_CHECKING:
    from offpoll.lookup import Snapshot
    from offpoll.ticket import Ticket

__all__ = ["AsyncService"]


class AsyncService:
    """An app connected to its stores: what an API awaits. Make one with `offpoll.async_connect(app)`.

    Args:
        app: what to serve. settings: its settings. dependencies: for the loop it is used on.
        clock, random_bytes: the wall clock and randomness.
    """

    def __init__(
        self,
        app: Offpoll,
        *,
        settings: Settings,
        dependencies: Dependencies,
        clock: Callable[[], datetime] = utc_now,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        from offpoll.lookup import Lookup  # noqa: PLC0415 - workers register handlers too, and their cold start needs no API
        from offpoll.resubmit import Resubmitter  # noqa: PLC0415 - the same
        from offpoll.submit import Submitter  # noqa: PLC0415 - the same
        from offpoll.ticket import Ticket  # noqa: PLC0415 - the same

        settings.need("secret")
        self.app = app
        self.settings = settings
        self.dependencies = dependencies
        self.kinds = app.kinds(settings)
        self.state: Any = None
        self._closed = False
        self._make_ticket = Ticket
        self._clock = clock
        self._readiness = Readiness(clock=clock)
        board, records, lived = dependencies.board, dependencies.records, record_lifetime(settings, self.kinds)
        forecast = Forecast.of(settings, queue=dependencies.queue, service_times=dependencies.service_times, kinds=self.kinds, clock=clock)
        self._submitter = Submitter(
            board=board,
            queue=dependencies.queue,
            forecast=forecast,
            secret=KeyedHash(settings.secret.encode()),
            lifetime=lived,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._resubmitter = Resubmitter(
            records=records, board=board, submitter=self._submitter, kinds=self.kinds, public_url=settings.public_url.rstrip("/")
        )
        self._lookup = Lookup(board=board, records=records, lifetime=lived, clock=clock, state=lambda: self.state)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncService]:
        """Enter the app's lifespan; close the connections at the end. Later calls raise ConfigurationError, unless you enter this again."""
        self._closed = False
        try:
            async with self.app.running() as self.state:
                yield self
        finally:
            self._closed = True
            await self.dependencies.close()

    async def submit(
        self,
        kind: str,
        input: Any = NO_INPUT,
        *,
        owner: str = PUBLIC,
        idempotency_key: str | None = None,
        base_url: str = "",
        traceparent: str = "",
        tracestate: str = "",
    ) -> Ticket:
        """Accept an operation.

        Args:
            kind: a registered kind.
            input: bytes are JSON as a client sent it; anything else is an object of the handler's input type, or its JSON form. An object
                that would not reach the handler unchanged is refused. Leave it out for a handler without input.
            owner: whose it is, 1 to 256 printable characters.
            idempotency_key: the same key and input give the same operation.
            base_url: the API's own address, for links, none if it is longer than 400 characters; `public_url` beats it.
            traceparent, tracestate: the caller's trace (W3C Trace Context); dropped if they are not valid.

        Returns:
            The ticket: `body` and `headers` of the 202 answer.

        Raises:
            OperationNotFound: no such kind. InvalidJSON, InvalidInput, KeyReused, InvalidIdempotencyKey: nothing was enqueued.
            DependencyUnavailable: the effect is unknown; the same key finishes the job.
            DependencyRefused: a store or queue said no.
            ValueError: `base_url` is not a URL.
        """
        known = self.kind(kind)
        if isinstance(input, bytes):
            body = known.accept(input)
        else:
            known.parse(body := known.dump_input(input))
        self._check(owner, body)
        if not isinstance(base_url, str):
            raise ConfigurationError("base_url is the API's address, or empty")
        base_url, base_path = _address(self.settings.public_url or base_url)  # before anything is created: it may raise
        traceparent, tracestate = carried(traceparent, tracestate)
        document, key = await self._submitter.submit(
            kind,
            body,
            owner=owner,
            idempotency_key=idempotency_key,
            base_url=base_url,
            lateness_weight=known.lateness_weight,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        self.dependencies.metrics.count(OPERATIONS_ACCEPTED, kind=kind)
        return self._make_ticket(
            document=document,
            link=self.dependencies.board.link(key, estimate=document.estimate),
            location=f"{base_path}/{kind}/{document.id}",
            retry_after=self.retry_after(document),
            operation_location=self.settings.operation_location,
        )

    async def get(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Snapshot:
        """Return an operation and, if it succeeded, its result. A document that lags behind its record is repaired. See `Lookup.find`."""
        found = await self.find(kind, operation_id, owner=owner)
        await found.repair()
        return found

    async def find(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Snapshot:
        """Return an operation as `get` does, and leave the repair to the caller, who can answer first: `await snapshot.repair()`."""
        return await self._lookup.find(self.kind(kind), operation_id, owner=owner)

    async def status_link(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> StatusLink:
        """Return a fresh status link. See `Lookup.status_link`."""
        return await self._lookup.status_link(self.kind(kind), operation_id, owner=owner)

    async def cancel(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Cancel an operation. See `Lookup.cancel`."""
        return await self._lookup.cancel(self.kind(kind), operation_id, owner=owner)

    async def resubmit(self, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Submit a failed operation's input again, as a new operation. See `Resubmitter.resubmit`."""
        self._refuse_if_closed()
        return await self._resubmitter.resubmit(operation_id, owner=owner)

    async def ready(self) -> None:
        """Ask store, queue and records a cheap question, at most every few seconds. Raises the first thing that is wrong."""
        self._refuse_if_closed()
        await self._readiness.ask(self.dependencies.check)

    def kind(self, name: str) -> Kind:
        """Return a kind by its name, or raise OperationNotFound."""
        self._refuse_if_closed()
        try:
            return self.kinds[name]
        except (KeyError, TypeError):  # for example a list, which is never a name
            raise OperationNotFound(f"There is no kind {name!r} here.") from None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ConfigurationError("this service was closed at the end of `running()`; enter that again, or make another service")

    def retry_after(self, document: Document) -> int:
        """Return whole seconds until the first poll is worth it; 0 if it is done."""
        if document.done or document.poll is None:
            return 0 if document.done else 1
        now = max(self._clock(), document.updated_at)  # a document from the future: its writer's clock is ahead of ours
        wait = (document.poll.not_before - now).total_seconds()
        return max(1, math.ceil(min(MAX_PAUSE, wait if wait > 0 else document.poll.interval)))

    def _check(self, owner: str, body: str) -> None:
        if not is_owner(owner):
            raise ConfigurationError(f"an owner is 1 to 256 printable characters, not {owner!r}: check what `authorize` returns")
        size = len(body) if body.isascii() else len(body.encode())
        if size > self.settings.input_limit:
            raise InputTooLarge(f"The input has {size} bytes as JSON, the limit is {self.settings.input_limit}.")


@lru_cache(maxsize=64)  # a service has few addresses
def _address(base_url: str) -> tuple[str, str]:
    """Return an API's own address, empty if it is too long for a document, and the path in it.

    Raises:
        ValueError: it is not a URL.
    """
    base_url = base_url.rstrip("/")
    return base_url_that_fits(base_url), urlsplit(base_url).path
