"""The owner's part of a document's key: one segment of the path, whatever the owner's text."""

from __future__ import annotations

import base64
import hashlib
import re

from offpoll.arguments import shown
from offpoll.errors import ConfigurationError
from offpoll.operation import is_owner

__all__ = ["segment"]

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def segment(owner: str) -> str:
    """Return the owner's part of a key: the owner if plain, else a digest of it, marked by a dot.

    Raises:
        ConfigurationError: this cannot be an owner.
    """
    if isinstance(owner, str) and _PLAIN.fullmatch(owner):
        return owner
    if not is_owner(owner):
        raise ConfigurationError(f"an owner is 1 to 256 printable characters, not {shown(owner)}")
    return "." + base64.urlsafe_b64encode(hashlib.sha256(owner.encode()).digest()).decode().rstrip("=")
