"""AWS credentials, and how they are kept fresh.

Decides when they are fetched again and which ones are used meanwhile. Must not know where they come from: a source is a coroutine
function (`aws/chain.py` picks it), nor what is signed with them.

    fetched ──────────────── refresh due ──────── last call ──── expires_at
       │ used                     │ fetched in the     │ fetched     │ refused:
       │                          │ background, used   │ while you   │ DependencyUnavailable
       │                          │ meanwhile          │ wait; old   │
       │                          │                    │ ones if not │
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError
from offpoll.instant import utc_now

__all__ = ["Credentials", "CredentialsProvider", "FetchedCredentials", "StaticCredentials", "complete"]

#: Before the end, from here on credentials are fetched again in the background: 15 min, as botocore's advisory refresh.
REFRESH_BEFORE = timedelta(minutes=15)

#: From here on callers wait for the new ones: 10 min, as botocore's mandatory refresh.
REQUIRE_BEFORE = timedelta(minutes=10)

#: Between a failed refresh and the next one. Sources are not to be hammered by every call that needs credentials.
RETRY_AFTER = timedelta(seconds=2)

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What signs a request.

    Attributes:
        access_key: the public part.
        secret_key: never shown.
        session_token: of temporary credentials, else None.
        expires_at: when they end; None: not known, or never.
    """

    access_key: str
    secret_key: str
    session_token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, secret_key=…, expires_at={self.expires_at!r})"


class CredentialsProvider(Protocol):
    """Credentials, now and without waiting where possible. One provider belongs to one event loop."""

    async def get(self) -> Credentials:
        """Return credentials that work, fetched or refreshed where needed.

        Raises:
            ConfigurationError: there are none, or they are refused, and never were others.
            DependencyUnavailable: their source does not answer, or gives no more, and the old ones have ended.
        """

    def current(self) -> Credentials:
        """Return those fetched last, without I/O. Raises as `get` does, and DependencyUnavailable where `get` never ran."""

    def expire(self, credentials: Credentials) -> None:
        """Note that AWS called these expired: the next `get` fetches others, if it can."""


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Credentials that are simply there, as from environment variables."""

    credentials: Credentials

    async def get(self) -> Credentials:
        return self.credentials

    def current(self) -> Credentials:
        return self.credentials

    def expire(self, credentials: Credentials) -> None:
        """Do nothing: there are no others."""


class FetchedCredentials:
    """Credentials from a source that is asked again before they end. Concurrent callers share one fetch.

    Args:
        fetch: asks the source. Raises ConfigurationError or a DependencyError.
        clock: the wall clock, which `expires_at` is judged against.
        refresh_before: how long before their end others are fetched; at half of their life at the earliest.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credentials]],
        *,
        clock: Callable[[], datetime] = utc_now,
        refresh_before: timedelta = REFRESH_BEFORE,
    ) -> None:
        self._fetch = fetch
        self._refresh_before = refresh_before
        self._clock = clock
        self._last: Credentials | None = None
        self._ever = False
        self._error: OffpollError | None = None
        self._refresh_at = _ALWAYS
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> Credentials:
        now = self._clock()
        if now >= self._refresh_at:
            fetching = self._begin()
            if self._must_wait(now):
                await asyncio.shield(fetching)
        return self.current()

    def current(self) -> Credentials:
        last = self._last
        if last is not None and (last.expires_at is None or self._clock() < last.expires_at):
            return last
        if self._error is not None:
            raise self._error.with_traceback(None)  # kept and raised again and again, it must not collect frames
        why = "have not been fetched yet: await check() once before links are signed" if last is None else "have expired"
        raise DependencyUnavailable("credentials", f"the credentials {why}")

    def expire(self, credentials: Credentials) -> None:
        if self._last is credentials:
            self._last, self._refresh_at = None, _ALWAYS

    def _must_wait(self, now: datetime) -> bool:
        last = self._last
        if last is None or last.expires_at is None:
            return True
        # A refresh that failed is not worth waiting for while the old ones work.
        return now >= last.expires_at or (now >= last.expires_at - REQUIRE_BEFORE and self._error is None)

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        """Fetch once. A failure is kept, and raised by whoever finds no working credentials."""
        try:
            fetched = await self._fetch()
        except OffpollError as error:
            self._error, self._refresh_at = self._told(error), self._clock() + RETRY_AFTER
            return
        self._last, self._error, self._ever = fetched, None, True
        self._refresh_at = _NEVER if fetched.expires_at is None else self._next_refresh(fetched.expires_at)

    def _told(self, error: OffpollError) -> OffpollError:
        """Return a failure as callers are told. A source that answered once is set up right: whatever it says later is an outage."""
        if not self._ever or isinstance(error, DependencyUnavailable):
            return error
        outage = DependencyUnavailable("credentials", f"they ended and could not be renewed: {error}")
        outage.__cause__ = error
        return outage

    def _next_refresh(self, expires_at: datetime) -> datetime:
        """Return when to fetch again: some time before the end, or at half of a shorter life."""
        now = self._clock()
        return max(expires_at - self._refresh_before, now + (expires_at - now) / 2)


def complete(access_key: object, secret_key: object, session_token: object, expires_at: datetime | None, *, source: str) -> Credentials:
    """Build credentials from what a source answered.

    Raises:
        ConfigurationError: a key is missing.
    """
    if not isinstance(access_key, str) or not isinstance(secret_key, str) or not access_key or not secret_key:
        raise ConfigurationError(f"{source} answered without an access key and a secret key")
    token = session_token if isinstance(session_token, str) and session_token else None
    return Credentials(access_key=access_key, secret_key=secret_key, session_token=token, expires_at=expires_at)
