"""offpoll takes status polling away from asynchronous HTTP APIs and gives it to object storage.

An app: `Offpoll`, `Operation`, `Fail`. A client: `Client`. Your own API: `connect`. Your own API and workers: `status_board`.
A bare name blocks; the same name with `Async` or `async_` in front is awaited.

Each name is imported when first used (PEP 562), so a client does not pay for a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offpoll.app import Caller as Caller
    from offpoll.app import Offpoll as Offpoll
    from offpoll.blocking import Service as Service
    from offpoll.blocking import StatusBoard as StatusBoard
    from offpoll.board import AsyncStatusBoard as AsyncStatusBoard
    from offpoll.client import AsyncClient as AsyncClient
    from offpoll.client import Client as Client
    from offpoll.client import WaitResult as WaitResult
    from offpoll.document import Document as Document
    from offpoll.errors import ApiError as ApiError
    from offpoll.errors import ApiUnavailable as ApiUnavailable
    from offpoll.errors import ConfigurationError as ConfigurationError
    from offpoll.errors import Fail as Fail
    from offpoll.errors import Forbidden as Forbidden
    from offpoll.errors import InvalidInput as InvalidInput
    from offpoll.errors import OffpollError as OffpollError
    from offpoll.errors import OperationCanceled as OperationCanceled
    from offpoll.errors import OperationFailed as OperationFailed
    from offpoll.errors import Unauthorized as Unauthorized
    from offpoll.errors import WaitTimeout as WaitTimeout
    from offpoll.http.asgi import application as application
    from offpoll.http.asgi import router as router
    from offpoll.http.wsgi import wsgi_application as wsgi_application
    from offpoll.lookup import Snapshot as Snapshot
    from offpoll.operation import Operation as Operation
    from offpoll.operation import Progress as Progress
    from offpoll.service import AsyncService as AsyncService
    from offpoll.settings import Settings as Settings
    from offpoll.ticket import Ticket as Ticket
    from offpoll.wiring import async_connect as async_connect
    from offpoll.wiring import async_status_board as async_status_board
    from offpoll.wiring import connect as connect
    from offpoll.wiring import status_board as status_board

__all__ = [
    # an app
    "Offpoll",
    "Operation",
    "Fail",
    "Caller",
    "Unauthorized",
    "Forbidden",
    # its API
    "application",
    "router",
    "wsgi_application",
    "connect",
    "async_connect",
    "Service",
    "AsyncService",
    "Snapshot",
    "Settings",
    # the status board as a library
    "status_board",
    "async_status_board",
    "StatusBoard",
    "AsyncStatusBoard",
    "Document",
    "Progress",
    # a client
    "Client",
    "AsyncClient",
    "Ticket",
    "WaitResult",
    "OperationFailed",
    "OperationCanceled",
    "WaitTimeout",
    "ApiError",
    "ApiUnavailable",
    "InvalidInput",
    # every error
    "OffpollError",
    "ConfigurationError",
]

__version__ = "0.1.0"

_HOME = {
    "offpoll.app": "Caller Offpoll",
    "offpoll.blocking": "Service StatusBoard",
    "offpoll.board": "AsyncStatusBoard",
    "offpoll.client": "AsyncClient Client WaitResult",
    "offpoll.document": "Document",
    "offpoll.errors": "ApiError ApiUnavailable ConfigurationError Fail Forbidden InvalidInput OffpollError OperationCanceled "
    "OperationFailed Unauthorized WaitTimeout",
    "offpoll.http.asgi": "application router",
    "offpoll.http.wsgi": "wsgi_application",
    "offpoll.lookup": "Snapshot",
    "offpoll.operation": "Operation Progress",
    "offpoll.service": "AsyncService",
    "offpoll.settings": "Settings",
    "offpoll.ticket": "Ticket",
    "offpoll.wiring": "async_connect async_status_board connect status_board",
}
_MODULES = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a name from its module."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'offpoll' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
