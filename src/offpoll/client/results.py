"""A result as the caller's own type. Knows pydantic only where a type is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from offpoll.errors import ApiError, ConfigurationError

__all__ = ["result_reader"]


def result_reader(result_type: Any) -> Callable[[bytes], Any]:
    """Return what makes a value of a JSON result: of plain JSON values, or, with a type that pydantic can validate, of that type.

    The function raises ApiError for a result that is not of that type.

    Raises:
        ConfigurationError: the type needs pydantic, which is not installed.
    """
    if result_type is None:
        return json.loads
    try:
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - an optional extra, and 128 ms of import
    except ImportError as error:
        raise ConfigurationError("result_type needs pydantic: pip install 'offpoll[server]', or leave it out") from error
    adapter = TypeAdapter(result_type)

    def read(body: bytes) -> Any:
        try:
            return adapter.validate_json(body)
        except ValidationError as error:
            raise ApiError(f"the operation succeeded, but its result is not a {result_type!r}: {error}", status=200) from error

    return read
