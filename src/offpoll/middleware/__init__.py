"""Middleware that comes along: one behaviour a file. Give them to `Offpoll(middleware=[...])`, outermost first."""

from offpoll.middleware.operation_log import OperationFilter, operation_log

__all__ = ["OperationFilter", "operation_log"]
