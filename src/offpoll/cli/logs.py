"""Configures logging: logs go to stderr, and times are in UTC. The access log is in `access_log`."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from offpoll.cli.unblocked import unblocked_text
from offpoll.log_lines import AboutFilter

__all__ = ["LEVELS", "configure"]

LEVELS = ("debug", "info", "warning", "error")


def configure(level: str) -> None:
    """Set up logging, unless the program has done so itself."""
    handler = _handler(unblocked_text(sys.stderr), "%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for chatty in ("boto3", "botocore"):  # at info they log where each client found its credentials
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _handler(stream: Any, form: str) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    formatter = _TextLines(form, datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(AboutFilter())
    return handler


class _TextLines(logging.Formatter):
    """Ends each line with the operation that it is about, unless the line names it already."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        line = super().formatMessage(record)
        fields = ((name, getattr(record, name, None)) for name in ("operation_id", "kind", "attempt"))
        about = [f"{name}={value}" for name, value in fields if value is not None and not (name == "operation_id" and value in line)]
        return f"{line} [{' '.join(about)}]" if about else line
