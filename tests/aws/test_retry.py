"""Which errors are retried, and after what delay. `test_wire` tests the retries themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from offpoll.aws.retry import MAX_BACKOFF, delay, is_throttle, is_transient, stated_delay


def test_stated_delays() -> None:
    """Retry-After is seconds or a date, measured from the response's own Date; x-amz-retry-after is milliseconds and beats it."""
    date = datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC)
    assert stated_delay("7", None, date=date) == 7.0
    assert stated_delay("Mon, 23 Nov 2026 18:00:09 GMT", None, date=date) == 9.0
    assert stated_delay("Mon, 23 Nov 2026 17:00:00 GMT", None, date=date) == 0.0
    assert stated_delay("7", "1500", date=date) == 1.5
    assert stated_delay("soon", "-3", date=date) == 0.0
    assert stated_delay(None, None, date=None) == 0.0


def test_backoffs_double_and_spread() -> None:
    """A backoff is random between zero and its limit. The limit doubles, and is longer under throttling."""
    limits = [delay(failures, throttled=False, random=lambda: 1.0) for failures in (1, 2, 3)]
    assert limits == [0.05, 0.1, 0.2]
    assert delay(1, throttled=True, random=lambda: 1.0) == 1.0
    assert delay(50, throttled=True, random=lambda: 1.0) == MAX_BACKOFF
    assert delay(2, throttled=False, random=lambda: 0.5) == 0.05


def test_throttling_is_told_apart() -> None:
    """Only errors that ask for less count as throttling and back off longer; failures and refusals do not."""
    assert is_throttle(429, "")
    assert all(is_throttle(503, code) for code in ("SlowDown", "ThrottlingException", "RequestThrottled"))
    assert not any(is_throttle(503, code) for code in ("ServiceUnavailable", "", "InternalError"))
    assert is_transient(400, "ThrottlingException")
    assert not is_transient(400, "ValidationException")
