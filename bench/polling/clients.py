"""The schedules that are compared: ours, from the product's own plan, and those of clients that know nothing of the duration.

A peer has one parameter, a time that stretches its schedule; the bench sets it to what is best for the peer, on each workload anew, as
though somebody had measured that queue first. Its other parameters are its own. Read in the sources of the versions named:

    fixed              every τ. What people write by hand, and what most SDKs' examples show
    exponential        pauses of τ, 2 τ, 4 τ …: what tenacity's `wait_exponential` does by default, without the jitter that costs it more
    google-api-core    2.44, `future/polling.py`, DEFAULT_POLLING: at once, then pauses drawn evenly between 0 and d, d = 1, 1.5, 2.25 … up
                       to 20 s (`retry_base.exponential_sleep_generator`). Here 1 and 20 are τ and 20 τ
    azure-core         1.41, `polling/base_polling.py`: `_poll` asks at once, then after each answer's `Retry-After`, else every
                       `polling_interval` (30 s). Object stores send no `Retry-After`; here the interval is τ
    boto3 waiter       botocore 1.43, `waiter.py`: at once, then every `Delay` (15 s in most waiters), here τ: the same as azure-core
                       where nobody sends it a `Retry-After`
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from offpoll.poll_plan import JITTER, PollPlan, plan

__all__ = ["PEERS", "SECONDS", "follow", "ours"]

#: How long a mean duration is taken to be, seconds, where nothing else is said: far from the plan's floor and cap.
SECONDS = 10.0

#: google-api-core's own: each pause's upper end over the one before, and the last over the first.
GOOGLE_MULTIPLIER, GOOGLE_MAXIMUM = 1.5, 20.0


def ours(*, earliest: float, mean: float, weight: float, seconds: float) -> PollPlan:
    """Return the product's plan; all in mean durations of so many seconds, the weight in polls for one."""
    made = plan(earliest=earliest * seconds, mean=mean * seconds, lateness_weight=weight / seconds)
    return PollPlan(first=made.first / seconds, interval=made.interval / seconds)


def follow(made: PollPlan, dice: random.Random) -> Iterator[float]:
    """Give the times of the polls of a client that follows a plan, jitter included, as `poll_plan.pause` spreads them."""
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


#: By name: the times of the polls, for a stretch and for dice.
PEERS: Mapping[str, Callable[[float, random.Random], Iterator[float]]] = {
    "fixed": _fixed,
    "exponential": _exponential,
    "google-api-core": _google,
    "azure-core": _at_once,
    "boto3 waiter": _at_once,
}
