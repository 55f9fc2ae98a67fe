"""Log records as JSON, one object a line, each with the operation that it is about.

Decides the fields of a line and where they come from. Must not know who reads it. The names that Lambda's own JSON lines have are theirs.

    {"timestamp": "2030-01-01T00:00:00.000Z", "level": "INFO", "logger": "offpoll.work.process", "message": "operation 01…: …",
     "requestId": "…", "operation_id": "01…", "kind": "order"}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

__all__ = ["JsonLines", "about"]

_about: ContextVar[dict[str, str]] = ContextVar("offpoll_log_about", default={})  # noqa: B039 - never changed, only replaced

#: What every record has; the rest was given with `extra=` and belongs into the line.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Put fields into every line that is written inside, in whatever library. Follows into tasks, and threads that copy the context."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {
            "timestamp": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields, separators=(",", ":"), default=str)
