"""When a failed call is worth repeating, how long to wait first, and when too many have failed to go on repeating.

Decides from statuses and error codes alone, as the SDKs' standard mode does. Does no I/O and has no clock.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html; figures as in botocore's retries/standard.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from offpoll.instant import retry_after

__all__ = ["EXPIRED", "MAX_ATTEMPTS", "RetryBudget", "delay", "is_throttle", "is_transient", "stated_delay"]

#: Tries of one call, the first included.
MAX_ATTEMPTS = 3

#: Seconds of the first backoff after a failure, and after throttling.
BASE = 0.05
BASE_THROTTLED = 1.0

#: No backoff is longer, seconds.
MAX_BACKOFF = 20.0

#: Statuses that say nothing about the request.
_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable"}
)
_THROTTLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

#: Codes that mean: these credentials have ended. Others may work.
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})


def is_throttle(status: int, code: str) -> bool:
    """Tell whether the service asks for less."""
    return status == 429 or code in _THROTTLE_CODES


def is_transient(status: int, code: str) -> bool:
    """Tell whether the same request may succeed a moment later."""
    return status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES or code in _THROTTLE_CODES


def delay(failures: int, *, throttled: bool, random: Callable[[], float]) -> float:
    """Return the seconds to wait after so many failures: full jitter over an exponential, so that callers spread."""
    return random() * min(MAX_BACKOFF, (BASE_THROTTLED if throttled else BASE) * 2.0 ** (failures - 1))


def stated_delay(stated: str | None, amz_retry_after: str | None, *, date: datetime | None) -> float:
    """Return the seconds that the answer itself asks for: `Retry-After` (seconds or a date), `x-amz-retry-after` (milliseconds); else 0."""
    if amz_retry_after and amz_retry_after.isascii() and amz_retry_after.isdigit():
        return int(amz_retry_after) / 1000
    return float(retry_after(stated, date=date) or 0)


class RetryBudget:
    """Tokens that retries spend and successes give back: while a service is down, retries stop multiplying its load.

    A budget belongs to one service.
    """

    #: Tokens at the start, and at most.
    CAPACITY = 500
    #: What one retry spends, and one after a timeout.
    COST = 5
    COST_TIMEOUT = 10
    #: What a call that succeeded at once gives back.
    REFUND = 1

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = self.CAPACITY

    def spend(self, *, timed_out: bool) -> int:
        """Take the tokens of one retry and return how many; 0: there are not enough, do not retry."""
        cost = self.COST_TIMEOUT if timed_out else self.COST
        if self.tokens < cost:
            return 0
        self.tokens -= cost
        return cost

    def succeed(self, spent: int) -> None:
        """Give back what the last retry of a call took, or REFUND where it had none."""
        if self.tokens < self.CAPACITY:
            self.tokens = min(self.CAPACITY, self.tokens + (spent or self.REFUND))
