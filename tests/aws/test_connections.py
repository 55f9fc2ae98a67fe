"""HTTP/1.1 on the loop's own sockets: which connections are kept, and what is refused."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import trustme
from tests.support.http_peer import CLOSE, OK, Peer, ask

from offpoll.aws import connections as connections_module
from offpoll.aws.connections import Connections, Unreachable, Unsendable
from offpoll.network.tls import tls_context

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_a_request_on_the_wire(run: Run) -> None:
    """A request has its method, target, signed Host header, all headers, length and body. GET without a body gives no length."""

    async def use() -> list[bytes]:
        peer = Peer([OK])
        async with peer as connections:
            await connections.exchange("PUT", "/a?b=c", {"x-y": "z"}, b"xy", timeout=5.0)
            await connections.exchange("PUT", "/", {}, b"", timeout=5.0)
            await connections.exchange("GET", "/", {}, b"", timeout=5.0)
        return peer.asked

    assert run(use()) == [
        b"PUT /a?b=c HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\nx-y: z\r\ncontent-length: 2\r\n\r\nxy",
        b"PUT / HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\ncontent-length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nuser-agent: offpoll\r\n\r\n",
    ]


@pytest.mark.parametrize("first", [[OK, CLOSE], [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"]])
def test_a_closed_connection_is_not_used_again(run: Run, first: Sequence[bytes]) -> None:
    """A kept connection that the peer closes, or announces it will close, is silently replaced."""

    async def use() -> tuple[list[int], int]:
        peer = Peer(first, [OK])
        async with peer as connections:
            return [(await ask(connections)).status for _ in range(3)], peer.connections

    assert run(use()) == ([200, 200, 200], 2)


def test_a_kept_connection_knows_its_loop(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request over a kept connection does not look the running loop up: on Python 3.11 each look-up is a system call."""
    looked_up: list[bool] = []
    original = asyncio.get_running_loop

    def counting() -> asyncio.AbstractEventLoop:
        looked_up.append(True)
        return original()

    async def use() -> int:
        async with Peer([OK]) as connections:
            await ask(connections)
            monkeypatch.setattr(asyncio, "get_running_loop", counting)
            return (await ask(connections)).status

    assert run(use()) == 200
    assert looked_up == []


def test_a_connection_that_died_of_age(run: Run) -> None:
    """If a kept connection ends on use, before any byte of a response, it is replaced, and the request is sent once more."""

    async def use() -> tuple[list[int], int, int]:
        peer = Peer([OK], [CLOSE], [OK])
        async with peer as connections:
            return [(await ask(connections)).status for _ in range(2)], peer.connections, len(peer.asked)

    assert run(use()) == ([200, 200], 2, 3)


def test_a_new_connection_that_ends_is_an_error(run: Run) -> None:
    """A peer that closes new connections is not asked again and again."""

    async def use() -> int:
        peer = Peer([CLOSE])
        async with peer as connections:
            with pytest.raises(Unreachable):
                await ask(connections)
        return peer.connections

    assert run(use()) == 1


def test_old_connections_are_not_trusted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle too long is closed, because load balancers drop such connections silently."""
    monkeypatch.setattr(connections_module, "POOL_IDLE", -1.0)

    async def use() -> int:
        peer = Peer([OK])
        async with peer as connections:
            await ask(connections)
            await ask(connections)
        return peer.connections

    assert run(use()) == 2


def test_unexpected_bytes_close_the_connection(run: Run) -> None:
    """Bytes after a response close the connection, so that the next request does not take them for its own response."""

    async def use() -> tuple[list[bytes], int]:
        peer = Peer([OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"], [OK])
        async with peer as connections:
            return [(await ask(connections)).body for _ in range(2)], peer.connections

    assert run(use()) == ([b"ok", b"ok"], 2)


def test_a_late_response(run: Run) -> None:
    """A peer that does not respond in time has timed out, and its late response is never read."""

    async def use() -> tuple[bool, bytes]:
        peer = Peer([b"HTTP/1.1 200 OK\r\n", None], [OK])
        async with peer as connections:
            with pytest.raises(Unreachable) as caught:
                await ask(connections, timeout=0.05)
            return caught.value.timed_out, (await ask(connections)).body

    assert run(use()) == (True, b"ok")


def test_kept_connections_that_went_silent(run: Run) -> None:
    """If a kept connection keeps silent, all others are closed: what lies between has often forgotten all of them."""

    async def use() -> tuple[set[bytes], int]:
        peer = Peer([OK], [OK], [OK], [None], [OK])
        async with peer as connections:
            await asyncio.gather(*(ask(connections) for _ in range(3)))
            with pytest.raises(Unreachable):
                await ask(connections, timeout=0.05)
            return {(await ask(connections)).body}, peer.connections

    assert run(use()) == ({b"ok"}, 4)


def test_a_cancelled_request_whose_response_came(run: Run) -> None:
    """A request that is cancelled in the moment of its response leaves the connection alone: another one may use it already."""

    async def use() -> tuple[bool, bool]:
        async with Peer([OK], [None]) as connections:
            await ask(connections)
            [kept] = connections._idle
            first = asyncio.create_task(ask(connections))
            await asyncio.sleep(0)
            kept.data_received(OK)
            first.cancel()  # the task does not know of the response yet
            await asyncio.wait({first})
            assert kept._transport is not None
            return first.cancelled(), kept._transport.is_closing()

    assert run(use()) == (True, False)


def test_many_at_once(run: Run) -> None:
    """Many concurrent requests each get their own connection and response; all connections are kept afterwards."""

    async def use() -> tuple[set[bytes], int]:
        peer = Peer([OK])
        async with peer as connections:
            for _ in range(3):
                found = {each.body for each in await asyncio.gather(*(ask(connections) for _ in range(8)))}
            return found, peer.connections

    assert run(use()) == ({b"ok"}, 8)


@pytest.mark.parametrize(
    ("target", "value"), [("/a b", "v"), ("/a\r\nb", "v"), ("/", "a\r\nx: y"), ("/", "a\nb"), ("/", "a\rb"), ("/ü漢", "v"), ("/", "漢")]
)
def test_requests_that_http_cannot_carry(run: Run, target: str, value: str) -> None:
    """Line breaks and characters that would turn it into another request are refused before anything is sent."""

    async def use() -> list[bytes]:
        peer = Peer([OK])
        async with peer as connections:
            with pytest.raises(Unsendable):
                await connections.exchange("GET", target, {"x": value}, b"", timeout=5.0)
        return peer.asked

    assert run(use()) == []


def test_tls(run: Run) -> None:
    """https accepts a peer whose authority is trusted, and otherwise refuses it and says why."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def use() -> tuple[bytes, str]:
        peer = Peer([OK], tls=context)
        async with peer as stranger:
            trusting = lambda: tls_context(authority.cert_pem.bytes())  # noqa: E731
            friend = Connections(f"https://127.0.0.1:{peer.port}", host="h", tls=trusting)
            try:
                body = (await ask(friend)).body
            finally:
                await friend.close()
            with pytest.raises(Unreachable) as caught:
                await ask(stranger)
            return body, str(caught.value)

    body, refused = run(use())
    assert body == b"ok"
    assert "certificate verify failed" in refused
