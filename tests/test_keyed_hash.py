"""HMAC-SHA-256 with a key that is used many times."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from offpoll.keyed_hash import KeyedHash


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_equals_the_standard_library(key: bytes, messages: list[bytes]) -> None:
    """Every digest equals that of `hmac`, whatever was digested before, for keys shorter and longer than a block."""
    keyed = KeyedHash(key)
    assert [keyed.digest(message) for message in messages] == [hmac.digest(key, message, "sha256") for message in messages]
