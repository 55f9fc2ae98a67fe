"""Configures logging: logs go to stderr, as text or as JSON. The access log is in `access_log`."""

from __future__ import annotations

import logging
import os
import sys

from offpoll.cli.unblocked import unblocked_text
from offpoll.log_lines import handler

__all__ = ["LEVELS", "configure", "form"]

LEVELS = ("debug", "info", "warning", "error")


def form() -> str:
    """Return OFFPOLL_LOG_FORMAT. It is read before the settings are, so that errors in them are logged in that form too."""
    return os.environ.get("OFFPOLL_LOG_FORMAT", "text").strip()


def configure(level: str) -> None:
    """Set up logging, unless the program has done so itself."""
    logging.basicConfig(level=level.upper(), handlers=[handler(unblocked_text(sys.stderr), form=form())])
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for chatty in ("boto3", "botocore"):  # at info they log where each client found its credentials
        logging.getLogger(chatty).setLevel(logging.WARNING)
