"""Requests answered straight from uvicorn's parser: byte for byte what uvicorn's own protocol answers, with no ASGI on the way."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http.test_fast_path import ODD, ROUTED
from tests.support.fast_apis import GOOD, World, by_serve
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from offpoll.cli.access_log import Lines
from offpoll.cli.api_processes import _server
from offpoll.exchange import Response
from offpoll.http.direct import LINGER, DirectProtocol
from offpoll.http.fast_path import FastPath, Route
from offpoll.http.proxies import BehindProxies, TrustedProxies
from offpoll.testing import run_virtual


class Transport(asyncio.Transport):
    """The server's end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 80)})
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Counting(FastPath):
    """Counts the requests that come by ASGI."""

    calls = 0

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        self.calls += 1
        return super().__call__(scope, receive, send)


@dataclass
class Served:
    """What came of a connection: the bytes written, whether it was closed, the access log; and how, which is not compared."""

    text: bytes
    closed: bool
    lines: list[str]
    writes: int = field(compare=False)
    calls: int = field(compare=False)


def serve(
    http: type[HttpToolsProtocol],
    parts: Sequence[bytes],
    *,
    gone: bool = False,
    ends: bool = False,
    routes: Sequence[Route] | None = None,
    behind: Callable[[FastPath], Any] = lambda app: app,
) -> Served:
    """Serve one connection on which these bytes come. `gone`: then the client leaves; `ends`: the server ends with requests open."""
    stream, transport = io.BytesIO(), Transport()

    async def main() -> int:
        world, lines = await World().fill(), Lines(stream)
        fast = by_serve(world.service, lines=lines)
        app = Counting(fast.app, fast._routes.values() if routes is None else routes, answered=fast.answered)
        made = Config(
            behind(app), http=http, interface="asgi3", access_log=False, log_config=None, server_header=False, proxy_headers=False
        )
        made.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Tue, 01 Jan 2030 00:00:00 GMT")]
        protocol = http(config=made, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
        protocol.connection_made(transport)
        for part in parts:
            protocol.data_received(world.path(part.decode("latin-1")).encode("latin-1"))
        if ends:
            protocol.shutdown()
        await asyncio.sleep(1)
        if gone:
            transport.closed = True
            protocol.connection_lost(None)
        await asyncio.sleep(1)
        assert not state.tasks
        lines.flush()
        return app.calls

    calls = run_virtual(main())
    lines = [re.sub(r"[0-9.]+ ms", "ms", each.partition(" ")[2]) for each in stream.getvalue().decode().splitlines()]
    return Served(b"".join(transport.writes), transport.closed, lines, len(transport.writes), calls)


def alike(parts: Sequence[bytes], **given: Any) -> Served:
    """Serve a connection both ways; they are alike in all that anybody sees."""
    ours = serve(DirectProtocol, parts, **given)
    assert ours == serve(HttpToolsProtocol, parts, **given)
    return ours


def request(method: str, path: str, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = (), *, version: str = "1.1") -> bytes:
    pairs = [(b"host", b"api.test"), *headers]
    if body and not {b"content-length", b"transfer-encoding"} & {name.lower() for name, _ in pairs}:
        pairs.append((b"Content-Length", b"%d" % len(body)))
    return b"%b %b HTTP/%b\r\n%b\r\n%b" % (
        *(method.encode(), path.encode(), version.encode()),
        *(b"".join(b"%b: %b\r\n" % pair for pair in pairs), body),
    )


SUBMIT, GET = request("POST", "/order", GOOD), request("GET", "/order/<queued>")

#: Requests that go through ASGI: they negotiate, or are no route's, or come in a form that uvicorn reads better.
LEFT_TO_UVICORN = {
    "close": request("POST", "/order", GOOD, [(b"Connection", b"close")]),
    "1.0": request("POST", "/order", GOOD, version="1.0"),
    "1.0, kept": request("POST", "/order", GOOD, [(b"connection", b"keep-alive")], version="1.0"),
    "100-continue": request("POST", "/order", GOOD, [(b"Expect", b"100-continue")]),
    "chunked": request("POST", "/order", b'3\r\n{"s\r\n9\r\nku":"A1"}\r\n0\r\n\r\n', [(b"Transfer-Encoding", b"chunked")]),
    "long": request("POST", "/order", b"x" * 70_000),
    "encoded": request("GET", "/%6frder/<queued>"),
    "whole URL": request("GET", "http://api.test/order/<queued>"),
    "fragment": request("GET", "/order/<queued>#part"),
    "not ASCII": "GET /order/ü HTTP/1.1\r\nhost: a\r\n\r\n".encode(),
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
    "no host": b"POST /order HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
}


#: Those of a route's requests that can be sent as they stand, and that need nothing special of HTTP.
PLAIN = [each for each in ROUTED if b"content-length" not in dict(each[3]) and each[1].isascii() and not {" ", "{"} & {*each[1]}]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), PLAIN)
def test_a_routes_request(method: str, path: str, body: bytes, headers: Any, status: int) -> None:
    """A request for a route gets the same bytes, in one write, and no ASGI application is asked."""
    served = alike([request(method, path, body, headers)])
    assert served.text.startswith(b"HTTP/1.1 %d " % status)
    assert (served.writes, served.calls, served.closed, len(served.lines)) == (1, 0, False, 1)


@pytest.mark.parametrize(("method", "path", "status"), [each for each in ODD if each[1][:1] == "/" and "{" not in each[1]])
def test_any_other_request(method: str, path: str, status: int) -> None:
    """What is no route's goes to uvicorn, and gets the application's answer."""
    served = alike([request(method, path, GOOD)])
    assert served.text.startswith(b"HTTP/1.1 %d " % status)
    assert served.calls == 1


@pytest.mark.parametrize("name", LEFT_TO_UVICORN)
def test_what_is_left_to_uvicorn(name: str) -> None:
    """What negotiates, or is long, or is written in an unusual way, is answered by uvicorn; the next request is answered here again."""
    served = alike([LEFT_TO_UVICORN[name]])
    assert served.text.startswith(b"HTTP/1.")
    if not served.closed:
        after = alike([LEFT_TO_UVICORN[name], GET])
        assert after.text.startswith(served.text)
        assert len(after.text) > len(served.text)


PROXIES = {
    "one": [(b"X-Forwarded-Proto", b"https")],
    "several": [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"198.51.100.7:99"), (b"x-forwarded-proto", b"https, http")],
    "host": [(b"x-forwarded-host", b"shop.example"), (b"x-forwarded-proto", b"https")],
    "Forwarded": [(b"Forwarded", b"for=203.0.113.9;proto=https")],
    "nonsense": [(b"x-forwarded-proto", b"gopher"), (b"x-forwarded-for", b"")],
}


@pytest.mark.parametrize("said", PROXIES)
@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.1", "*", None])
@pytest.mark.parametrize("root_path", ["", "/v1"])
def test_a_proxys_headers(said: str, trusted: str | None, root_path: str) -> None:
    """What a trusted proxy says decides the links and the client in the log, as it does by ASGI; no other's word does."""

    def behind(app: FastPath) -> Any:
        return app if trusted is None else BehindProxies(app, trusted=TrustedProxies(trusted), root_path=root_path)

    below = alike([request("GET", "/v1/order/<queued>")], behind=behind)
    assert below.calls == (0 if root_path and trusted else 1)
    served = alike([request("POST", "/order", GOOD, PROXIES[said])], behind=behind)
    assert served.calls == 0
    assert (b'"self":"https://' in served.text) is (trusted in ("127.0.0.1", "*") and said != "nonsense")


@given(data=st.data())
@settings(deadline=None)
def test_any_bytes_in_any_parts(data: st.DataObject) -> None:
    """Requests that come together or in pieces are answered one after the other, in order, as uvicorn does."""
    known = st.sampled_from([SUBMIT, GET, request("GET", "/livez"), request("GET", "/docs"), *LEFT_TO_UVICORN.values()])
    sent = b"".join(data.draw(st.lists(known, min_size=1, max_size=5)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    parts = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) if start < end]
    whole = data.draw(st.integers(1, len(parts)))
    alike(parts[:whole], gone=whole < len(parts) or data.draw(st.booleans()))


def test_a_client_that_goes_away_in_mid_body() -> None:
    """A client that leaves before its request was whole gets nothing; the access log says 499."""
    served = alike([SUBMIT[:-3]], gone=True)
    assert (served.text, served.lines) == (b"", ['127.0.0.1 "POST /order" 499 ms'])


def test_the_server_ends() -> None:
    """A server that ends answers what it has begun, says that it closes the connection, and closes it."""
    served = alike([SUBMIT], ends=True)
    assert served.closed
    assert b"\r\nconnection: close\r\n" in served.text


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("late", [[SUBMIT], [b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n"], []])
def test_a_request_on_its_way_to_a_server_that_ends(before: int, late: list[bytes]) -> None:
    """An idle connection stays open for a moment: a request that was sent meanwhile gets its answer, which ends the connection."""

    async def main() -> list[bytes]:
        loop, transport, world = asyncio.get_running_loop(), Transport(), await World().fill()
        made = Config(by_serve(world.service), http=DirectProtocol, interface="asgi3", log_config=None, proxy_headers=False)
        made.load()
        protocol = DirectProtocol(config=made, server_state=ServerState(), app_state={}, _loop=loop)
        protocol.connection_made(transport)
        for _ in range(before):
            protocol.data_received(SUBMIT)
            await asyncio.sleep(0.01)
        protocol.shutdown()
        await asyncio.sleep(LINGER / 2)
        assert not transport.closed
        transport.writes.clear()
        for each in late:
            protocol.data_received(each)
            await asyncio.sleep(0.01)
        assert transport.closed is bool(late)
        await asyncio.sleep(LINGER)
        assert transport.closed
        return transport.writes

    answers = b"".join(run_virtual(main()))
    assert answers.count(b"HTTP/1.1 20") == answers.count(b"connection: close") == bool(late)


def test_an_idle_connection_is_closed() -> None:
    """An idle connection ends after the server's keep-alive, which counts from the last answer."""

    async def main(http: type[HttpToolsProtocol]) -> list[float]:
        loop, transport, world = asyncio.get_running_loop(), Transport(), await World().fill()
        made = Config(by_serve(world.service), http=http, interface="asgi3", log_config=None, timeout_keep_alive=75, proxy_headers=False)
        made.load()
        protocol = http(config=made, server_state=ServerState(), app_state={}, _loop=loop)
        protocol.connection_made(transport)
        protocol.data_received(request("GET", "/livez"))
        await asyncio.sleep(70)
        protocol.data_received(request("GET", "/livez"))
        await asyncio.sleep(70)
        first = transport.closed
        await asyncio.sleep(10)
        return [first, transport.closed]

    assert run_virtual(main(DirectProtocol)) == run_virtual(main(HttpToolsProtocol)) == [False, True]


def test_offpoll_serve_uses_it() -> None:
    """The processes of `offpoll serve` run uvicorn with this protocol."""
    assert _server(lambda _: None, lambda: None, {}).config.http is DirectProtocol


@pytest.mark.parametrize("headers", [{"location": "/a\r\nset-cookie: b"}, {"x": "a\nb"}, {"x": "€"}])
def test_no_header_forges_another(headers: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An answer whose header holds a line break, or what HTTP cannot express, is not sent: the log says so, and the connection ends."""

    async def respond(_: str, __: Any) -> Response:
        return Response(status=200, headers=headers, body=b"{}")

    served = serve(DirectProtocol, [GET], routes=[Route(method="GET", path="/order/{operation_id}", row="get", respond=respond)])
    assert (served.text, served.closed) == (b"", True)
    assert "a fault in offpoll: GET /order/" in caplog.text
