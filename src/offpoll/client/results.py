"""The results of waits, and how a result becomes the caller's type."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar, cast

from offpoll.arguments import shown
from offpoll.document import Document
from offpoll.errors import ApiError, ClientError, ConfigurationError
from offpoll.json_types import adapter_of
from offpoll.ticket import Ticket
from offpoll.values.structs import StructAdapter

__all__ = ["WaitArguments", "WaitResult", "result_reader", "shows_result"]

T_co = TypeVar("T_co", covariant=True)


class WaitArguments(TypedDict, total=False):
    """What `wait_all` and `as_completed` take besides `result_type`; see `Client.wait_all`."""

    timeout: float | None
    on_update: Callable[[Document], object] | None
    max_in_flight: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitResult(Generic[T_co]):
    """How the wait for one of many tickets ended. It reads like a finished `concurrent.futures.Future`.

    Attributes:
        ticket: the same object that you passed.
    """

    ticket: Ticket
    _value: T_co | None = field(default=None, repr=False)
    _error: ClientError | None = None

    def result(self) -> T_co:
        """Return the operation's result.

        Raises:
            ClientError: the error that `wait` would have raised.
        """
        if self._error is not None:
            raise self._error
        return cast("T_co", self._value)

    def exception(self) -> ClientError | None:
        """Return the error that `wait` would have raised; None if there is a result."""
        return self._error


def shows_result(document: Document) -> bool:
    """Tell whether an ended operation's result is what its document shows, which may be null: without an API, it is nowhere else.

    Our API gives every document a digest, and leaves the links out only if its address is too long for them. A document without an end is
    not the store's: an API told the client of it.
    """
    alone = document.digest is None and document.finished_at is not None
    return "self" not in document.links and (alone or document.result is not None)


def result_reader(result_type: Any) -> Callable[[bytes], Any]:
    """Return a function that reads a JSON result: as a type that pydantic or msgspec knows, or, without one, as plain JSON values.

    That function raises ApiError for a result of another type.

    Raises:
        ConfigurationError: the type has no JSON form, or needs pydantic, which is not installed.
    """
    if result_type is None:
        return json.loads
    try:
        if isinstance(result_type, str):
            raise TypeError("it is the name of a type; give the type itself")
        adapter = adapter_of(result_type)
        if not isinstance(adapter, StructAdapter):
            import pydantic  # noqa: F401, PLC0415 - an optional extra, and 128 ms of import; plain types need it to say what is wrong
    except ImportError as error:
        raise ConfigurationError("result_type needs pydantic: pip install 'offpoll[server]', or leave it out") from error
    except Exception as error:  # Python or pydantic may raise anything for a value that is not a type
        raise ConfigurationError(f"no result can be read as {shown(result_type)}: {error}") from error

    def read(body: bytes) -> Any:
        try:
            return adapter.validate_json(body.decode())
        except ValueError as error:
            raise ApiError(f"the operation succeeded, but its result is not a {result_type!r}: {error}", status=200) from error

    return read
