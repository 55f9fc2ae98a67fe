"""What a worker takes from its surroundings: clocks and randomness. Must not know what they are used for."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from offpoll.instant import utc_now

__all__ = ["Ambient"]


@dataclass(frozen=True, kw_only=True)
class Ambient:
    """The clocks and the randomness of a worker.

    Attributes:
        clock: the wall clock, for documents.
        monotonic: the clock of leases.
        random: numbers from 0 to 1.
        token: a fresh claim token.
    """

    clock: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    token: Callable[[], str] = lambda: secrets.token_hex(16)
