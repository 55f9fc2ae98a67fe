"""Connections: how they are made, kept and lost, blocking and awaited."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme
from tests.support.stub_api import ID, StubApi, proxy, stub_api

from offpoll.network import dial as dialing
from offpoll.network.address import address
from offpoll.network.failure import NetworkFailure
from offpoll.network.http1 import Received
from offpoll.network.network import AsyncNetwork, Network

Ask = Callable[..., list[Received]]


def ask_sync(*urls: str, timeout: float = 5.0, **options: Any) -> list[Received]:
    network = Network(user_agent="test", **options)
    try:
        return [network.send("GET", address(url), headers={}, body=b"", limit=1000, timeout=timeout) for url in urls]
    finally:
        network.close()


async def asked(*urls: str, timeout: float = 5.0, **options: Any) -> list[Received]:
    async with AsyncNetwork(user_agent="test", **options) as network:
        return [await network.send("GET", address(url), headers={}, body=b"", limit=1000, timeout=timeout) for url in urls]


def ask_async(*urls: str, **options: Any) -> list[Received]:
    return asyncio.run(asked(*urls, **options))


def ask_uvloop(*urls: str, **options: Any) -> list[Received]:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asked(*urls, **options))


@pytest.fixture(params=[ask_sync, ask_async, ask_uvloop], ids=["sync", "async", "uvloop"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def plain() -> Iterator[StubApi]:
    with stub_api() as running:
        yield running


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def failure(ask: Ask, url: str, **options: Any) -> NetworkFailure:
    with pytest.raises(NetworkFailure) as caught:
        ask(url, **options)
    return caught.value


class TestNothingWasSent:
    """A failure says whether the server may have received the request, and whether repeating it can help."""

    def test_refused(self, ask: Ask) -> None:
        """Nobody listens: nothing was sent, and that may change."""
        found = failure(ask, f"http://127.0.0.1:{closed_port()}/")
        assert (found.reason, found.sent, found.hopeless) == ("connection refused", False, False)

    def test_an_unknown_host(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        """A host without an address: nothing was sent."""

        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        found = failure(ask, "http://api.test/")
        assert "host name is not known" in found.reason
        assert (found.sent, found.hopeless) == (False, False)

    def test_https_to_an_http_port(self, ask: Ask, plain: StubApi) -> None:
        """The reason says what to write instead."""
        found = failure(ask, plain.base.replace("http:", "https:"))
        assert "does not speak TLS on this port: use http:// instead" in found.reason
        assert (found.sent, found.hopeless) == (False, True)

    def test_an_untrusted_certificate(self, ask: Ask, authority: trustme.CA) -> None:
        """Repeating does not make a certificate trusted."""
        with stub_api(server_context(authority)) as secure:
            found = failure(ask, secure.base)
        assert "certificate is not trusted" in found.reason
        assert (found.sent, found.hopeless) == (False, True)

    @pytest.mark.parametrize("bytes_back", [b"\x15\x03\x03\x00\x02\x02\x46", b""], ids=["an alert", "nothing"])
    def test_http_to_an_https_port(self, ask: Ask, bytes_back: bytes) -> None:
        """A server that answers in TLS, or hangs up at once, may expect https: the reason says so."""
        with hanging_up(bytes_back) as port:
            assert "https" in failure(ask, f"http://127.0.0.1:{port}/").reason

    def test_no_connection_in_time(self, ask: Ask) -> None:
        """A host that keeps silent: nothing was sent."""
        with black_hole() as port:
            found = failure(ask, f"http://127.0.0.1:{port}/", timeout=0.05)
        assert (found.sent, found.timed_out) == (False, True)

    def test_no_response_in_time(self, ask: Ask, plain: StubApi) -> None:
        """A server that accepted the request may have done what it asks for."""
        plain.hold.clear()
        found = failure(ask, f"{plain.base}/store/{ID}", timeout=0.2)
        plain.hold.set()
        assert (found.sent, found.timed_out) == (True, True)


class TestAddresses:
    @pytest.mark.parametrize("ask", [ask_sync, ask_async])  # uvloop resolves names by itself
    @pytest.mark.parametrize("first", ["refuses", "keeps silent"])
    def test_the_next_address(self, ask: Ask, plain: StubApi, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
        """If a host's first address refuses or keeps silent, the next one is used."""
        port = address(plain.base).port
        with ExitStack() as stack:
            bad = closed_port() if first == "refuses" else stack.enter_context(black_hole())
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in (bad, bad, port)]
            monkeypatch.setattr(dialing, "STAGGER", 0.01)
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            assert ask("http://api.test/store/x")[0].status == 200


class TestKept:
    def test_a_connection_is_used_again(self, ask: Ask, counted: list[Any]) -> None:
        """Requests one after another share a connection; one that the server has closed is replaced, and nobody notices."""
        base = f"http://127.0.0.1:{counted[0]}"
        assert [each.status for each in ask(base, base, f"{base}/close", base)] == [200] * 4
        assert len(counted) - 1 == 2

    def test_what_a_lost_connection_may_have_carried(self, ask: Ask) -> None:
        """If a kept connection breaks and no new one can be made, the server may still have received the request."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

            def serve() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    connection.recv(65_536)
                    server.close()

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(NetworkFailure) as caught:
                ask(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
            thread.join()
        assert (caught.value.reason, caught.value.sent) == ("connection refused", True)

    def test_another_process(self, counted: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """After a fork, a process does not use its parent's connections."""
        network, to = Network(user_agent="test"), address(f"http://127.0.0.1:{counted[0]}")
        parents = os.getpid()
        for process in (parents, parents + 1, parents + 1):
            monkeypatch.setattr(os, "getpid", lambda process=process: process)
            assert network.send("GET", to, headers={}, body=b"", limit=10, timeout=5).status == 200
        network.close()
        assert len(counted) - 1 == 2

    def test_another_event_loop(self, plain: StubApi) -> None:
        """One network serves one event loop after another."""
        network = AsyncNetwork(user_agent="test")
        to = address(f"{plain.base}/store/{ID}")
        for _ in range(2):
            assert asyncio.run(network.send("GET", to, headers={}, body=b"", limit=1000, timeout=5)).status == 200
        asyncio.run(network.close())

    def test_after_the_end(self, plain: StubApi) -> None:
        """A closed network keeps no connection."""
        network, to = Network(user_agent="test"), address(f"{plain.base}/store/{ID}")
        network.close()
        assert network.send("GET", to, headers={}, body=b"", limit=1000, timeout=5).status == 200


class TestProxies:
    @pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
    def test_a_proxy_that_is_reached_by_https(self, ask: Ask, authority: trustme.CA, secure: bool) -> None:
        """A connection to the proxy may be TLS itself; an https server's is inside it."""
        context, certificates = server_context(authority), authority.cert_pem.bytes()
        with stub_api(context if secure else None) as api, proxy(context) as (where, lines):
            url = f"{api.base}/store/{ID}"
            given = f"https://user:pa55word@{where}"
            assert [each.status for each in ask(url, url, certificates=certificates, proxy=given)] == [200, 200]
        assert lines == (["CONNECT " + api.base.removeprefix("https://")] if secure else [f"GET {url}"] * 2)

    @pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
    def test_a_wrong_password(self, ask: Ask, authority: trustme.CA, secure: bool) -> None:
        """The proxy's refusal is no response of the server, and the server got nothing."""
        with stub_api(server_context(authority) if secure else None) as api, proxy() as (where, _):
            found = failure(ask, api.base, proxy=f"http://user:wrong@{where}", certificates=authority.cert_pem.bytes())
            assert api.seen == []
        assert "asks for a user and a password" in found.reason
        assert not found.sent


@pytest.fixture
def counted() -> Iterator[list[Any]]:
    """A server's port, and then an entry for each connection to it. `/close` ends the connection after its response, unannounced."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen: list[Any] = [server.getsockname()[1]]

        def serve(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(65_536):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    if b"/close" in data:
                        return

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                seen.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


class hanging_up:  # noqa: N801 - used as a function
    """A server that reads, writes some bytes and hangs up."""

    def __init__(self, back: bytes) -> None:
        self._back = back

    def __enter__(self) -> int:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return int(self._server.getsockname()[1])

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(self._back)

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._server.close()


class black_hole:  # noqa: N801 - the same
    """A port that takes no further connection, and does not refuse one: its queue is full."""

    def __enter__(self) -> int:
        self._server = socket.socket()
        self._server.bind(("127.0.0.1", 0))
        self._server.listen(0)
        self._fill = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(self._server.getsockname())
            self._fill.append(client)
        return int(self._server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        for each in (*self._fill, self._server):
            each.close()
