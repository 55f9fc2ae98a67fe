"""`offpoll stats`: its output for people and for scripts, and its exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.support.deployed_operations import submit
from tests.support.service_time_spans import span

from offpoll.instant import utc_now
from offpoll.settings import Settings
from offpoll.wiring import dependencies

Run = Callable[..., Any]


def report(resources: dict[str, str], *seconds: float, **counts: int) -> None:
    """Report service times of `order`, as a worker does."""

    async def main() -> None:
        own = dependencies(Settings.load(environ=resources), environ=resources)
        try:
            await own.service_times.add("order", span(*seconds, until=utc_now(), **counts))
        finally:
            await own.close()

    asyncio.run(main())


def test_a_working_app(offpoll: Run, resources: dict[str, str]) -> None:
    """People read a table, scripts the same as JSON; no secret is needed."""
    report(resources, *[2.0] * 50, inside=40, early=4, late=6)
    submit(resources, {"sku": "A1"})
    variables = {name: value for name, value in resources.items() if name != "OFFPOLL_SECRET"}
    shown = offpoll("stats", "shop:app", **variables)
    assert (shown.code, shown.err) == (0, "")
    assert "80%, 8% early, 12% late" in shown.out
    assert "1 visible, 0 in flight, 0 delayed" in shown.out
    said = json.loads(offpoll("stats", "shop:app", "--json", **variables).out)
    order = said["kinds"]["order"]
    assert order["completions_last_hour"] == 50
    assert order["service_time"]["mean"] == 2.0
    assert order["ended"]["inside_share"] == 0.8
    assert said["queue"]["visible"] == 1


def test_nothing_yet(offpoll: Run, resources: dict[str, str]) -> None:
    """An app that has done nothing is shown as such: exit code 0."""
    shown = offpoll("stats", "shop:app", **resources)
    assert shown.code == 0
    assert "not known yet" in shown.out


def test_mistakes(offpoll: Run, resources: dict[str, str]) -> None:
    """A missing table or app: exit code 2, and a sentence with the remedy."""
    wrong = offpoll("stats", "shop:app", **{**resources, "OFFPOLL_RECORDS_TABLE": "nowhere"})
    assert (wrong.code, "OFFPOLL_RECORDS_TABLE" in wrong.err) == (2, True)
    wrong = offpoll("stats", "shop:nothing", **resources)
    assert (wrong.code, "write nothing = Offpoll()" in wrong.err) == (2, True)
    assert offpoll("stats", **resources).code == 2
