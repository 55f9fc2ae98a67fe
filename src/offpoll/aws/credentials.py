"""AWS credentials, and when to fetch new ones.

A source of credentials is a coroutine function, which `aws/chain.py` picks.

    fetched ──────────────── refresh due ──────── REQUIRE_BEFORE ──── expires_at
       │ used                     │ fetched in the     │ callers wait    │ an error:
       │                          │ background; the    │ for new ones;   │ DependencyUnavailable
       │                          │ old ones are used  │ if that fails,  │
       │                          │ meanwhile          │ the old ones    │

While offpoll uses the old ones and gets no new ones, it logs that. The platform's credentials do not end here: its metadata services hand
out expired ones while they cannot renew them, and AWS still accepts those. So offpoll still uses them, and AWS decides.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError
from offpoll.instant import utc_now

__all__ = ["Credentials", "CredentialsProvider", "FetchedCredentials", "StaticCredentials", "complete"]

#: How long before their end new credentials are fetched in the background: 15 min, as in botocore's advisory refresh.
REFRESH_BEFORE = timedelta(minutes=15)

#: How long before their end callers wait for new ones: 10 min, as in botocore's mandatory refresh.
REQUIRE_BEFORE = timedelta(minutes=10)

#: Pause after a failed refresh, so that calls in need of credentials do not hammer the source.
RETRY_AFTER = timedelta(seconds=2)

#: How much longer expired credentials of the platform are used: 10 min and up to 10 min more, at random, as in
#: botocore's extension. When half of that time has passed, they are fetched again.
EXTENSION = timedelta(minutes=10)

#: How long callers wait for a source that does not answer, seconds: as long as for a whole call to AWS.
PATIENCE = 10.0

#: How often the log says that credentials cannot be renewed.
WARN_EVERY = timedelta(minutes=5)

log = logging.getLogger(__name__)

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """An access key that signs requests.

    Attributes:
        access_key: the public part.
        secret_key: never shown.
        session_token: only temporary credentials have one.
        expires_at: when they end; None if never, or not known.
        extensible: whether AWS may still accept them after they expire, as it does with the platform's (static stability).
    """

    access_key: str
    secret_key: str
    session_token: str | None = None
    expires_at: datetime | None = None
    extensible: bool = field(default=False, compare=False)

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, secret_key=…, expires_at={self.expires_at!r})"


class CredentialsProvider(Protocol):
    """Gives credentials, if possible without waiting. One provider serves one event loop at a time."""

    async def get(self) -> Credentials:
        """Return working credentials; fetch or refresh them if needed.

        Raises:
            ConfigurationError: the source has none or refuses, and never gave any.
            DependencyUnavailable: the source does not respond or stopped giving credentials, and the old ones have ended.
        """

    def current(self) -> Credentials:
        """Return the last fetched credentials, without I/O. Raises as `get` does, and DependencyUnavailable if `get` never ran."""

    def expire(self, credentials: Credentials) -> None:
        """Note that AWS called these expired: the next `get` fetches new ones, if it can."""


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Fixed credentials, as from environment variables."""

    credentials: Credentials

    async def get(self) -> Credentials:
        return self.credentials

    def current(self) -> Credentials:
        return self.credentials

    def expire(self, credentials: Credentials) -> None:
        """Do nothing: there are no others."""


class FetchedCredentials:
    """Fetches credentials from a source, and again before they end. Concurrent callers share one fetch.

    Args:
        fetch: asks the source. Raises ConfigurationError or a DependencyError.
        clock: the wall clock that `expires_at` refers to.
        refresh_before: how long before their end to fetch new ones, but not before half of their life is over.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credentials]],
        *,
        clock: Callable[[], datetime] = utc_now,
        refresh_before: timedelta = REFRESH_BEFORE,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._fetch = fetch
        self._refresh_before = refresh_before
        self._clock = clock
        self._random = random
        self._last: Credentials | None = None
        self._refused = False
        self._fetched_once = False
        self._error: OffpollError | None = None
        self._refresh_at = self._warn_at = _ALWAYS
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> Credentials:
        now = self._clock()
        if now >= self._refresh_at:
            fetching = self._begin()
            if self._must_wait(now):
                await asyncio.wait({fetching}, timeout=PATIENCE)
                if not fetching.done() and self._usable() is None:
                    raise DependencyUnavailable("credentials", f"their source has not responded for {PATIENCE:g} s")
        return self.current()

    def current(self) -> Credentials:
        usable = self._usable()
        if usable is not None:
            return usable
        if self._error is not None:
            raise self._error.with_traceback(None)  # the same error is raised many times: without this it would collect frames
        never = "have not been fetched yet: await check() once before links are signed"
        raise DependencyUnavailable("credentials", f"the credentials {never if self._last is None else 'have expired'}")

    def expire(self, credentials: Credentials) -> None:
        if self._last is credentials and not self._refused:
            self._refused, self._refresh_at = True, _ALWAYS
            if not credentials.extensible:
                self._last = None

    def _usable(self) -> Credentials | None:
        last = self._last
        return last if last is not None and (last.expires_at is None or self._clock() < last.expires_at) else None

    def _must_wait(self, now: datetime) -> bool:
        last = self._last
        if last is None or last.expires_at is None or self._refused:
            return True
        # After a failed refresh, callers do not wait for the next one while the old credentials work.
        return now >= last.expires_at or (now >= last.expires_at - REQUIRE_BEFORE and self._error is None)

    def _begin(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        if self._fetching is None or self._fetching.done() or self._fetching.get_loop() is not loop:  # that loop's fetch is not ours
            self._fetching = loop.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        """Fetch once. Keep a failure: `current` raises it when no credentials work."""
        try:
            fetched = await self._fetch()
        except Exception as error:  # a source may raise anything: no caller knows its libraries' errors
            self._fail(error)
        else:
            self._keep(fetched)

    def _keep(self, fetched: Credentials) -> None:
        now, last = self._clock(), self._last
        self._error, self._fetched_once = None, True
        if self._refused and last is not None and (last.access_key, last.session_token) == (fetched.access_key, fetched.session_token):
            self._refresh_at = now + RETRY_AFTER  # AWS refused these, and the source has no others yet
            return
        if fetched.extensible and fetched.expires_at is not None and fetched.expires_at <= now:
            self._warn(now, "the platform still hands out credentials that expired at %s; using them", fetched.expires_at)
            fetched = self._extended(fetched, now)
        self._last, self._refused = fetched, False
        self._refresh_at = _NEVER if fetched.expires_at is None else self._next_refresh(fetched.expires_at)

    def _fail(self, error: Exception) -> None:
        now, last = self._clock(), self._last
        self._error, self._refresh_at = self._classified(error), now + RETRY_AFTER
        if last is not None and last.extensible and last.expires_at is not None and last.expires_at <= now:
            self._last = self._extended(last, now)
        if self._usable() is not None:
            self._warn(now, "the credentials could not be renewed; still using the old ones: %s", self._error)

    def _extended(self, credentials: Credentials, now: datetime) -> Credentials:
        return replace(credentials, expires_at=now + EXTENSION * (1 + self._random()))

    def _warn(self, now: datetime, text: str, about: object) -> None:
        if now >= self._warn_at:
            self._warn_at = now + WARN_EVERY
            log.warning(text, about)

    def _classified(self, error: Exception) -> OffpollError:
        """Return the error that callers get. A source that worked once is set up correctly: its later failures are outages."""
        if isinstance(error, OffpollError) and (not self._fetched_once or isinstance(error, DependencyUnavailable)):
            return error
        said = str(error) if isinstance(error, OffpollError) else f"{type(error).__name__}: {error}"
        why = "they have expired and could not be renewed" if self._fetched_once else "their source failed"
        outage = DependencyUnavailable("credentials", f"{why}: {said}")
        outage.__cause__ = error
        return outage

    def _next_refresh(self, expires_at: datetime) -> datetime:
        """Return when to fetch again: `refresh_before` the end, but not in the first half of the credentials' life."""
        now = self._clock()
        return max(expires_at - self._refresh_before, now + (expires_at - now) / 2, now + RETRY_AFTER)


#: What HTTP headers and signatures can carry.
_PLAIN = re.compile("[!-~]+")


def complete(
    access_key: object,
    secret_key: object,
    session_token: object,
    expires_at: datetime | None,
    *,
    source: str,
    extensible: bool = False,
) -> Credentials:
    """Build credentials from the fields of a source's response.

    Raises:
        ConfigurationError: a key is missing, or has a space or a line break.
    """
    if not isinstance(access_key, str) or not isinstance(secret_key, str) or not access_key or not secret_key:
        raise ConfigurationError(f"{source} answered without an access key and a secret key")
    token = session_token if isinstance(session_token, str) and session_token else None
    for name, value in (("access key", access_key), ("secret key", secret_key), ("session token", token)):
        if value is not None and not _PLAIN.fullmatch(value):
            raise ConfigurationError(f"the {name} of {source} has a space, a line break or another character that no key has: remove it")
    return Credentials(access_key=access_key, secret_key=secret_key, session_token=token, expires_at=expires_at, extensible=extensible)
