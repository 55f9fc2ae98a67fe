"""Guards every request: sends the API's credentials to the API's address and below, and nowhere else.

They never go to the object store, even on the API's host: a store refuses requests with two kinds of credentials. Nor do they follow a link
in a document to another address.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from typing import TypeAlias

from offpoll.errors import ApiError, ConfigurationError
from offpoll.exchange import Fetch
from offpoll.limits import shown_url

__all__ = ["AsyncAuth", "Auth", "RequestGuard", "without_query"]

Auth: TypeAlias = Callable[[], Mapping[str, str]] | tuple[str, str] | Mapping[str, str]
AsyncAuth: TypeAlias = Callable[[], Mapping[str, str] | Awaitable[Mapping[str, str]]] | tuple[str, str] | Mapping[str, str]

#: Accepted URLs. This is stricter than the standards on purpose: parsers disagree on userinfo, backslashes and control characters, and such
#: disagreements leak credentials.
_URL = re.compile(r"(https?)://([\w.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?((?:[/?#][!-\[\]-~]*)?)", re.ASCII | re.IGNORECASE)

#: A path with a step up, in any spelling that some server understands: it may leave the folder that it begins with.
_LEADS_UP = re.compile(r"(?:^|/|%2f)(?:\.|%2e){1,2}(?:/|%2f|;|#|$)", re.IGNORECASE)

_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestGuard:
    """Adds timeouts and credentials to a client's requests.

    Arguments are those of `Client`; `base_url` has no trailing slash.

    Raises:
        ConfigurationError: `base_url` is not an address, or `request_timeout` is not positive and finite.
    """

    base_url: str
    auth: AsyncAuth | None = field(repr=False)
    request_timeout: float

    def __post_init__(self) -> None:
        match = _URL.fullmatch(self.base_url)
        if match is None or "?" in self.base_url or "#" in self.base_url or self.base_url.endswith("/"):
            raise ConfigurationError(
                f"an API's address is http(s)://host[:port][/path], without user, query or fragment: {shown_url(self.base_url)!r}"
            )
        if not 0 < self.request_timeout < inf:
            raise ConfigurationError(f"request_timeout is seconds, more than 0 and finite, not {self.request_timeout}")

    async def complete_async(self, fetch: Fetch) -> Fetch:
        """Complete a request as `complete` does; the `auth` callable may be async."""
        headers = self._credentials() if fetch.to == "api" else {}
        return self._admit(fetch, headers if isinstance(headers, Mapping) else await headers)

    def complete(self, fetch: Fetch) -> Fetch:
        """Return a request with its timeout and, for the API, its credentials.

        Raises:
            ApiError: the credentials would leave the API's address.
            ConfigurationError: the `auth` callable is async.
        """
        headers = self._credentials() if fetch.to == "api" else {}
        if not isinstance(headers, Mapping):
            if isinstance(headers, Coroutine):
                headers.close()  # else Python warns that it was never awaited
            raise ConfigurationError("auth returned no mapping of headers; an async callable needs AsyncClient")
        return self._admit(fetch, headers)

    def _credentials(self) -> Mapping[str, str] | Awaitable[Mapping[str, str]]:
        auth = self.auth
        if auth is None:
            return {}
        if callable(auth):
            return auth()
        if isinstance(auth, tuple):
            return {"Authorization": "Basic " + b64encode(":".join(auth).encode()).decode()}
        return auth

    def _admit(self, fetch: Fetch, credentials: Mapping[str, str]) -> Fetch:
        timeout = min(self.request_timeout, fetch.timeout)
        if fetch.to == "store":
            return replace(fetch, timeout=timeout)
        return replace(fetch, timeout=timeout, url=self._trusted(fetch.url), headers={**credentials, **fetch.headers})

    def _trusted(self, url: str) -> str:
        """Return the URL to use for the API.

        An API behind a TLS proxy may write `http` links to its own host: the client follows them by `https`. Requests with credentials go
        only to the API's address and below. Without credentials, a link may lead anywhere.
        """
        scheme, host, port, path = _parts(url)
        own_scheme, own_host, own_port, own_path = _parts(self.base_url)
        if (scheme, own_scheme, host, port) == ("http", "https", own_host, own_port):
            scheme, url = "https", "https" + url[len("http") :]
        same = (scheme, host, port or _PORTS.get(scheme)) == (own_scheme, own_host, own_port or _PORTS.get(own_scheme))
        if self.auth is None or (same and path.startswith(own_path + "/") and not _LEADS_UP.search(path)):
            return url
        raise ApiError(
            f"the operation's link leads to {without_query(url)}, and this client's credentials are for {self.base_url}: "
            "check the service's public_url, or make a client for that address",
            status=0,
        )


def without_query(url: str) -> str:
    """Return a URL without its query, because a link's signature is in it."""
    return url.partition("?")[0]


@lru_cache(maxsize=64)  # each request to the API compares its URL with the API's address
def _parts(url: str) -> tuple[str, str, str, str]:
    """Return scheme, host, port and path as written; four empty strings if parsers could disagree about this URL."""
    match = _URL.fullmatch(url)
    return ("", "", "", "") if match is None else (match[1].lower(), match[2].lower(), match[3] or "", without_query(match[4]))
