"""Where HTTP/1.1 responses end, and which bytes are responses at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offpoll.aws.http1 import read_body, read_head


def body_of(answer: bytes) -> bytes | None:
    """Return the body of a response that arrived in one piece, or None if it is incomplete."""
    found = read_head(answer)
    body = None if found is None else read_body(found[0].size, found[1], ended=False)
    return None if body is None else body[0]


@given(st.binary(max_size=60), st.lists(st.integers(1, 9), max_size=8))
def test_chunks_in_any_pieces(body: bytes, cuts: list[int]) -> None:
    """A chunked body is read whole, however it was cut; without its last byte it is incomplete."""
    chunks, rest = [], body
    for cut in cuts:
        if rest[:cut]:
            chunks.append(rest[:cut])
        rest = rest[cut:]
    text = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*chunks, rest] if each) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert body_of(head + text) == body
    assert all(body_of((head + text)[:end]) is None for end in range(1, len(head + text)))


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_bytes_after_a_body(body: bytes, rest: bytes) -> None:
    """Bytes after a body of a given length are told apart from it, so that such a connection is not kept."""
    found = read_head(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body + rest)
    assert found is not None
    assert read_body(found[0].size, found[1], ended=False) == (body, rest)


def test_the_head() -> None:
    """Names become lower case, white space around values is dropped, and the last of two equal names wins."""
    found = read_head(b"HTTP/1.1 404 Not Found\r\nDate:  now \r\nX-A: 1\r\nx-a: 2\r\nempty:\r\nContent-Length: 0\r\n\r\n")
    assert found is not None
    head, rest = found
    assert (head.status, head.keep, head.size, rest) == (404, True, 0, b"")
    assert head.headers == {"date": "now", "x-a": "2", "empty": "", "content-length": "0"}
