"""offpoll takes status polling away from asynchronous HTTP APIs and gives it to object storage.

A service: `Offpoll`, `Operation`, `Fail`. A client: `Client`, `AsyncClient`. An API of one's own: `connect`. Workers of one's own too:
`status_board`.

Everything is loaded when it is first used (PEP 562), so that a client does not pay for a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offpoll.board import StatusBoard as StatusBoard
    from offpoll.client import AsyncClient as AsyncClient
    from offpoll.client import Client as Client
    from offpoll.client import Waited as Waited
    from offpoll.context import Operation as Operation
    from offpoll.errors import ConfigurationError as ConfigurationError
    from offpoll.errors import Fail as Fail
    from offpoll.errors import Forbidden as Forbidden
    from offpoll.errors import OffpollError as OffpollError
    from offpoll.errors import OperationCanceled as OperationCanceled
    from offpoll.errors import OperationFailed as OperationFailed
    from offpoll.errors import Unauthorized as Unauthorized
    from offpoll.errors import WaitTimeout as WaitTimeout
    from offpoll.http.asgi import application as application
    from offpoll.http.asgi import router as router
    from offpoll.service import Offpoll as Offpoll
    from offpoll.service import Service as Service
    from offpoll.settings import Settings as Settings
    from offpoll.ticket import Ticket as Ticket
    from offpoll.wiring import blocking_board as blocking_board
    from offpoll.wiring import connect as connect
    from offpoll.wiring import status_board as status_board

__all__ = [
    # a service
    "Offpoll",
    "Operation",
    "Fail",
    # its API
    "application",
    "router",
    "connect",
    "Service",
    "Settings",
    "Unauthorized",
    "Forbidden",
    # the board as a library
    "status_board",
    "blocking_board",
    "StatusBoard",
    # a client
    "Client",
    "AsyncClient",
    "Ticket",
    "Waited",
    "OperationFailed",
    "OperationCanceled",
    "WaitTimeout",
    # every error
    "OffpollError",
    "ConfigurationError",
]

__version__ = "0.1.0"

_HOME = {
    "offpoll.board": "StatusBoard",
    "offpoll.client": "AsyncClient Client Waited",
    "offpoll.context": "Operation",
    "offpoll.errors": "ConfigurationError Fail Forbidden OffpollError OperationCanceled OperationFailed Unauthorized WaitTimeout",
    "offpoll.http.asgi": "application router",
    "offpoll.service": "Offpoll Service",
    "offpoll.settings": "Settings",
    "offpoll.ticket": "Ticket",
    "offpoll.wiring": "blocking_board connect status_board",
}
_MODULES = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a name where it lives."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'offpoll' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
