"""The documentation's figures follow from their prices, or are measured again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.pages import page, rows

from offpoll import Offpoll, Operation, Settings
from offpoll.lateness import DEFAULT_WEIGHT, read_weight
from offpoll.poll_plan import plan
from offpoll.testing import system

#: eu-west-1, USD, list prices of autumn 2026. The article's where they differ.
PRICE = {
    "rest": 3.50e-6, "http": 1.11e-6, "lambda": 0.2e-6, "x86": 0.0000166667, "arm": 0.0000133334,
    "read": 0.1415e-6, "article read": 0.283e-6, "put": 5e-6, "get": 0.4e-6, "gb": 0.023,
}  # fmt: skip

MILLION = 1_000_000

#: The README's rows, and those of costs.md.
README_CPU = {
    "accept a request": "a whole accepted request",
    "presign a URL": "presign a URL with a session token",
    "work on a message": "a message through the worker, beside Celery and Dramatiq over SQS",
}


def costs() -> dict[str, float]:
    """Return the reference case: 100,000 operations, a million polls, 10 KB a status."""
    slow = MILLION * (0.5 * 0.25 * PRICE["x86"] + PRICE["lambda"])
    fast = MILLION * (0.05 * 0.125 * PRICE["arm"] + PRICE["lambda"])
    reads = 1.5 * MILLION * PRICE["read"]
    return {
        "article": 3.50 + round(slow, 2) + round(1.5 * MILLION * PRICE["article read"], 2),  # it adds rounded lines
        "rest": MILLION * PRICE["rest"] + slow + reads,
        "http": MILLION * PRICE["http"] + fast + reads,
        "url": fast + reads,
        "store, one write": 100_000 * PRICE["put"] + MILLION * PRICE["get"] + PRICE["gb"],
        "store": 2 * 100_000 * PRICE["put"] + MILLION * PRICE["get"] + PRICE["gb"],
        "store, three writes": 3 * 100_000 * PRICE["put"] + MILLION * PRICE["get"] + PRICE["gb"],
    }


def test_the_costs_add_up() -> None:
    """The sums of both tables follow from the prices."""
    text = page("docs/costs.md")
    api, store = (rows(part, "|")[-1] for part in text.split("<!-- cost -->")[1:3])
    sums = [float(each) for cell in (*api, *store) for each in re.findall(r"\*\*([0-9.]+)\*\*", cell)]
    assert sums == [
        round(costs()[name], 2) for name in ("article", "rest", "http", "url", "store, one write", "store", "store, three writes")
    ]


def test_the_break_evens_follow_from_the_prices() -> None:
    """Polls for each operation from which PUTs and GETs cost less than the API's polls."""
    table = rows(page("docs/costs.md"), "<!-- break-even -->")
    for row, name in zip(table, ("rest", "http", "url"), strict=False):
        for cell, writes in zip(row[1:], (2, 3), strict=True):
            polls = writes * PRICE["put"] / (costs()[name] / MILLION - PRICE["get"])
            assert float(cell) == (round(polls) if polls > 100 else round(polls, 1))


def test_the_readme_says_what_the_pages_say() -> None:
    """Its table of measured figures is taken from costs.md and protocol.md, which say how they were measured."""
    told = {row[0]: row[1:] for row in rows(page("README.md"), "## What it is good at")}
    measured = {row[0]: row[1] for row in rows(page("docs/costs.md"), "## CPU")}
    for row, name in README_CPU.items():
        assert told[row][0] == f"{measured[name]} times less CPU"
    ours, theirs = told["polls for the same delay"]
    said = " ".join(page("docs/protocol.md").split())
    assert f"an operation takes {ours.removesuffix(' an operation')} polls" in said
    fixed, waiter = re.findall(r"\d\.\d+", theirs)
    assert f"fixed intervals need {fixed} times as many polls, azure-core and boto3's waiters {waiter} times" in said
    sums = re.findall(r"\d\.\d\d", " ".join(told["a million polls, ten an operation"]))
    assert [float(each) for each in sums] == [round(costs()[name], 2) for name in ("store", "rest", "http")]


def test_the_poll_plan_is_the_formula() -> None:
    """First poll and interval as protocol.md writes them, and its example."""
    made = plan(earliest=20.0, mean=30.0, lateness_weight=2.0)
    assert made.interval == pytest.approx((1.6 * (30 - 20) / 2) ** 0.5)
    assert made.first == pytest.approx(20 + made.interval)
    said = re.search(
        r"p10 of ([0-9.]+) s and a mean of ([0-9.]+) s.*first after ([0-9.]+) s,\s+then every ([0-9.]+) s", page("docs/protocol.md"), re.S
    )
    assert said
    earliest, mean, first, interval = map(float, said.groups())
    example = plan(earliest=earliest, mean=mean, lateness_weight=read_weight(DEFAULT_WEIGHT))
    assert (round(example.first, 1), round(example.interval, 1)) == (first, interval)


_POLLS = rows(page("docs/client.md"), "<!-- polls -->")


@pytest.mark.parametrize("row", _POLLS, ids=lambda row: f"{row[0]}, {row[1]}")
def test_the_measured_polls_are_reproduced(row: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty operations after each other, on virtual time."""
    seconds, with_progress = float(row[0].removesuffix(" s")), row[1] != "no"
    app = Offpoll()

    @app.operation("order")
    async def work(order: dict[str, int], operation: Operation) -> int:
        for percent in range(1, 101):
            await asyncio.sleep(seconds / 100)
            if with_progress:
                operation.progress(percent / 100)
        return order["number"]

    puts = 0

    def counted(verb: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            nonlocal puts
            puts += 1
            return await verb(*arguments, **options)

        return call

    with system(app, settings=Settings(secret="0" * 32, expected_service_time=seconds)) as running:
        for verb in ("create", "replace"):
            monkeypatch.setattr(running.store, verb, counted(getattr(running.store, verb)))
        for number in range(20):
            running.client.wait(running.client.submit("order", {"number": number}), timeout=None)
    at_the_api = sum("api.invalid" in url for _, url, _ in running.requests)
    polls = len(running.requests) - at_the_api
    assert [polls / 20, at_the_api / 20, puts / 20] == pytest.approx([float(cell) for cell in row[2:5]], abs=0.06)
