"""What proxies say of a request is believed if they are trusted, and read as they write it: in lists, quoted, with ports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offpoll.http.proxies import BehindProxies, TrustedProxies

PROXY = "10.0.0.1"
CLIENT = "198.51.100.7"


def seen(*headers: tuple[str, str], peer: str | None = PROXY, trusted: str = "10.0.0.0/8", root_path: str = "") -> dict[str, Any]:
    """Return the scope that an application behind the proxies gets."""
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))

    named = [(b"host", b"api.internal:8000"), *((name.encode(), value.encode("latin-1")) for name, value in headers)]
    scope = {"type": "http", "scheme": "http", "client": None if peer is None else (peer, 4711), "path": "/order", "headers": named}
    behind = BehindProxies(app, trusted=TrustedProxies(trusted), root_path=root_path)

    async def exchange() -> None:
        await behind(scope, None, None)

    asyncio.run(exchange())
    return scopes[0]


def host(scope: dict[str, Any]) -> str:
    values = [value.decode() for name, value in scope["headers"] if name == b"host"]
    assert len(values) == 1
    return values[0]


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("https", "https"), ("HTTPS", "https"), ("https,http", "https"), ("https, http", "https"), (" https , https", "https"),
        ("http,https", "http"), ("http", "http"), (",https", "https"), ("", "http"), ("ftp", "http"), ("wss", "http"), ("é", "http"),
    ],
)  # fmt: skip
def test_the_scheme(value: str, scheme: str) -> None:
    """Of several schemes the first counts, which the client used; anything that is no scheme says nothing."""
    assert seen(("x-forwarded-proto", value))["scheme"] == scheme


def test_a_header_in_several_lines() -> None:
    """Several lines of a header are one list."""
    assert seen(("x-forwarded-proto", "https"), ("x-forwarded-proto", "http"))["scheme"] == "https"
    lines = [("x-forwarded-for", CLIENT), ("x-forwarded-for", "10.0.0.2")]
    assert seen(*lines)["client"][0] == CLIENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("api.example.com", "api.example.com"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("api.example.com, api.internal", "api.example.com"),
        ("[2001:db8::1]:8443,10.0.0.1", "[2001:db8::1]:8443"),
        ("", "api.internal:8000"),
        (" , ", "api.internal:8000"),
    ],
)
def test_the_host(value: str, expected: str) -> None:
    """Of several hosts the first counts, with its port; there is one Host header afterwards."""
    assert host(seen(("x-forwarded-host", value))) == expected


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (CLIENT, (CLIENT, 0)),
        (f"{CLIENT}:4711", (CLIENT, 4711)),
        (f"{CLIENT}, 10.0.0.2, 10.0.0.3", (CLIENT, 0)),
        (f"203.0.113.9, {CLIENT}, 10.0.0.2", (CLIENT, 0)),  # what the client itself sent comes first, and is not believed
        ("10.0.0.8, 10.0.0.2", ("10.0.0.8", 0)),
        ("[2001:db8::1]:4711, 10.0.0.2", ("2001:db8::1", 4711)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("unknown, 10.0.0.2", ("unknown", 0)),
        ("_hidden", ("_hidden", 0)),
        ("", (PROXY, 4711)),
    ],
)
def test_the_client(value: str, client: tuple[str, int]) -> None:
    """The client is the last address that is not a trusted proxy."""
    assert seen(("x-forwarded-for", value))["client"] == client


@pytest.mark.parametrize(
    ("value", "scheme", "name", "client"),
    [
        ("for=198.51.100.7;proto=https;host=api.example.com", "https", "api.example.com", CLIENT),
        ('For="198.51.100.7:4711" ; Proto=HTTPS;Host="api.example.com:8443"', "https", "api.example.com:8443", CLIENT),
        ("for=198.51.100.7;proto=https, for=10.0.0.2;proto=http", "https", "api.internal:8000", CLIENT),
        ('for="[2001:db8::1]:4711";by="a,b;c";proto=https', "https", "api.internal:8000", "2001:db8::1"),
        ('host="a\\"b"', "http", 'a"b', PROXY),
        ("proto", "http", "api.internal:8000", PROXY),
        ("proto=https;;,", "https", "api.internal:8000", PROXY),
        ('proto="https', "http", "api.internal:8000", PROXY),
        ("", "http", "api.internal:8000", PROXY),
    ],
)
def test_forwarded(value: str, scheme: str, name: str, client: str) -> None:
    """RFC 7239's header says the same in one: quoted or not, of one proxy or of several. An unreadable one says nothing."""
    scope = seen(("forwarded", value))
    assert (scope["scheme"], host(scope), scope["client"][0]) == (scheme, name, client)


def test_what_counts_of_both() -> None:
    """`Forwarded` says only what no X-Forwarded header does."""
    scope = seen(("forwarded", "proto=http;host=b.example.com"), ("x-forwarded-proto", "https"))
    assert (scope["scheme"], host(scope)) == ("https", "b.example.com")


@pytest.mark.parametrize(
    ("peer", "trusted", "believed"),
    [
        (PROXY, PROXY, True), (PROXY, f"192.0.2.1, {PROXY}", True), (PROXY, "*", True), (PROXY, "10.0.0.1/8", True),
        (PROXY, "192.0.2.0/24", False), (PROXY, "", False), ("::1", "127.0.0.1,::1", True), ("::ffff:10.0.0.1", "10.0.0.0/8", True),
        ("2001:db8::1", "2001:db8::/32", True), ("2001:db8::1", "10.0.0.0/8", False), (None, "10.0.0.0/8", False), (None, "*", True),
        ("testclient", "10.0.0.0/8", False), ("x" * 1000, "10.0.0.0/8", False),
    ],
)  # fmt: skip
def test_who_is_believed(peer: str | None, trusted: str, believed: bool) -> None:
    """Only trusted proxies are: by address, by network, or all of them."""
    headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example"), ("x-forwarded-for", CLIENT)]
    scope = seen(*headers, peer=peer, trusted=trusted)
    assert (scope["scheme"] == "https") is believed
    assert (host(scope) == "evil.example") is believed
    assert (scope["client"] == (CLIENT, 0)) is believed


@pytest.mark.parametrize("listed", ["nginx", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "10.0.0.1:80"])
def test_what_cannot_be_trusted(listed: str) -> None:
    """A name, or an address that is none, is refused, as it would never match."""
    with pytest.raises(ValueError, match="It takes addresses and networks"):
        TrustedProxies(listed)


def test_the_path_below_a_proxy() -> None:
    """The root path goes to the application; other messages than requests pass as they are."""
    assert seen(root_path="/v1")["root_path"] == "/v1"
    assert "root_path" not in seen()
    lifespans: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        lifespans.append(scope)

    async def enter() -> None:
        await BehindProxies(app, trusted=TrustedProxies("*"), root_path="/v1")({"type": "lifespan"}, None, None)

    asyncio.run(enter())
    assert lifespans == [{"type": "lifespan"}]
