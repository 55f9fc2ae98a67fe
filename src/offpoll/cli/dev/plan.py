"""What one run of `offpoll dev` is to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offpoll.settings import Settings

__all__ = ["Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The command's arguments, once they are checked. `port` is None if the user left it open; `value` is JSON text or empty."""

    reference: str
    api: str
    settings: Settings
    port: int | None
    data: Path
    once: bool
    example: bool
    value: str
    reload: bool
