"""A URL, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.network.address import address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test", (False, "a.test", 80, "/", "a.test")),
        ("HTTPS://A.Test:443/x?y=%2F#z", (True, "a.test", 443, "/x?y=%2F", "a.test")),
        ("https://a.test:8443", (True, "a.test", 8443, "/", "a.test:8443")),
        ("http://[::1]:9/x", (False, "::1", 9, "/x", "[::1]:9")),
        ("https://bücher.test/ä b", (True, "xn--bcher-kva.test", 443, "/%C3%A4%20b", "xn--bcher-kva.test")),
        ("http://a.test?x", (False, "a.test", 80, "/?x", "a.test")),
    ],
)
def test_parts(url: str, expected: tuple[object, ...]) -> None:
    """Host and port are those to connect to; the target is as it was written, apart from what no request may contain."""
    assert tuple(address(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "/x",
        "ftp://a.test/",
        "http://",
        "http://u@a.test/",
        "http://u:p@a.test/",
        "http://a b/",
        "http://a.test:99999/",
        "http://a\\b/",
    ],
)
def test_no_address(url: str) -> None:
    """What is no http or https URL of one host is refused. So is a user: parsers disagree about where it ends."""
    with pytest.raises(ValueError, match=r"URL|host|port|Port"):
        address(url)


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?"), max_size=40))
def test_signed_bytes_stay(query: str) -> None:
    """Nothing printable changes: a signature covers the exact bytes."""
    assert address(f"https://store.test/key?{query}").target == (f"/key?{query}" if query else "/key")
