"""The transports, against an HTTP server on this machine."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offpoll.client.transport import AsyncHttpTransport, HttpTransport
from offpoll.exchange import Fetch, NoAnswer, Response


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        if self.path == "/slow":
            type(self).released.wait(5)
        self.send_response(302 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("Location", "/elsewhere")
        content = b"x" * 1000 if self.path == "/long" else b"hello"
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Twice", "1")
        self.send_header("X-Twice", "2")
        self.send_header("X-Alphabet", "café")
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the server's own naming

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Own", (Handler,), {"seen": [], "released": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.seen, server.url = handler.seen, f"http://127.0.0.1:{server.server_port}"
    yield server
    handler.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def send_sync(fetch):
    transport = HttpTransport()
    try:
        return transport.send(fetch)
    finally:
        transport.close()


def send_async(fetch):
    async def main():
        transport = AsyncHttpTransport()
        try:
            return await transport.send(fetch)
        finally:
            await transport.close()

    return asyncio.run(main())


@pytest.fixture(params=[send_sync, send_async], ids=["sync", "async"])
def send(request):
    return request.param


def test_response(send, server):
    """A response has the status, the body, and the headers in lowercase (the first of several)."""
    answer = send(Fetch(to="store", url=server.url + "/a?b=c%2Fd", headers={"If-None-Match": '"e"'}, timeout=5))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.complete, answer.headers["x-twice"]) == (200, b"hello", True, "1")
    assert answer.date is not None
    ((method, path, headers, body),) = server.seen
    assert (method, path, headers["if-none-match"], body) == ("GET", "/a?b=c%2Fd", '"e"', b"")
    assert not {"referer", "cookie", "authorization"} & headers.keys()


@pytest.mark.parametrize("body", [b"", b'{"a":1}'])
def test_post(send, server, body):
    """A POST states the length of its body, even if it has none."""
    send(Fetch(to="api", method="POST", url=server.url + "/order", body=body, timeout=5))
    ((method, _, headers, received),) = server.seen
    assert (method, headers["content-length"], received) == ("POST", str(len(body)), body)


def test_a_header_that_is_not_ascii(send, server):
    """A header that is not ASCII, from some proxy, does not end the polling."""
    answer = send(Fetch(to="store", url=server.url + "/", timeout=5))
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["x-twice"]) == (200, "1")


def test_redirects_are_not_followed(send, server):
    """A transport returns a redirect like any other response."""
    assert send(Fetch(to="store", url=server.url + "/redirect", timeout=5)).status == 302
    assert len(server.seen) == 1


@pytest.mark.parametrize(("limit", "length", "complete"), [(1000, 1000, True), (999, 999, False), (10, 10, False)])
def test_long_bodies_are_cut(send, server, limit, length, complete):
    """A transport keeps at most `max_bytes` of a body, and `complete` says whether it was cut."""
    answer = send(Fetch(to="store", url=server.url + "/long", max_bytes=limit, timeout=5))
    assert (len(answer.body), answer.complete) == (length, complete)


def test_timeout(send, server):
    """A request that takes longer than its timeout gets no answer."""
    answer = send(Fetch(to="store", url=server.url + "/slow", timeout=0.05))
    assert isinstance(answer, NoAnswer)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/?secret", "http://no such host/?secret", "secret", "ftp://127.0.0.1/?secret", "http://127.0.0.1:99999/?secret"],
)
def test_no_answer_is_a_value(send, url):
    """For a host out of reach a transport returns NoAnswer instead of raising, and the reason does not repeat the URL."""
    answer = send(Fetch(to="store", url=url, timeout=5))
    assert isinstance(answer, NoAnswer)
    assert answer.reason
    assert "secret" not in answer.reason
