"""Makes one signed HTTP call to AWS: signs, retries, keeps the deadline, and translates errors.

call ─► sign ─► send ─┬─ a response ─────────────────────► AwsResponse (also 4xx: the adapter knows what it means)
          ▲           ├─ ExpiredToken, once: new credentials ───┐
          │           ├─ 5xx, throttled, no response ─► budget? time left? attempts left?
          │           │                                 │ yes: wait       │ no
          └───────────┴─────────────────────────────────┘                 └─► DependencyUnavailable
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from offpoll.aws.connections import Connections, Unreachable, Unsendable
from offpoll.aws.credentials import Credentials, CredentialsProvider
from offpoll.aws.retry import EXPIRED, MAX_ATTEMPTS, delay, is_throttle, is_transient, stated_delay
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.instant import utc_now
from offpoll.loops import HomeLoop
from offpoll.network.tls import tls_context
from offpoll.proxies import proxy_for

if TYPE_CHECKING:
    from offpoll.aws.transport import ByProxy

__all__ = ["DEADLINE", "TRY_TIMEOUT", "Wire"]

#: Seconds for one call with all its tries. An API that accepts a request must respond while its caller still waits.
DEADLINE = 10.0

#: Seconds for one try. A store that has not responded by then has lost the request.
TRY_TIMEOUT = 5.0

#: Error statuses that adapters handle: neither a retry nor new credentials would change them.
_FINAL = frozenset({404, 412})


class Wire:
    """Makes signed calls. A wire belongs to one event loop at a time; when that ends, its connections are closed.

    Args:
        credentials: gives the credentials that sign.
        clock: the wall clock, for signatures.
        monotonic: seconds, for deadlines and for the store's time.
        random: numbers from 0 to 1, for backoffs; tests pass one that returns 0, and do not wait.
        certificates: PEM of authorities to trust in addition to the system's.
        proxied: whether the environment names a proxy. Calls to this machine, and to what NO_PROXY lists, bypass it.
        environ: names the proxy.
        attempts: tries of one call, the first included.
    """

    def __init__(
        self,
        credentials: CredentialsProvider,
        *,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
        certificates: bytes | None = None,
        proxied: bool = False,
        environ: Mapping[str, str] = os.environ,
        attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self.credentials = credentials
        self.clock = clock
        self.monotonic = monotonic
        self._random = random
        self._certificates = certificates
        self._proxied = proxied
        self._environ = environ
        self._attempts = attempts
        self._connections: dict[str, Connections | ByProxy] = {}
        self._context: ssl.SSLContext | None = None
        self._home = HomeLoop()

    async def call(
        self,
        service: AwsService,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        query: str = "",
        deadline: float = DEADLINE,
        try_timeout: float = TRY_TIMEOUT,
    ) -> AwsResponse:
        """Make one call.

        Args:
            service: the service to call.
            method, path: as `PUT`; quoted.
            headers, body: names in lower case, all of them signed; the whole body.
            query: quoted and sorted.
            deadline, try_timeout: seconds for all tries and the pauses between them; for one try.

        Returns:
            The response, including an error that repeating would not cure.

        Raises:
            DependencyUnavailable: no usable response came in time. The effect is unknown.
            ConfigurationError: there are no credentials, HTTP cannot express the request, or the wire belongs to another event loop.
        """
        if self._home.loop is not (loop := asyncio.get_running_loop()):
            await self._move(loop)
        request = _Request(service, method, path, query, headers, body, try_timeout, self.monotonic() + deadline)
        failures, spent, renewed = 0, 0, False
        while True:
            outcome = await self._try(request, renew=not renewed)
            if isinstance(outcome, AwsResponse):
                service.budget.succeed(spent)
                return outcome
            if outcome.renewed:
                renewed = True
                continue
            failures += 1
            spent = await self._pause(request, outcome, failures)

    async def back_off(
        self, service: AwsService, *, failures: int, throttled: bool, end: float, stated: float = 0.0, timed_out: bool = False
    ) -> int:
        """Wait before another try.

        Args:
            service: pays for the try from its budget.
            failures: tries that failed so far.
            throttled, timed_out: why the last one did.
            end: when the call must have ended, monotonic.
            stated: how long the service asks to wait, seconds.

        Returns:
            The tokens that the try costs; 0, at once, if too many tries failed, or no time or tokens are left.
        """
        pause = max(stated, delay(failures, throttled=throttled, random=self._random))
        if failures >= self._attempts or self.monotonic() + pause >= end:
            return 0
        spent = service.budget.spend(timed_out=timed_out)
        if spent:
            await asyncio.sleep(pause)
        return spent

    async def close(self) -> None:
        """Close all connections. The wire can still be used: it opens new ones."""
        connections, self._connections = list(self._connections.values()), {}
        for each in self._home.own(connections):
            await each.close()

    async def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to another event loop, with new connections, which close with it."""
        left = list(self._connections.values())
        ended, self._connections = left if self._home.move(loop, left=left) else [], {}
        for each in ended:
            with suppress(RuntimeError):  # the loop that they were open on is closed
                await each.close()
        await self._home.close_with_it(self.close)

    async def _try(self, request: _Request, *, renew: bool) -> AwsResponse | _Failure:
        """Try once. Return the response to hand to the caller, or why another try may help."""
        credentials = await self.credentials.get()
        sent = self.monotonic()
        signed, timeout = self._signed(request, credentials), max(0.001, min(request.try_timeout, request.end - sent))
        connections = self._connections.get(request.service.endpoint.origin) or self._connect(request.service)
        try:
            received = await connections.exchange(request.method, request.target, signed, request.body, timeout=timeout)
        except Unsendable as error:
            raise ConfigurationError(f"{request.service.label}: {request.method} {request.path!r} cannot be sent: {error}") from error
        except Unreachable as error:
            return _Failure(why=f"gave no answer: {error}", timed_out=error.timed_out, cause=error)
        response = AwsResponse(*received, sent, self.monotonic())
        if response.status < 400 or response.status in _FINAL:
            return _damage(request, response) or response
        code = response.fault.code
        if code in EXPIRED and renew:
            self.credentials.expire(credentials)
            return response if await self.credentials.get() is credentials else _Failure(why=code, renewed=True)
        return _failure(response) if is_transient(response.status, code) else response

    def _signed(self, request: _Request, credentials: Credentials) -> dict[str, str]:
        return request.service.signer.sign(
            credentials,
            at=self.clock(),
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
        )

    async def _pause(self, request: _Request, failure: _Failure, failures: int) -> int:
        """Wait before the next try and return the tokens it costs.

        Raises:
            DependencyUnavailable: there is no next try: too many failures, or no time or tokens left.
        """
        spent = await self.back_off(
            request.service,
            failures=failures,
            throttled=failure.throttled,
            stated=failure.stated,
            timed_out=failure.timed_out,
            end=request.end,
        )
        if spent:
            return spent
        tries = "1 try" if failures == 1 else f"{failures} tries"
        text = f"{request.service.endpoint.origin} {failure.why} ({tries})"
        raise DependencyUnavailable(request.service.label, text, retry_after=max(1.0, failure.stated)) from failure.cause

    def _connect(self, service: AwsService) -> Connections | ByProxy:
        """Make and keep the connections to a service."""
        origin = service.endpoint.origin
        found: Connections | ByProxy
        proxy = proxy_for(origin, self._environ) if self._proxied and not service.direct else None
        if proxy is not None:
            from offpoll.aws.transport import ByProxy  # noqa: PLC0415 - rarely needed, and it would slow every cold start

            found = ByProxy(origin, proxy=proxy, certificates=self._certificates)
        else:
            found = Connections(origin, host=service.endpoint.host, tls=self._tls)
        self._connections[origin] = found
        return found

    def _tls(self) -> ssl.SSLContext:
        """Return the context for https, made only once: it reads the system's authorities."""
        if self._context is None:
            self._context = tls_context(self._certificates)
        return self._context


#: DynamoDB's checksum of the body.
_CRC32 = "x-amz-crc32"


class _Request(NamedTuple):
    """The request of one call. A tuple, because every call makes one."""

    service: AwsService
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    try_timeout: float
    end: float

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Why a try failed, and what the next one needs to know.

    Attributes:
        why: for people; follows the endpoint's address.
        timed_out: whether the try ran out of time.
        throttled: whether the service asks for fewer calls.
        stated: how long the service asks to wait, seconds.
        renewed: whether the credentials had expired and were replaced.
        cause: the transport's error.
    """

    why: str
    timed_out: bool = False
    throttled: bool = False
    stated: float = 0.0
    renewed: bool = False
    cause: Exception | None = None


def _damage(request: _Request, response: AwsResponse) -> _Failure | None:
    """Return what is wrong with a response that says it is none: S3 may end a slow PUT with an error although its head said 200."""
    checksum = response.headers.get(_CRC32)
    if checksum is not None and checksum.isdigit() and int(checksum) != crc32(response.body):
        return _Failure(why="sent a damaged response")
    if response.body and request.method == "PUT" and response.status == 200 and response.fault.code:
        return _failure(response)
    return None


def _failure(response: AwsResponse) -> _Failure:
    """Describe an error response that another try may cure."""
    fault, headers = response.fault, response.headers
    return _Failure(
        why=f"answered {fault.code or response.status}: {fault.message}",
        throttled=is_throttle(response.status, fault.code),
        stated=stated_delay(headers.get("retry-after"), headers.get("x-amz-retry-after"), date=response.date),
    )
