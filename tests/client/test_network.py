"""Both clients with their own transports: a private authority, a proxy, and what networks put in a store's place."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.stub_api import ID, ORDER, SIGNATURE, StubApi, proxy, stub_api

from offpoll.client import AsyncClient, AsyncHttpTransport, Client, HttpTransport
from offpoll.errors import ApiError, ApiUnavailable, ConfigurationError, OffpollError, WaitTimeout
from offpoll.exchange import Fetch

Ordered = Callable[..., Any]

TOKEN = "t0ken"


def order_sync(base: str, *, timeout: float = 10.0, **options: Any) -> Any:
    with Client(base, retry_timeout=0, auth={"Authorization": f"Bearer {TOKEN}"}, **options) as client:
        return client.wait(client.submit("order", {}), timeout=timeout)


def order_async(base: str, *, timeout: float = 10.0, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(base, retry_timeout=0, auth={"Authorization": f"Bearer {TOKEN}"}, **options) as client:
            return await client.wait(await client.submit("order", {}), timeout=timeout)

    return asyncio.run(main())


@pytest.fixture(params=[order_sync, order_async], ids=["sync", "async"])
def order(request: pytest.FixtureRequest) -> Ordered:
    """Submit and wait on the network, with the sync and with the async client."""
    return request.param


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[StubApi]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with stub_api(context) as running:
        yield running


@pytest.fixture
def plain() -> Iterator[StubApi]:
    with stub_api() as running:
        yield running


class TestAuthority:
    def test_as_a_path_or_as_bytes(self, order: Ordered, secure: StubApi, authority: trustme.CA, tmp_path: Path) -> None:
        """A client trusts your own authority beside the system's, wherever in a bundle it stands; without it, it sends nothing."""
        bundle = "# Zoë's own\n".encode() + trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes()
        (tmp_path / "ca.pem").write_bytes(bundle)
        with pytest.raises(ApiUnavailable, match=r"invalid peer certificate|UnknownIssuer|certificate"):
            order(secure.base)
        assert secure.seen == []
        for ca in (bundle, tmp_path / "ca.pem", str(tmp_path / "ca.pem")):
            assert order(secure.base, ca=ca) == ORDER

    def test_of_the_environment(self, order: Ordered, secure: StubApi, authority: trustme.CA, tmp_path: Path, monkeypatch: Any) -> None:
        """A client reads `SSL_CERT_FILE`, as OpenSSL's own programs do."""
        (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert order(secure.base) == ORDER

    @pytest.mark.parametrize("ca", [b"", b"junk", "/nonexistent/ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
    @pytest.mark.parametrize("client", [Client, AsyncClient])
    def test_no_certificate(self, client: Any, ca: Any) -> None:
        """A client refuses a `ca` without a certificate at once, instead of failing at every request."""
        with pytest.raises(ConfigurationError, match="ca"):
            client("https://api.test", ca=ca)


class TestProxy:
    def test_tunnel(self, order: Ordered, secure: StubApi, authority: trustme.CA) -> None:
        """With https the proxy sees only hosts: neither links nor credentials."""
        with proxy() as (address, lines):
            assert order(secure.base, ca=authority.cert_pem.bytes(), proxy=f"http://user:pa55word@{address}") == ORDER
        assert set(lines) == {"CONNECT " + secure.base.removeprefix("https://")}
        assert not [headers for _, _, headers in secure.seen if "proxy-authorization" in headers]

    def test_plain(self, order: Ordered, plain: StubApi) -> None:
        """With http, requests go to the proxy with their whole address."""
        with proxy() as (address, lines):
            assert order(plain.base, proxy=f"http://user:pa55word@{address}") == ORDER
        assert lines == [f"POST {plain.base}/order", f"GET {plain.base}/store/{ID}", f"GET {plain.base}/order/{ID}"]

    def test_of_the_environment(self, order: Ordered, plain: StubApi, monkeypatch: Any) -> None:
        """Without the argument, a client uses the environment's proxy and respects `NO_PROXY`."""
        with proxy() as (address, lines):
            monkeypatch.setenv("HTTP_PROXY", f"http://user:pa55word@{address}")
            assert order(plain.base) == ORDER
            assert len(lines) == 3
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            assert order(plain.base) == ORDER
            assert len(lines) == 3

    def test_refused(self, order: Ordered, secure: StubApi, authority: trustme.CA) -> None:
        """A proxy's refusal is no answer of the API; the error names neither the proxy's password nor the token."""
        password = "wr0" + "ng"
        with proxy() as (address, _), pytest.raises(ApiUnavailable) as caught:
            order(secure.base, ca=authority.cert_pem.bytes(), proxy=f"http://user:{password}@{address}")
        text = "".join(traceback.format_exception(caught.value))
        assert secure.seen == []
        assert password not in text
        assert TOKEN not in text

    @pytest.mark.parametrize(
        "address", ["", "proxy:3128", "ftp://user:pa55word@proxy", "http://", "http://user:pa55word@", "socks5://proxy:1"]
    )
    @pytest.mark.parametrize("transport", [HttpTransport, AsyncHttpTransport])
    def test_no_address(self, transport: Any, address: str) -> None:
        """A transport refuses what is no address of a proxy, without repeating a password."""
        with pytest.raises(ConfigurationError, match="proxy is an address") as caught:
            transport(proxy=address)
        assert "pa55word" not in "".join(traceback.format_exception(caught.value))


class TestInTheStoresPlace:
    """Something else answers in the store's place: never a success, never a hang."""

    ANSWERS: tuple[tuple[str, int, dict[str, str], bytes], ...] = (
        ("captive portal", 200, {"Content-Type": "text/html"}, b"<html>Log in to the hotel's network</html>"),
        ("redirect", 302, {"Location": "/elsewhere"}, b""),
        ("over 4 KiB", 200, {"Content-Type": "application/json"}, b'{"spec":"offpoll/1","pad":"' + b"x" * 5000 + b'"}'),
        ("endless", 200, {"Content-Type": "application/json"}, b'"' + b"x" * 2**20 + b'"'),
        ("not JSON", 200, {"Content-Type": "application/json"}, b"{"),
        ("future", 200, {"Content-Type": "application/json"}, b'{"spec":"offpoll/2","status":"succeeded","done":true}'),
        ("unknown status", 200, {"Content-Type": "application/json"}, b""),
    )

    @pytest.mark.parametrize(("name", "status", "headers", "body"), ANSWERS, ids=[each[0] for each in ANSWERS])
    def test_a_safe_wait(self, order: Ordered, plain: StubApi, name: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """The wait goes on until its time is up, follows no redirect, and never sends the API's credentials to the store."""
        if name == "unknown status":
            body = plain.document("queued").to_bytes().replace(b'"queued","done":false', b'"pondering","done":true')
        plain.store, plain.pending = (status, headers, body), True
        with pytest.raises(WaitTimeout):
            order(plain.base, timeout=0.25)
        assert plain.asked().count(f"GET /store/{ID}") >= 2
        assert "GET /elsewhere" not in plain.asked()
        assert [path for _, path, sent in plain.seen if path.startswith("/store/") and "authorization" in sent] == []

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_of_the_api(self, order: Ordered, plain: StubApi, status: int) -> None:
        """A client does not follow the API's redirect either; the error names where it leads."""
        plain.api = (status, {"Location": f"{plain.base}/elsewhere?x={SIGNATURE}"}, b"")
        with pytest.raises(ApiError, match="/elsewhere', which is not followed"):
            order(plain.base)
        assert plain.asked() == ["POST /order"]


def test_links_stay_secret(order: Ordered, plain: StubApi, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the debug logs nor an error's traceback contain a link's signature or a token."""
    plain.store, plain.pending = (403, {}, b"<Error><Code>AccessDenied</Code></Error>"), True
    told: list[tuple[str, str, int]] = []
    with caplog.at_level(logging.DEBUG), pytest.raises(OffpollError) as caught:
        order(plain.base, timeout=0.0, on_request=lambda *each: told.append(each))
    written = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(told) + repr(caught.value)
    assert ("GET", f"{plain.base}/store/{ID}", 403) in told
    assert SIGNATURE not in written
    assert TOKEN not in written


def test_many_at_once(plain: StubApi) -> None:
    """The sync client's threads share one transport, and every wait ends with its result."""
    with Client(plain.base) as client:
        tickets = [client.submit("order", {}) for _ in range(20)]
        ended = client.wait_all(tickets, max_in_flight=4)
    assert [waited.result() for waited in ended] == [ORDER] * 20


def test_leaving_early(plain: StubApi) -> None:
    """Leaving the sync client's loop early leaves no thread behind, and the client still works."""
    with Client(plain.base) as client:
        tickets = [client.submit("order", {}) for _ in range(8)]
        for waited in client.as_completed(tickets, max_in_flight=4):
            assert waited.result() == ORDER
            break
        assert client.wait(tickets[-1]) == ORDER
    until = time.monotonic() + 10
    while [each for each in threading.enumerate() if each.name.startswith("offpoll-client")] and time.monotonic() < until:
        time.sleep(0.01)
    assert not [each for each in threading.enumerate() if each.name.startswith("offpoll-client")]


def test_a_cancellation_is_not_lost(plain: StubApi) -> None:
    """Ctrl-C or a timeout cancels a request even at the moment at which its answer arrives."""

    async def main() -> list[bool]:
        transport = AsyncHttpTransport()
        fetch = Fetch(to="store", url=f"{plain.base}/store/{ID}", timeout=5)
        ended = []
        try:
            for passes in range(1, 9):
                await transport.send(fetch)  # leaves a connection open
                plain.hold.clear()
                task = asyncio.create_task(transport.send(fetch))
                await asyncio.sleep(0)
                plain.hold.set()
                time.sleep(0.01)  # noqa: ASYNC251 - the answer comes while the loop is busy
                for _ in range(passes - 1):
                    await asyncio.sleep(0)
                    time.sleep(0.01)  # noqa: ASYNC251 - the same
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=5)
                    ended.append(task.cancelled())
        finally:
            await transport.close()
        return ended

    ended = asyncio.run(main())
    assert ended
    assert all(ended)
