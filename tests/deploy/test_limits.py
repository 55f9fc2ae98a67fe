"""Kinds that the stack could not serve are refused, with the parameter to change."""

from __future__ import annotations

from typing import Any

import pytest

from offpoll import ConfigurationError, Offpoll, Settings
from offpoll.deploy.limits import check_limits


def check(*, worker_timeout: int = 300, most_attempts: int = 3, **limits: Any) -> None:
    app = Offpoll()

    @app.operation("order", **limits)
    def order(input: dict[str, Any]) -> None: ...

    check_limits(app.kinds(Settings()).values(), worker_timeout=worker_timeout, most_attempts=most_attempts)


def test_a_timeout_that_the_function_has_no_time_for() -> None:
    """The function needs 30 s of its own; a kind may have the rest, to the second."""
    check(timeout=270)
    why = r"'order' is 271 s, but the worker function ends after 300 s .* at most 270 s, .* WorkerTimeout"
    with pytest.raises(ConfigurationError, match=why):
        check(timeout=271)


def test_more_attempts_than_the_queue_is_made_for() -> None:
    """A message is delivered so often, and then is a dead letter."""
    check(attempts=3)
    with pytest.raises(ConfigurationError, match="'order' has 4 attempts, but the queue is made for 3: set parameter MostAttempts to 4"):
        check(attempts=4)


def test_what_a_kind_does_not_say_is_the_stack_s() -> None:
    """The template sets OFFPOLL_TIMEOUT by the function's; a default of this machine says nothing."""
    check(worker_timeout=60, most_attempts=1)
