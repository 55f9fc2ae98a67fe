"""Guards every request: sends the API's credentials to the API's address and below, and nowhere else.

They never go to the object store, even on the API's host: a store refuses requests with two kinds of credentials. Nor do they follow a link
in a document to another address.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from offpoll.arguments import is_number, shown
from offpoll.client.addresses import canonical
from offpoll.errors import ApiError, ConfigurationError
from offpoll.exchange import Fetch, Reply, Response
from offpoll.limits import shown_url

__all__ = ["AsyncAuth", "Auth", "RequestGuard", "api_address", "without_query"]

#: A bearer token, a user and a password, or headers.
Credentials: TypeAlias = str | tuple[str, str] | Mapping[str, str]
Auth: TypeAlias = Callable[[], Credentials] | Credentials
AsyncAuth: TypeAlias = Callable[[], Credentials | Awaitable[Credentials]] | Credentials

#: Accepted URLs. This is stricter than the standards on purpose: parsers disagree on userinfo, backslashes and control characters, and such
#: disagreements leak credentials.
_URL = re.compile(r"(https?)://([\w.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?((?:[/?#][!-\[\]-~]*)?)", re.ASCII | re.IGNORECASE)

#: A path with a step up, in any spelling that some server understands: it may leave the folder that it begins with.
_LEADS_UP = re.compile(r"(?:^|/|%2f|%5c)(?:\.|%2e){1,2}(?:/|%2f|%5c|;|#|$)", re.IGNORECASE)

#: Headers that the client sets itself.
_OWN = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key", "if-none-match"})

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestGuard:
    """Adds timeouts, headers and credentials to a client's requests.

    Arguments are those of `Client`; `base_url` as `api_address` returns it.

    Raises:
        ConfigurationError: an argument is unusable.
    """

    base_url: str
    auth: AsyncAuth | None = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    request_timeout: float

    def __post_init__(self) -> None:
        if not is_number(self.request_timeout, least=0) or not self.request_timeout:
            raise ConfigurationError(f"request_timeout is seconds, more than 0 and finite, not {shown(self.request_timeout)}")
        if self.auth is not None and not callable(self.auth):
            _headers_of(self.auth)
        for name in _checked(self.headers, "headers"):
            if name.lower() in _OWN:
                raise ConfigurationError(f"headers has {name!r}, which the client sets itself")

    async def complete_async(self, fetch: Fetch) -> Fetch:
        """Complete a request as `complete` does; the `auth` callable may be async."""
        if fetch.to == "store" or self.auth is None:
            return self._admit(fetch, {})
        given = self.auth() if callable(self.auth) else self.auth
        return self._admit(fetch, _headers_of(await given if isinstance(given, Awaitable) else given))

    def complete(self, fetch: Fetch) -> Fetch:
        """Return a request with its timeout and, for the API, its headers and credentials.

        Raises:
            ApiError: the credentials would leave the API's address.
            ConfigurationError: the `auth` callable is async, or returned no credentials.
        """
        if fetch.to == "store" or self.auth is None:
            return self._admit(fetch, {})
        given = self.auth() if callable(self.auth) else self.auth
        if isinstance(given, Awaitable):
            if isinstance(given, Coroutine):
                given.close()  # else Python warns that it was never awaited
            raise ConfigurationError("an async auth callable needs AsyncClient")
        return self._admit(fetch, _headers_of(given))

    def renewed(self, event: Fetch, sent: Fetch, reply: Reply) -> Fetch | None:
        """Return a refused request with fresh credentials, to send once more; None if `auth` has no others.

        Args:
            event: the request as it was before `complete`.
            sent: what `complete` made of it.
        """
        if not self._refused(event, reply):
            return None
        again = self.complete(event)
        return None if again.headers == sent.headers else again

    async def renewed_async(self, event: Fetch, sent: Fetch, reply: Reply) -> Fetch | None:
        """Renew a refused request as `renewed` does; the `auth` callable may be async."""
        if not self._refused(event, reply):
            return None
        again = await self.complete_async(event)
        return None if again.headers == sent.headers else again

    def _refused(self, event: Fetch, reply: Reply) -> bool:
        """Tell whether the API refused the credentials, and others may be had.

        A 403 of offpoll's own has a problem document, and is about what the caller may do. A gateway's may be about a token that has ended.
        """
        if event.to == "store" or not callable(self.auth) or not isinstance(reply, Response):
            return False
        return reply.status == 401 or (reply.status == 403 and ("www-authenticate" in reply.headers or not reply.problem))

    def _admit(self, fetch: Fetch, credentials: Mapping[str, str]) -> Fetch:
        timeout = min(self.request_timeout, fetch.timeout)
        if fetch.to == "store":
            return replace(fetch, timeout=timeout)
        return replace(fetch, timeout=timeout, url=self._trusted(fetch.url), headers=_merged(self.headers, credentials, fetch.headers))

    def _trusted(self, url: str) -> str:
        """Return the URL to use for the API.

        An API behind a TLS proxy may write `http` links to its own host: the client follows them by `https`. Requests with credentials or
        headers of the caller go only to the API's address and below. Without them, a link may lead anywhere.
        """
        spelled = _spelled(url)
        if spelled.startswith("http://") and _origin("https" + spelled[len("http") :]) == _origin(self.base_url):
            spelled, url = "https" + spelled[len("http") :], _by_https(url)
        if (self.auth is None and not self.headers) or (
            spelled.startswith(self.base_url + "/") and not _LEADS_UP.search(without_query(url))
        ):
            return url
        raise ApiError(
            f"the operation's link leads to {without_query(url)}, and this client's credentials are for {self.base_url}: "
            "check the service's public_url, or make a client for that address",
            status=0,
        )


def api_address(base_url: Any) -> str:
    """Return an API's address in its one spelling, without a slash at its end.

    Raises:
        ConfigurationError: it is no address, or has a user, a query or a fragment.
    """
    try:
        spelled = canonical(base_url).rstrip("/")
        if _URL.fullmatch(spelled) and "?" not in base_url and "#" not in base_url:
            return spelled
    except (ValueError, AttributeError, TypeError):
        pass  # raised below
    shown = shown_url(base_url) if isinstance(base_url, str) else base_url
    raise ConfigurationError(f"an API's address is http(s)://host[:port][/path], without user, query or fragment: {shown!r}")


def _headers_of(given: Any) -> Mapping[str, str]:
    """Return the headers that credentials stand for.

    Raises:
        ConfigurationError: they are none. The message does not repeat them.
    """
    if isinstance(given, str):
        if not given.strip():
            raise ConfigurationError("auth is an empty token")
        return _checked({"Authorization": given if " " in given.strip() else f"Bearer {given.strip()}"}, "auth")
    if isinstance(given, tuple):
        if len(given) != 2 or not all(isinstance(each, str) for each in given):
            raise ConfigurationError("auth is a tuple, but not (user, password)")
        return {"Authorization": "Basic " + b64encode(":".join(given).encode()).decode()}
    if isinstance(given, Mapping):
        return _checked(given, "auth")
    raise ConfigurationError(
        f"auth is a token, (user, password), headers, or a callable that returns one of them, not {type(given).__name__}"
    )


def _checked(headers: Any, what: str) -> Mapping[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"{what} is a mapping of names to values, not {type(headers).__name__}")
    for name, value in headers.items():
        if (
            not isinstance(name, str)
            or not isinstance(value, str)
            or not _HEADER_NAME.fullmatch(name)
            or not _HEADER_VALUE.fullmatch(value)
        ):
            shown = name if isinstance(name, str) and _HEADER_NAME.fullmatch(name) else "a name"
            raise ConfigurationError(f"{what}: {shown} has a character that no header may have, for example a line break, or is not text")
    return headers


def _merged(*headers: Mapping[str, str]) -> dict[str, str]:
    """Return all headers; of those with the same name in any case, the last."""
    merged = {name.lower(): (name, value) for each in headers for name, value in each.items()}
    return dict(merged.values())


def _spelled(url: str) -> str:
    """Return the one spelling of a URL; empty if parsers could disagree about it."""
    try:
        return canonical(url) if _URL.fullmatch(url) else ""
    except ValueError:
        return ""


def _by_https(url: str) -> str:
    """Return an http URL that `_URL` accepts as an https one. Its own port, if it is written out, is not that of https."""
    found = _URL.fullmatch(url)
    assert found is not None  # noqa: S101 - `_spelled` has matched it
    host, port, rest = found.group(2, 3, 4)
    return f"https://{host}{f':{port}' if int(port or 80) != 80 else ''}{rest}"


def _origin(url: str) -> str:
    return "/".join(without_query(url).split("/")[:3])


def without_query(url: str) -> str:
    """Return a URL without its query, because a link's signature is in it."""
    return url.partition("?")[0]
