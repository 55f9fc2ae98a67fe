"""Requests that ask for another protocol, as Java's HTTP client and `curl --http2` do without TLS: answered as if they did not ask."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.http.test_direct import GET, SUBMIT, alike, request, serve
from tests.support.fast_apis import GOOD

from offpoll.http.direct import DirectProtocol

H2C = [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk")]
WEBSOCKET = [(b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")]
CHUNKED = b'3\r\n{"s\r\n9\r\nku":"A1"}\r\n0\r\n\r\n'


def in_pieces(whole: bytes, size: int) -> Sequence[bytes]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


@pytest.mark.parametrize("wish", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("body", [GOOD, CHUNKED], ids=["length", "chunked"])
def test_it_is_answered_as_any_other(wish: list[tuple[bytes, bytes]], size: int, body: bytes) -> None:
    """Its body is read, and the requests after it too, wherever their bytes are cut."""
    coding = [(b"Transfer-Encoding", b"chunked")] if body is CHUNKED else []
    plain = alike([request("POST", "/order", body, coding), GET, SUBMIT])
    served = serve(DirectProtocol, [*in_pieces(request("POST", "/order", body, [*wish, *coding]), size), GET, SUBMIT])
    assert served == plain
    assert served.text.count(b"HTTP/1.1 202 ") == 3


def test_its_body_is_no_request() -> None:
    """A body that looks like a request stays a body: behind a proxy it would be answered in the place of somebody else's."""
    body = request("GET", "/livez")
    served = serve(DirectProtocol, [request("POST", "/order", body, H2C)[: -len(body)], body, GET])
    assert served.text.count(b"HTTP/1.1 ") == len(served.lines) == 2
    assert "POST /order" in served.lines[0]
    assert served.text.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_json"' in served.text


def test_many_in_one_piece() -> None:
    """As many as come at once are answered."""
    served = serve(DirectProtocol, [request("GET", "/livez", b"", H2C) * 400])
    assert (served.text.count(b"HTTP/1.1 200 "), served.closed) == (400, False)


@pytest.mark.parametrize("target", ["/livez", "api.test:443"])
def test_a_tunnel(target: str) -> None:
    """A tunnel is refused, and what would go through it is not read."""
    served = serve(DirectProtocol, [request("CONNECT", target) + GET])
    assert (served.text.count(b"HTTP/1.1 "), served.text[:13], served.closed) == (1, b"HTTP/1.1 400 ", True)
