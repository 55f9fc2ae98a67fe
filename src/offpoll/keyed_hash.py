"""HMAC-SHA-256 under a key that is used many times. It does not know what is signed.

An HMAC is two hashes over a padded key (RFC 2104). Both are kept as hash states that already contain the key. Copying a state is cheaper
than keying anew, which is most of what `hmac.digest` costs for a short message.
"""

from __future__ import annotations

import hashlib

__all__ = ["KeyedHash"]

_BLOCK = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class KeyedHash:
    """HMAC-SHA-256 under one key.

    Attributes:
        inner, outer: the two hash states after the key, for callers that go on from a common beginning.
    """

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK, b"\0")
        self.inner = hashlib.sha256(key.translate(_INNER_PAD))
        self.outer = hashlib.sha256(key.translate(_OUTER_PAD))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes of a message's HMAC."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()
