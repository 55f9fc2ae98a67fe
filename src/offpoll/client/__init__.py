"""The polling client: submits an operation, waits for it at the object store and fetches its result.

`flows` and `polling` decide what a client does; `Client` and `AsyncClient` drive them. A name is imported when it is first used (PEP 562),
so that a blocking program does not pay for asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offpoll.client.asynchronous import AsyncClient
    from offpoll.client.blocking import Client
    from offpoll.client.results import WaitResult
    from offpoll.client.transport import AsyncHttpTransport, AsyncTransport, HttpTransport, Transport
    from offpoll.ticket import Ticket

__all__ = ["AsyncClient", "AsyncHttpTransport", "AsyncTransport", "Client", "HttpTransport", "Ticket", "Transport", "WaitResult"]

_MODULES = {
    "AsyncClient": "offpoll.client.asynchronous",
    "AsyncHttpTransport": "offpoll.client.transport",
    "AsyncTransport": "offpoll.client.transport",
    "Client": "offpoll.client.blocking",
    "HttpTransport": "offpoll.client.transport",
    "Ticket": "offpoll.ticket",
    "Transport": "offpoll.client.transport",
    "WaitResult": "offpoll.client.results",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
