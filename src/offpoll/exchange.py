"""What a sans-I/O generator and its driver exchange: steps to take, and what came of them.

    the generator yields    Fetch     the driver sends it and returns a Response, or NoAnswer
                            Wait      the driver waits
                            Shown     the driver shows a new document to its caller

Decides how to read `Date`, `Retry-After` and problem documents. Knows no HTTP library: a transport makes these values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import Any, Literal, TypeAlias, TypeVar

from offpoll.document import Document, links_at
from offpoll.errors import ApiError
from offpoll.frozen import quick
from offpoll.instant import from_http_date, retry_after
from offpoll.operation import Status, is_kind, is_operation_id

__all__ = [
    "Event", "Fetch", "Flow", "NoAnswer", "Reply", "Response", "Shown", "Trouble", "Wait", "is_outage", "operation_url", "read_operation",
    "trouble_in",
]  # fmt: skip

#: Most bytes to read of a response: the API's may hold a result, the store's holds 4 KiB or is no status document.
MAX_API_BYTES = 16 * 2**20
MAX_STORE_BYTES = 64 * 2**10

#: What nginx, Apache and Go say to http on a port for https.
_ONLY_HTTPS = re.compile(rb"(?:plain HTTP request was sent to HTTPS|plain HTTP to an SSL|HTTP request to an HTTPS)", re.IGNORECASE)

T = TypeVar("T")


@quick
@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP response.

    Attributes:
        status: the status code.
        headers: names in lowercase; of a name that came twice, the first. Not in `repr`, nor is the body: both may hold a status link.
        body: the body, cut if longer than asked for.
        complete: False if the body was cut.
        afterwards: what a server does once this is sent; None for nothing, and in what a client received.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    complete: bool = True
    afterwards: Callable[[], Awaitable[None]] | None = field(default=None, repr=False, compare=False)

    @property
    def date(self) -> datetime | None:
        """The server's time, whole seconds; None if the response does not say."""
        return from_http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> int | None:
        """`Retry-After` in whole seconds, None if there is none."""
        return retry_after(self.headers.get("retry-after"), date=self.date)

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document (RFC 9457) in the body; empty if there is none."""
        try:
            fields = self.json()
        except ValueError:
            return {}
        return fields if isinstance(fields, dict) and not fields.keys().isdisjoint(("title", "detail", "code")) else {}

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: the body is not JSON, or was cut.
        """
        if not self.complete:
            raise ValueError(f"the body is longer than the {len(self.body)} bytes that are read")
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deep") from error

    def refusal(self) -> ApiError:
        """Return the error for an unexpected response, in the words of its problem document if it has one."""
        problem = self.problem
        words = ": ".join(str(problem[name]) for name in ("title", "detail") if problem.get(name))
        text = f"{words} ({self.status})" if words else f"the API answered {self.status}, and not as offpoll does: check its address"
        if self.status == 400 and not words and _ONLY_HTTPS.search(self.body[:4096]):
            text = "the server takes only https on this port: use https:// instead of http:// (400)"
        if 300 <= self.status < 400 and (location := self.headers.get("location", "")):
            text += f". It redirects to {location.partition('?')[0]!r}, which is not followed"
        return ApiError(text, status=self.status, problem=problem)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAnswer:
    """A request without an answer: no connection, a broken one, or a timeout.

    Attributes:
        reason: what happened, for people. It names no URL: a status link is a secret.
        sent: whether the server may have received the request. If so, nobody knows whether it took effect.
        hopeless: whether a retry cannot help: the other side is not trusted, or speaks another protocol.
    """

    reason: str
    sent: bool = True
    hopeless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A request that got no usable response, in words that name no path.

    Attributes:
        text: who gave none, and why.
        sent: as in `NoAnswer`.
    """

    text: str
    sent: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch:
    """A request to send.

    Attributes:
        to: `store` or `api`. Only a request to the API may carry the API's credentials.
        method: GET or POST.
        url: absolute. Not in `repr`, nor are the headers: a status link is a secret.
        headers: to send.
        body: to send, or None. Empty for a POST without a body, since some proxies insist on its length.
        max_bytes: how much of the response's body to read.
        timeout: seconds for the whole exchange.
    """

    to: Literal["store", "api"]
    method: str = "GET"
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    max_bytes: int = MAX_API_BYTES
    timeout: float = inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Do nothing for this many seconds."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A document that says something new."""

    document: Document


Event: TypeAlias = Fetch | Wait | Shown
Reply: TypeAlias = Response | NoAnswer | None
Flow: TypeAlias = Generator[Event, Reply, T]


def operation_url(document: Document, name: Literal["self", "status_link", "cancel"], *, base_url: str) -> str:
    """Return a link of an operation. If its document has none, make it from the API's address.

    Raises:
        ApiError: the document has none, and its kind or its id is not valid in a path.
    """
    if href := document.links.get(name):
        return href
    if not is_kind(document.kind) or not is_operation_id(document.id):
        raise ApiError(f"the status document has no {name!r} link, and none can be made for kind {document.kind!r}", status=0)
    return links_at(base_url, kind=document.kind, operation_id=document.id)[name]


def read_operation(response: Response, *, document: Document) -> Document | None:
    """Read from the response to `GET {links.self}` how an operation ended, and return its document with that end; None if it has not ended.

    200 with JSON means `succeeded`. 404 with a problem document whose `operation_status` is `failed` or `canceled` means that status, and
    the problem's `error` is the operation's.
    """
    status: str | None = None
    if response.status == 200 and "json" in response.headers.get("content-type", ""):
        try:
            response.json()
            status = Status.SUCCEEDED
        except ValueError:
            return None
    problem = response.problem if response.status == 404 else {}
    if problem.get("operation_status") in (Status.FAILED, Status.CANCELED):
        status = str(problem["operation_status"])
    if status is None:
        return None
    error = problem.get("error")
    return replace(document, status=status, progress=None, estimate=None, poll=None, error=error if isinstance(error, dict) else None)


def is_outage(status: int) -> bool:
    """Tell whether this status code says nothing about the request: the server is overloaded or broken, for now."""
    return status >= 500 or status in (408, 429)


def trouble_in(fetch: Fetch, reply: Response | NoAnswer) -> Trouble | None:
    """Say what went wrong with a request that may be repeated; None if nothing did."""
    if isinstance(reply, Response) and not is_outage(reply.status):
        return None
    whom = "/".join(fetch.url.split("/")[:3]) if fetch.to == "api" else "the store"  # no path: a link may be a secret
    why = reply.reason if isinstance(reply, NoAnswer) else f"answered {reply.status}"
    return Trouble(text=f"{whom}: {why}", sent=isinstance(reply, Response) or reply.sent)
