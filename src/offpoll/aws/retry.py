"""Decides whether to repeat a failed call, how long to wait first, and when to stop repeating because too many calls fail.

Looks only at statuses and error codes, as the SDKs' standard mode does. Does no I/O and has no clock.

Source: docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html; figures as in botocore's retries/standard.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from offpoll.instant import retry_after

__all__ = ["EXPIRED", "MAX_ATTEMPTS", "RetryBudget", "delay", "is_throttle", "is_transient", "stated_delay"]

#: Tries of one call, the first included.
MAX_ATTEMPTS = 3

#: First backoff after a failure, and after throttling, seconds.
BASE = 0.05
BASE_THROTTLED = 1.0

#: Longest backoff, seconds.
MAX_BACKOFF = 20.0

#: Statuses that are not the request's fault, besides those from 500 on: a slow network, too many requests, a client that hung up (MinIO).
_TRANSIENT_STATUSES = frozenset({408, 429, 499})

#: Statuses from 500 on that a retry does not help: not implemented, and a version of HTTP that the peer does not speak.
_FINAL_STATUSES = frozenset({501, 505})

#: Transient errors, by their codes without "Exception": of AWS itself, and of stores and queues with its protocols. The codes are those
#: that botocore retries (`_retry.json`, `retries/standard.py`, `retryable` in its models), and those whose text calls them transient.
_TRANSIENT_CODES = frozenset(
    {
        *("InternalError", "InternalFailure", "InternalServerError", "InternalServer", "InternalServiceError", "KMSInternal"),
        *("RequestTimeout", "DependencyTimeout", "OperationTimedOut", "IDPCommunicationError"),
        *("ServiceUnavailable", "KeyUnavailable", "TemporarilyUnavailable", "ServerNotInitialized", "XMinioServerNotInitialized"),
        # the body came damaged or cut short
        *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "ClientDisconnect", "ClientDisconnected"),
        # another request has the item now
        *("ReplicatedWriteConflict", "TransactionConflict", "TransactionInProgress"),
    }
)

#: Errors that ask for fewer calls, in the same form.
_THROTTLE_CODES = frozenset(
    {
        *("BandwidthLimitExceeded", "PriorRequestNotComplete", "ProvisionedThroughputExceeded"),
        *("LimitExceeded", "RequestLimitExceeded", "OverLimit", "RateExceeded", "ErrRequestBytesExceed"),
    }
)
_THROTTLE = re.compile(r"throttl|slow.?down|too.?many.?requests?$|rate.?limit", re.IGNORECASE)

#: Codes that mean that these credentials have ended. New ones may work.
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})


def is_throttle(status: int, code: str) -> bool:
    """Tell whether the service asks for fewer calls."""
    bare = _bare(code)
    return status == 429 or bare in _THROTTLE_CODES or _THROTTLE.search(bare) is not None


def is_transient(status: int, code: str) -> bool:
    """Tell whether the same request may succeed a moment later.

    Args:
        status: the response's; 0 for an entry of a batch, which has none.
        code: the error's, or nothing.
    """
    if status in _FINAL_STATUSES:
        return False
    return status >= 500 or status in _TRANSIENT_STATUSES or _bare(code) in _TRANSIENT_CODES or is_throttle(status, code)


def _bare(code: str) -> str:
    """Return a code without its namespace (`KMS.`, `AWS.SimpleQueueService.`) and without "Exception"."""
    return code.rpartition(".")[2].removesuffix("Exception")


def delay(failures: int, *, throttled: bool, random: Callable[[], float]) -> float:
    """Return the seconds to wait after `failures` failed tries: full jitter over an exponential, so that callers spread out."""
    return random() * min(MAX_BACKOFF, (BASE_THROTTLED if throttled else BASE) * 2.0 ** (failures - 1))


def stated_delay(stated: str | None, amz_retry_after: str | None, *, date: datetime | None) -> float:
    """Return the seconds that the response asks for; 0 if it asks for none.

    Args:
        stated: its `Retry-After`, seconds or a date.
        amz_retry_after: its `x-amz-retry-after`, milliseconds, which takes precedence.
        date: its `Date`.
    """
    if amz_retry_after and amz_retry_after.isascii() and amz_retry_after.isdigit():
        return int(amz_retry_after) / 1000
    return float(retry_after(stated, date=date) or 0)


class RetryBudget:
    """Tokens of one service that retries spend and successes give back. While the service is down, retries stop adding to its load."""

    #: Tokens at the start, which is also the maximum.
    CAPACITY = 500
    #: Tokens for a retry, and for one after a timeout.
    COST = 5
    COST_TIMEOUT = 10
    #: Tokens that a call gives back if its first try succeeds.
    REFUND = 1

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = self.CAPACITY

    def spend(self, *, timed_out: bool) -> int:
        """Take the tokens for one retry and return their number; 0 if too few are left: do not retry."""
        cost = self.COST_TIMEOUT if timed_out else self.COST
        if self.tokens < cost:
            return 0
        self.tokens -= cost
        return cost

    def succeed(self, spent: int) -> None:
        """Give back the tokens of a call's last retry, or REFUND if it needed none."""
        if self.tokens < self.CAPACITY:
            self.tokens = min(self.CAPACITY, self.tokens + (spent or self.REFUND))
