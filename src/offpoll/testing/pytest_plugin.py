"""The pytest fixture: `offpoll_system(app)` starts a service in memory, which ends with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from offpoll.testing.system import System

__all__ = ["offpoll_system"]


@pytest.fixture
def offpoll_system() -> Iterator[Callable[..., System]]:
    """Provide a function that starts a service in memory: `system = offpoll_system(app)`; arguments as for `offpoll.testing.system`."""
    from offpoll.testing.system import system  # noqa: PLC0415 - pytest loads this plugin in every project that has offpoll installed

    with ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(system(app, **options))
