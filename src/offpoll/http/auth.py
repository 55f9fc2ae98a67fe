"""Who is calling: from a request to an owner. Decides nothing about what an owner may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Authorize", "Caller"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """What is known of a caller before anything else is read.

    Attributes:
        method, path: of the request.
        headers: names in lowercase. Left out of `repr`: they may carry credentials.
        claims: what an authorizer in front of the service has verified, as API Gateway hands it on; empty where there is none. Unlike a
            header, no caller can set them.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


#: Returns the owner, or raises Unauthorized or Forbidden: nothing of the request has been read then, and nothing is enqueued.
Authorize = Callable[[Caller], Awaitable[str]]
