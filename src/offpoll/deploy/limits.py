"""A service's kinds against the stack's numbers. Decides whether operations could end as their kinds say; must not know AWS."""

from __future__ import annotations

from collections.abc import Iterable

from offpoll.errors import ConfigurationError
from offpoll.kind import Kind
from offpoll.work.batch import RESERVE

__all__ = ["check_limits"]


def check_limits(kinds: Iterable[Kind], *, worker_timeout: int, most_attempts: int) -> None:
    """Refuse kinds that the stack cannot serve. A kind that does not say a limit gets the stack's.

    Args:
        kinds: the service's, as registered.
        worker_timeout: seconds the worker function may run.
        most_attempts: attempts that the queue is made for; one more receive than those and the spare ones is a dead letter.

    Raises:
        ConfigurationError: naming the kind, and the parameter to change.
    """
    for kind in kinds:
        longest = worker_timeout - int(RESERVE)
        if "timeout" in kind.said and kind.timeout > longest:
            raise ConfigurationError(
                f"the timeout of {kind.name!r} is {kind.timeout:g} s, but the worker function ends after {worker_timeout} s and keeps "
                f"{RESERVE:g} s for itself: give the kind at most {longest} s, or a larger parameter WorkerTimeout (Lambda's limit is 900)"
            )
        if "attempts" in kind.said and kind.attempts > most_attempts:
            raise ConfigurationError(
                f"{kind.name!r} has {kind.attempts} attempts, but the queue is made for {most_attempts}: set parameter MostAttempts to "
                f"{kind.attempts} or more"
            )
