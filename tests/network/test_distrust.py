"""Servers that misbehave: responses without an end, and bytes that nobody asked for."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme

from offpoll.network.address import address
from offpoll.network.driving import TURN, run_async
from offpoll.network.http1 import ResponseReader
from offpoll.network.network import Network

OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"


def endless(first: bytes, more: bytes) -> Iterator[bytes]:
    return itertools.chain([first] * bool(first), itertools.repeat(more, 400))


@pytest.mark.parametrize(
    ("first", "more", "words"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10, "no head"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 50, "the trailers are too long"),
    ],
    ids=["interim responses", "trailers"],
)
def test_a_response_without_an_end(first: bytes, more: bytes, words: str) -> None:
    """What may be repeated before and after a response is read up to a limit, though none of it counts as its body."""
    reader = ResponseReader(limit=1000)
    with pytest.raises(ValueError, match=words):
        assert not any(reader.feed(each) for each in endless(first, more))


def test_a_fast_sender_leaves_others_their_turn() -> None:
    """A receive of bytes that are there already does not wait, but other tasks go on, and a timeout ends the request."""
    ticks = 0

    class Quick(asyncio.SelectorEventLoop):
        async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
            return b"\0"

    def hungry() -> Iterator[bytes | None]:
        for _ in range(100 * TURN):
            yield None

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def main() -> None:
        ticking = asyncio.ensure_future(tick())
        with socket.socket() as sock:
            await run_async(hungry(), sock, asyncio.get_running_loop())  # type: ignore[arg-type] # as a generator function
        ticking.cancel()

    with asyncio.Runner(loop_factory=Quick) as runner:
        runner.run(main())
    assert ticks >= 100


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_second_response_in_a_record_of_its_own(authority: trustme.CA) -> None:
    """A response that nobody asked for is not taken for the next request's, though TLS had it already when the first was read."""
    with answering(authority, lambda path: [OK % (len(path), path), OK % (7, b"another")]) as port:
        network = Network(user_agent="test", certificates=authority.cert_pem.bytes())
        bodies = [
            network.send("GET", address(f"https://127.0.0.1:{port}{path}"), headers={}, body=b"", limit=1000, timeout=5).body
            for path in ("/one", "/two")
        ]
        network.close()
    assert bodies == [b"/one", b"/two"]


@contextmanager
def answering(authority: trustme.CA, records: Callable[[bytes], Iterable[bytes]]) -> Iterator[int]:
    """Serve over TLS. What answers a request comes in one packet, in several records."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with connection, suppress(OSError):
            shaken = False
            while True:
                try:
                    if not shaken:
                        tls.do_handshake()
                        shaken = True
                    request = tls.read(65_536)
                    for record in records(request.split()[1]):
                        tls.write(record)
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    if not (data := connection.recv(65_536)):
                        return
                    incoming.write(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
