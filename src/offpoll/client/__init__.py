"""The polling client: submit an operation, wait for it at the object store, fetch its result.

Knows no board, queue or worker. What a client decides is in `flows` and `offpoll.client.polling`; `Client` and `AsyncClient` only drive it.
Exports are loaded when they are used, so that a sync program does not pay for asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offpoll.client.asynchronous import AsyncClient
    from offpoll.client.blocking import Client
    from offpoll.client.schedule import WaitResult
    from offpoll.client.transport import AsyncHttpTransport, AsyncTransport, HttpTransport, Transport
    from offpoll.ticket import Ticket

__all__ = ["AsyncClient", "AsyncHttpTransport", "AsyncTransport", "Client", "HttpTransport", "Ticket", "Transport", "WaitResult"]


def __getattr__(name: str) -> Any:
    """Load an export (PEP 562)."""
    if name == "AsyncClient":
        from offpoll.client.asynchronous import AsyncClient  # noqa: PLC0415 - it costs the import of asyncio

        return AsyncClient
    if name == "Client":
        from offpoll.client.blocking import Client  # noqa: PLC0415 - so that the package itself is free

        return Client
    if name == "WaitResult":
        from offpoll.client.schedule import WaitResult  # noqa: PLC0415 - the same

        return WaitResult
    if name in ("AsyncHttpTransport", "AsyncTransport", "HttpTransport", "Transport"):
        from offpoll.client import transport  # noqa: PLC0415 - the same

        return getattr(transport, name)
    if name == "Ticket":
        from offpoll.ticket import Ticket  # noqa: PLC0415 - the same

        return Ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
