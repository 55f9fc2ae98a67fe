"""A result as the caller's own type. Knows pydantic only where a type is asked for."""

from __future__ import annotations

import json
from typing import Any

from offpoll.errors import ApiError, ConfigurationError

__all__ = ["read_result"]


def read_result(body: bytes, result_type: Any) -> Any:
    """Return a JSON result: plain JSON values, or, with a type that pydantic can validate, a value of it.

    Raises:
        ApiError: the result is not of that type.
        ConfigurationError: the type needs pydantic, which is not installed.
    """
    if result_type is None:
        return json.loads(body)
    try:
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - an optional extra, and 128 ms of import
    except ImportError as error:
        raise ConfigurationError("result_type needs pydantic: pip install 'offpoll[server]', or leave it out") from error
    try:
        return TypeAdapter(result_type).validate_json(body)
    except ValidationError as error:
        raise ApiError(f"the operation succeeded, but its result is not a {result_type!r}: {error}", status=200) from error
