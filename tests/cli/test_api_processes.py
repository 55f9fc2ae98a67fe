"""The parent of an API's processes, where one of them hangs."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing import connection
from typing import Any

import pytest

from offpoll.cli import api_processes
from offpoll.cli.api_processes import _Signals, _Worker, _Workers


class Hanging(_Worker):
    """A process that never serves, and ends when told to."""

    def __init__(self, *, serves: bool = False) -> None:
        self.report, reporting = connection.Pipe(duplex=False)
        self.reporting = reporting  # so that the report does not end
        self.process: Any = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
        self.process.start()
        self.serves = serves


@pytest.mark.parametrize("dies", [True, False])
def test_a_replacement_that_hangs(monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    """The parent gives it up after a while, and at once if one of those that serve needs its care."""
    monkeypatch.setattr(api_processes, "START", 60.0 if dies else 0.2)
    made: list[Hanging] = []

    def start() -> Hanging:
        made.append(Hanging())
        return made[-1]

    signals = _Signals()
    signals.wakeup.setblocking(False)
    workers = _Workers(start, 1, signals)
    old = Hanging(serves=True)
    workers._workers = [old]
    if dies:
        old.process.kill()
    begun = time.monotonic()
    workers._replace()
    assert time.monotonic() - begun < 30
    assert (workers._workers, made[0].process.is_alive()) == ([old], False)
    workers._end([old])
    for each in (signals.wakeup, signals._written, old.reporting, made[0].reporting):
        each.close()
