"""Puts the operation into every log record that is written while its handler runs, in whatever library it is written."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from offpoll.context import CallNext, Operation

__all__ = ["OperationFilter", "operation_log"]

_current: ContextVar[Operation | None] = ContextVar("offpoll_operation", default=None)


class OperationFilter(logging.Filter):
    """Adds `operation_id`, `kind` and `attempt` to log records; `-` and 0 outside of a handler.

    Add it to a logging handler, not to a logger: a logger's filters do not see what other loggers hand on.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with the fields added."""
        operation = _current.get()
        record.operation_id = "-" if operation is None else operation.id
        record.kind = "-" if operation is None else operation.kind
        record.attempt = 0 if operation is None else operation.attempt
        return True


async def operation_log(operation: Operation, call_next: CallNext) -> Any:
    """Let `OperationFilter` know which operation's handler runs. Follows into tasks and, for sync handlers, into their thread."""
    token = _current.set(operation)
    try:
        return await call_next(operation)
    finally:
        _current.reset(token)
