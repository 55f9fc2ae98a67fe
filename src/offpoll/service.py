"""What a user writes (`Offpoll`) and what an API does with it (`Service`). Knows protocols, no adapters, and no HTTP."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from offpoll.context import Middleware, Operation
from offpoll.dependencies import Dependencies
from offpoll.document import Document
from offpoll.errors import ConfigurationError, InputTooLarge, OperationNotFound
from offpoll.fitting import base_url_that_fits
from offpoll.forecast import Forecast
from offpoll.instant import utc_now
from offpoll.keyed_hash import KeyedHash
from offpoll.kind import Kind, canonical
from offpoll.link import StatusLink
from offpoll.metrics import OPERATIONS_ACCEPTED
from offpoll.operation import PUBLIC, is_owner
from offpoll.poll_plan import MAX_PAUSE
from offpoll.readiness import Readiness
from offpoll.settings import Settings
from offpoll.trace import carried

if TYPE_CHECKING:
    from offpoll.blocking import BlockingService
    from offpoll.http.auth import Authorize
    from offpoll.inquire import Order
    from offpoll.ticket import Ticket

__all__ = ["Offpoll", "Service"]

Handler = TypeVar("Handler", bound=Callable[..., Any])
Lifespan = Callable[["Offpoll"], AbstractAsyncContextManager[Any]]


class Offpoll:
    """A service: its kinds of operations, and what surrounds their handlers.

    Args:
        lifespan: `@asynccontextmanager async def lifespan(app): …; yield state`. Entered in every process, API and worker (with
            `--processes`, in each child); what it yields is `operation.state`.
        middleware: each wraps every handler call, outermost first: `async def middleware(operation, call_next)`.
        authorize: from a caller to an owner, for the API: `async def authorize(caller) -> str`, which raises Unauthorized or Forbidden
            where there is none. Without it all callers are one owner, `public`.
    """

    def __init__(
        self, *, lifespan: Lifespan | None = None, middleware: Sequence[Middleware] = (), authorize: Authorize | None = None
    ) -> None:
        self.middleware: tuple[Middleware, ...] = tuple(middleware)
        self.authorize = authorize
        self._lifespan = lifespan
        self._kinds: dict[str, Kind] = {}
        self._fetches: dict[str, Callable[[Operation], Any]] = {}

    def operation(
        self,
        kind: str,
        *,
        timeout: float | None = None,
        attempts: int | None = None,
        lateness_weight: float | str | None = None,
        show_result: bool | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register a handler for a kind of operation. The handler stays the plain, typed function it is.

        Args:
            kind: its name, and its path in the API: `order` → `POST /order`.
            timeout: seconds one attempt may take; over it the operation is `failed` (`timed_out`).
            attempts: how many an operation gets when its handler raises or its worker dies.
            lateness_weight: how many polls it is worth to learn earlier that an operation is done: by one second (`4`), or by as long
                as it is expected to take (`"30/duration"`).
            show_result: publish the result in the status document. Off: a document holds nothing sensitive.

        Raises:
            ConfigurationError: the name is taken or cannot be used, a limit is out of range, or the signature is not a handler's.
        """
        given = {"timeout": timeout, "attempts": attempts, "lateness_weight": lateness_weight, "show_result": show_result}
        limits = {name: value for name, value in given.items() if value is not None}

        def register(handler: Handler) -> Handler:
            if kind in self._kinds:
                raise ConfigurationError(f"the kind {kind!r} has two handlers")
            self._kinds[kind] = Kind.of(kind, handler, **limits)
            return handler

        return register

    def fetch(self, kind: str) -> Callable[[Handler], Handler]:
        """Register what answers `GET /{kind}/{id}` for a succeeded operation: it is given the Operation and returns the object, or None.

        Without one the recorded result is the answer, until the record expires.
        """

        def register(hook: Handler) -> Handler:
            self._fetches[kind] = hook
            return hook

        return register

    def kinds(self, settings: Settings) -> dict[str, Kind]:
        """Return the kinds, with the settings' limits where a decorator said none.

        Raises:
            ConfigurationError: there is none, or a fetch hook belongs to none.
        """
        if not self._kinds:
            raise ConfigurationError('the service has no operations: decorate a handler with @app.operation("…")')
        unknown = self._fetches.keys() - self._kinds.keys()
        if unknown:
            raise ConfigurationError(f"a fetch hook is registered for {sorted(unknown)}, which no handler is")
        filled = (kind.filled(settings) for kind in self._kinds.values())
        return {kind.name: kind.with_fetch(self._fetches.get(kind.name)) for kind in filled}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        """Enter the lifespan, and yield its state."""
        if self._lifespan is None:
            yield None
        else:
            async with self._lifespan(self) as state:
                yield state


def lifetime(settings: Settings, kinds: Mapping[str, Kind]) -> float:
    """Return the seconds after which a record counts as absent: the window plus the longest operation.

    Raises:
        ConfigurationError: the documents would be deleted before their records expire.
    """
    longest = settings.record_window + max(kind.timeout for kind in kinds.values())
    if longest >= settings.document_window:
        raise ConfigurationError(
            f"records would live {longest:g} s (the window plus the longest timeout), documents only {settings.document_window:g} s: raise "
            " OFFPOLL_DOCUMENT_WINDOW and the bucket's lifecycle rule"
        )
    return longest


class Service:
    """A service connected to its stores: what an API calls. Make it with `offpoll.connect(app)`.

    Args:
        app: the service. settings: its settings. dependencies: for the loop it is used on.
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
        from offpoll.inquire import Inquiry  # noqa: PLC0415 - workers register handlers too, and their cold start needs no API
        from offpoll.resubmit import Resubmitter  # noqa: PLC0415 - the same
        from offpoll.submit import Submitter  # noqa: PLC0415 - the same
        from offpoll.ticket import Ticket  # noqa: PLC0415 - the same

        settings.need("secret")
        self.app = app
        self.settings = settings
        self.dependencies = dependencies
        self.kinds = app.kinds(settings)
        self.state: Any = None
        self._make_ticket = Ticket
        self._clock = clock
        self._readiness = Readiness()
        self._blocking: BlockingService | None = None
        self._making = threading.Lock()
        board, records, lived = dependencies.board, dependencies.records, lifetime(settings, self.kinds)
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
        self._inquiry = Inquiry(board=board, records=records, lifetime=lived, clock=clock, state=lambda: self.state)

    @property
    def blocking(self) -> BlockingService:
        """The same service for code that does not await. Use one face or the other: connections belong to one event loop."""
        with self._making:  # threads that meet here must share one loop
            if self._blocking is None:
                from offpoll.blocking import BlockingService  # noqa: PLC0415 - a function's cold start needs none

                self._blocking = BlockingService(self)
            return self._blocking

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Enter the app's lifespan; close the connections at the end."""
        try:
            async with self.app.running() as self.state:
                yield self
        finally:
            await self.dependencies.close()

    async def submit(
        self,
        kind: str,
        input: Any,
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
            input: bytes are JSON as a client sent it; anything else is an object of the handler's input type, or its JSON form.
            owner: whose it is, 1 to 256 printable characters.
            idempotency_key: the same key and input give the same operation.
            base_url: the API's own address, for links, of which a longer one than 400 characters gives none; `public_url` beats it.
            traceparent, tracestate: the caller's trace (W3C Trace Context); dropped where they are not one.

        Returns:
            The ticket: `body` and `headers` of the 202 answer.

        Raises:
            OperationNotFound: no such kind. InvalidJSON, InvalidInput, KeyReused, InvalidIdempotencyKey: nothing was enqueued.
            DependencyUnavailable: the effect is unknown; the same key finishes the job.
            DependencyRefused: a store or queue said no.
            ValueError: `base_url` is not a URL.
        """
        known = self.kind(kind)
        body = canonical(input) if isinstance(input, bytes) else known.dump_input(input)
        known.parse(body)
        self._check(owner, body)
        base_url = self.settings.public_url.rstrip("/") or base_url.rstrip("/")
        base_path = urlsplit(base_url).path  # before anything is created: it raises ValueError where this is no URL
        traceparent, tracestate = carried(traceparent, tracestate)
        stored = await self._submitter.submit(
            kind,
            body,
            owner=owner,
            idempotency_key=idempotency_key,
            base_url=base_url_that_fits(base_url),
            lateness_weight=known.lateness_weight,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        self.dependencies.metrics.count(OPERATIONS_ACCEPTED, kind=kind)
        return self._make_ticket(
            document=stored.document,
            link=self.dependencies.board.link(
                self.dependencies.board.key(stored.document.id, owner=owner), estimate=stored.document.estimate
            ),
            location=f"{base_path}/{kind}/{stored.document.id}",
            retry_after=self.retry_after(stored.document),
            operation_location=self.settings.operation_location,
        )

    async def order(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Order:
        """Return an operation and, where it succeeded, its result. See `Inquiry.order`."""
        return await self._inquiry.order(self.kind(kind), operation_id, owner=owner)

    async def status_link(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> StatusLink:
        """Return a fresh status link. See `Inquiry.status_link`."""
        return await self._inquiry.status_link(self.kind(kind), operation_id, owner=owner)

    async def cancel(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Cancel an operation. See `Inquiry.cancel`."""
        return await self._inquiry.cancel(self.kind(kind), operation_id, owner=owner)

    async def resubmit(self, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Submit a failed operation's input again, as a new operation. See `Resubmitter.resubmit`."""
        return await self._resubmitter.resubmit(operation_id, owner=owner)

    async def ready(self) -> None:
        """Ask store, queue and records a cheap question, at most every few seconds. Raises the first thing that is wrong."""
        await self._readiness.ask(self.dependencies.check)

    def kind(self, name: str) -> Kind:
        """Return a kind by its name, or raise OperationNotFound."""
        try:
            return self.kinds[name]
        except KeyError:
            raise OperationNotFound(f"There is no kind {name!r} here.") from None

    def retry_after(self, document: Document) -> int:
        """Return whole seconds until the first poll is worth it; 0 where the operation is done."""
        if document.done or document.poll is None:
            return 0 if document.done else 1
        wait = (document.poll.not_before - self._clock()).total_seconds()
        return max(1, math.ceil(min(MAX_PAUSE, wait if wait > 0 else document.poll.interval)))

    def _check(self, owner: str, body: str) -> None:
        if not is_owner(owner):
            raise ConfigurationError(f"an owner is 1 to 256 printable characters, not {owner!r}: check what `authorize` returns")
        size = len(body) if body.isascii() else len(body.encode())
        if size > self.settings.input_limit:
            raise InputTooLarge(f"The input has {size} bytes as JSON, the limit is {self.settings.input_limit}.")
