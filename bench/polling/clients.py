"""The schedules to compare: ours, from the product's own plan, and those of clients that know nothing of the duration.

A peer has one parameter τ, which stretches its schedule. On each workload the bench sets it to the best value for the peer, as if its user
had measured that queue first. A peer's other parameters keep their defaults, as found in the sources of the versions named:

    fixed              every τ. People write it by hand, and most SDKs' examples show it
    exponential        pauses of τ, 2 τ, 4 τ …, as tenacity's `wait_exponential` by default, without the jitter that costs it more
    google-api-core    2.44, `future/polling.py`, DEFAULT_POLLING: at once, then pauses drawn evenly between 0 and d, d = 1, 1.5, 2.25 … up
                       to 20 s (`retry_base.exponential_sleep_generator`). Here 1 and 20 are τ and 20 τ
    azure-core         1.41, `polling/base_polling.py`: `_poll` polls at once, then after each response's `Retry-After`, else every
                       `polling_interval` (30 s). Object stores send no `Retry-After`; here the interval is τ
    boto3 waiter       botocore 1.43, `waiter.py`: at once, then every `Delay` (15 s in most waiters), here τ: the same as azure-core
                       without a `Retry-After`
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from offpoll.poll_plan import JITTER, PollPlan, plan

__all__ = ["PEERS", "SECONDS", "follow", "ours"]

#: The seconds of a mean duration by default: far from the plan's floor and cap.
SECONDS = 10.0

#: google-api-core's own: the longest possible pause over the one before, and the last over the first.
GOOGLE_MULTIPLIER, GOOGLE_MAXIMUM = 1.5, 20.0


def ours(*, earliest: float, mean: float, weight: float, seconds: float) -> PollPlan:
    """Return the product's plan. All times are in mean durations of `seconds`; the weight is in polls for one mean duration."""
    made = plan(earliest=earliest * seconds, mean=mean * seconds, lateness_weight=weight / seconds)
    return PollPlan(first=made.first / seconds, interval=made.interval / seconds)


def follow(made: PollPlan, dice: random.Random) -> Iterator[float]:
    """Yield the times at which a client polls that follows a plan, with the jitter of `poll_plan.pause`."""
    time = made.first + JITTER * dice.random() * min(made.first, made.interval)
    while True:
        yield time
        time += made.interval * (1 + JITTER * (2 * dice.random() - 1))


def _fixed(stretch: float, _: random.Random) -> Iterator[float]:
    time = 0.0
    while True:
        time += stretch
        yield time


def _exponential(stretch: float, _: random.Random) -> Iterator[float]:
    time, pause = 0.0, stretch
    while True:
        time += pause
        yield time
        pause *= 2


def _google(stretch: float, dice: random.Random) -> Iterator[float]:
    time, most = 0.0, stretch
    while True:
        yield time
        time += dice.uniform(0.0, most)
        most = min(most * GOOGLE_MULTIPLIER, stretch * GOOGLE_MAXIMUM)


def _at_once(stretch: float, _: random.Random) -> Iterator[float]:
    time = 0.0
    while True:
        yield time
        time += stretch


#: By name: a function that yields the times of the polls, given a stretch and dice.
PEERS: Mapping[str, Callable[[float, random.Random], Iterator[float]]] = {
    "fixed": _fixed,
    "exponential": _exponential,
    "google-api-core": _google,
    "azure-core": _at_once,
    "boto3 waiter": _at_once,
}
