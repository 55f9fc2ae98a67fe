"""The log lines of an operation: one when an attempt begins, one when it ends, which says whether another one follows.

    operation 5f2b… (order): attempt 2 of 3 begins, accepted 61.204 s ago; taken over: the lease of web-7:4711 lapsed
    operation 5f2b… (order): attempt 2 of 3 ended with KeyError after 0.310 s; the next one begins in 3.1 s at the earliest
    operation 5f2b… (order): succeeded after 3.214 s, attempt 3

JSON lines have the same facts as fields. Decides wording and level, never what happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from offpoll.operation import Record, Status
from offpoll.work.job import Job

__all__ = ["Seldom", "begins", "ended", "failed_attempt", "held", "overtaken"]

#: How long a repeated line is suppressed, seconds.
SILENCE = 60.0

#: Most different lines that are counted: their words may come from messages, which anybody may have written.
MOST_LINES = 100


def begins(log: logging.Logger, job: Job, before: Record | None, *, now: datetime) -> None:
    """Say that an attempt begins. `before` is the record as it was, if there was one."""
    if job.record is None or not log.isEnabledFor(logging.INFO):
        return
    attempt, submission = job.record.attempt, job.message.submission
    waited = max(0.0, (now - submission.created_at).total_seconds())
    fields: dict[str, object] = {"attempt": attempt, "attempts": job.kind.attempts, "waited": round(waited, 3)}
    how = ""
    if before is not None and before.token is not None:
        fields["taken_over_from"] = before.holder
        how = f"; taken over: the lease of {before.holder or 'another worker'} lapsed"
    log.info(
        "operation %s (%s): attempt %d of %d begins, %s%s",
        submission.operation_id, submission.kind, attempt, job.kind.attempts,
        f"waited {waited:.3f} s" if attempt == 1 else f"accepted {waited:.3f} s ago", how, extra=fields,
    )  # fmt: skip


def ended(log: logging.Logger, record: Record, *, took: float | None = None, where: str = "") -> None:
    """Say how an operation ended, a failure as a warning. `took` is the last attempt's time, if it ended just now."""
    submission, outcome = record.submission, record.outcome
    level = logging.WARNING if record.status is Status.FAILED else logging.INFO
    if outcome is None or not log.isEnabledFor(level):
        return
    error = outcome.error or {}
    code = str(error.get("code", "")) if record.status is Status.FAILED else ""
    cause = f" ({error['cause']})" if "cause" in error else ""
    fields: dict[str, object] = {"status": str(record.status), "attempt": record.attempt}
    fields |= {"code": code} if code else {}
    fields |= {} if took is None else {"duration": round(took, 3)}
    log.log(
        level,
        "operation %s (%s): %s%s%s, attempt %d%s",
        submission.operation_id, submission.kind, record.status, f" with {code}{cause}" if code else "",
        "" if took is None else f" after {took:.3f} s", record.attempt, where, extra=fields,
    )  # fmt: skip


def failed_attempt(log: logging.Logger, job: Job, *, how: str, took: float, again_in: float) -> None:
    """Say that an attempt ended without an outcome, and what follows: another one, or the end if attempts are spent."""
    submission, attempt = job.message.submission, 0 if job.record is None else job.record.attempt
    if attempt >= job.kind.attempts:
        then = "no attempt is left, and the next delivery ends it"
    else:
        then = f"the next one begins in {again_in:.1f} s at the earliest" if again_in else "another worker may begin the next one"
    log.warning(
        "operation %s (%s): attempt %d of %d %s after %.3f s; %s",
        submission.operation_id, submission.kind, attempt, job.kind.attempts, how, took, then,
        extra={"attempt": attempt, "attempts": job.kind.attempts, "duration": round(took, 3)},
    )  # fmt: skip


def overtaken(log: logging.Logger, job: Job) -> None:
    """Say that another attempt has begun while this one ran."""
    submission, attempt = job.message.submission, 0 if job.record is None else job.record.attempt
    log.warning("operation %s (%s): attempt %d was overtaken; its result is dropped", submission.operation_id, submission.kind, attempt)


def held(log: logging.Logger, job: Job, holder: str, seconds: float) -> None:
    """Say that an operation cannot begin yet."""
    submission = job.message.submission
    why = f"{holder} holds it" if holder else "another worker holds it, or it backs off"
    log.info("operation %s (%s): %s; its message comes back in %.0f s", submission.operation_id, submission.kind, why, seconds)


class Seldom:
    """Lets a line through once a minute, and counts the ones that it suppresses.

    Args:
        monotonic: seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said: dict[str, tuple[float, int]] = {}

    def count(self, line: str) -> int:
        """Return how often this line came since it was last let through, this time included; 0 to stay silent."""
        now = self._monotonic()
        at, count = self._said.get(line, (-SILENCE, 0))
        if now - at < SILENCE:
            self._said[line] = (at, count + 1)
            return 0
        if len(self._said) >= MOST_LINES:
            self._said.clear()
        self._said[line] = (now, 0)
        return count + 1
