"""The app that a user writes: it registers handlers, and knows no stores, HTTP or workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from offpoll.arguments import need
from offpoll.errors import ConfigurationError
from offpoll.kind import Kind
from offpoll.operation import Operation
from offpoll.settings import Settings

__all__ = ["Authorize", "Caller", "Offpoll"]

Handler = TypeVar("Handler", bound=Callable[..., Any])
Lifespan = Callable[["Offpoll"], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """What is known about a caller before the body is read.

    Attributes:
        method, path: of the request.
        headers: names in lowercase. Not in `repr`: they may carry credentials.
        claims: what an authorizer in front of the API has verified, as API Gateway passes it on; empty if there is none. Callers can
            set headers, but not claims.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


#: Returns the owner, or raises Unauthorized or Forbidden: the body is not read then, and nothing is enqueued.
Authorize = Callable[[Caller], Awaitable[str]]


class Offpoll:
    """An app: its kinds of operations, and what surrounds their handlers.

    Args:
        lifespan: `@asynccontextmanager async def lifespan(app): …; yield state`. Every process enters it, API and worker (with
            `--processes`, each child); what it yields is `operation.state`.
        authorize: returns the owner that a caller is: `async def authorize(caller) -> str`. It raises Unauthorized or Forbidden to refuse a
            caller. Without it all callers are one owner, `public`.
    """

    def __init__(self, *, lifespan: Lifespan | None = None, authorize: Authorize | None = None) -> None:
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
            timeout: seconds one attempt may take; after that the operation is `failed` (`timed_out`).
            attempts: how many attempts an operation gets when its handler raises or its worker dies.
            lateness_weight: how many polls it is worth to learn of the end earlier: by one second (`4`), or by the expected duration
                (`"30/duration"`).
            show_result: show the result in the status document. Off by default: a document holds nothing sensitive.

        Raises:
            ConfigurationError: the name is taken or not valid, a limit is out of range, or the signature is not a handler's.
        """
        given = {"timeout": timeout, "attempts": attempts, "lateness_weight": lateness_weight, "show_result": show_result}
        limits = {name: value for name, value in given.items() if value is not None}

        def register(handler: Handler) -> Handler:
            if isinstance(kind, str) and kind in self._kinds:
                raise ConfigurationError(f"the kind {kind!r} has two handlers")
            self._kinds[kind] = Kind.of(kind, handler, **limits)
            return handler

        return register

    def fetch(self, kind: str) -> Callable[[Handler], Handler]:
        """Register a hook that answers `GET /{kind}/{id}` for a succeeded operation.

        It takes the Operation and returns the object, or None. Without a hook the recorded result is the answer, until the record expires.
        """

        need(kind, str, what="fetch takes the name of a kind")

        def register(hook: Handler) -> Handler:
            self._fetches[kind] = hook
            return hook

        return register

    def kinds(self, settings: Settings) -> dict[str, Kind]:
        """Return the kinds by name. Limits that a decorator leaves out come from the settings.

        Raises:
            ConfigurationError: there is no kind, or a fetch hook has no handler.
        """
        if not self._kinds:
            raise ConfigurationError('the app has no operations: decorate a handler with @app.operation("…")')
        unknown = self._fetches.keys() - self._kinds.keys()
        if unknown:
            raise ConfigurationError(f"a fetch hook is registered for {sorted(unknown)}, but no handler")
        filled = (kind.filled(settings) for kind in self._kinds.values())
        return {kind.name: kind.with_fetch(self._fetches.get(kind.name)) for kind in filled}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        """Enter the lifespan and yield its state."""
        if self._lifespan is None:
            yield None
        else:
            async with self._lifespan(self) as state:
                yield state
