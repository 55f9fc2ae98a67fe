"""Writes log records as text or as JSON, one a line, each with the operation that it is about. Names are those of Lambda's JSON lines.

{"timestamp": "2030-01-01T00:00:00.000Z", "level": "INFO", "logger": "offpoll.work.delivery", "message": "operation 01…: …",
 "requestId": "…", "operation_id": "01…", "kind": "order"}
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOBase
from typing import TextIO

from offpoll.instant import to_wire

__all__ = ["AboutFilter", "JsonLines", "TextLines", "about", "handler"]

_about: ContextVar[dict[str, str | int]] = ContextVar("offpoll_log_about", default={})  # noqa: B039 - never changed, only replaced

#: Attributes that every record has, and those that Lambda's runtime adds. Others came with `extra=` and belong in the line.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "aws_request_id", "tenant_id"}

#: How a line of text begins.
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Put fields into every line that any library writes inside. They follow into tasks, and into threads that copy the context."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        try:
            _about.reset(token)
        except ValueError:
            pass  # an abandoned coroutine is closed in another context, which was never changed


class AboutFilter(logging.Filter):
    """Adds the fields to records, for a formatter of another library. Put it on a handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with the fields added."""
        vars(record).update(_about.get())
        return True


def handler(stream: TextIO | TextIOBase, *, form: str, text: str = _TEXT) -> logging.Handler:
    """Return a handler that writes to a stream.

    Args:
        form: `json`, or `text`.
        text: how a line of text is put together.
    """
    made = logging.StreamHandler(stream)
    made.setFormatter(JsonLines() if form == "json" else TextLines(text))
    made.addFilter(AboutFilter())
    return made


class TextLines(logging.Formatter):
    """Writes a record as a line of text, with the time in UTC. It ends with the operation that it is about, unless the line says that.

    Args:
        form: how a line is put together.
        end: ends each line, if the handler does not.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, form: str = _TEXT, *, end: str = "") -> None:
        super().__init__(form, datefmt="%Y-%m-%dT%H:%M:%SZ")
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return super().format(record) + self._end

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line, without a traceback."""
        line, fields = super().formatMessage(record), vars(record)
        about = [
            f"{name}={fields[name]}" for name, said in _SAID.items() if fields.get(name) is not None and said % fields[name] not in line
        ]
        return f"{line} [{' '.join(about)}]" if about else line


#: What a line is about, and how it says so in its own words.
_SAID = {"operation_id": "%s", "kind": "(%s)", "attempt": "attempt %s"}


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON.

    Args:
        end: ends each line, if the handler does not.
    """

    def __init__(self, *, end: str = "") -> None:
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "timestamp": to_wire(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: value for name, value in vars(record).items() if name not in _OWN and not name.startswith("_")},
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields, separators=(",", ":"), default=str) + self._end
