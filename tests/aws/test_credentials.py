"""Keeping credentials fresh while their source fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll.aws.credentials import Credentials, FetchedCredentials, StaticCredentials
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable, OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


class Source:
    """A source of credentials that last an hour, with a clock. It can fail."""

    def __init__(self) -> None:
        self.now = NOW
        self.asked = 0
        self.fails = False
        self.error: OffpollError = DependencyUnavailable("source", "is down")

    async def fetch(self) -> Credentials:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fails:
            raise self.error
        return Credentials(access_key=f"A{self.asked}", secret_key="s", expires_at=self.now + timedelta(hours=1))

    def clock(self) -> datetime:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_refreshed_before_the_end(run: Run) -> None:
    """Fresh credentials are kept. Near their end new ones are fetched in the background; nearer still, callers wait for them."""

    async def use() -> None:
        source = Source()
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        assert (await provider.get()).access_key == "A1"
        source.now += timedelta(minutes=44)
        assert (await provider.get()).access_key == "A1"
        assert source.asked == 1
        source.now += timedelta(minutes=2)
        assert (await provider.get()).access_key == "A1"
        await settle()
        assert provider.current().access_key == "A2"
        source.now += timedelta(minutes=55)
        assert (await provider.get()).access_key == "A3"

    run(use())


def test_one_fetch_for_all(run: Run) -> None:
    """Callers at the same time share one fetch, and cancelling one of them does not harm the others."""

    async def use() -> None:
        source = Source()
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        tasks = [asyncio.create_task(provider.get()) for _ in range(20)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert {each.access_key for each in found[1:] if isinstance(each, Credentials)} == {"A1"}
        assert source.asked == 1

    run(use())


def test_old_ones_are_used_while_the_source_fails(run: Run) -> None:
    """Old credentials are used until they expire; after that, the source's own error is raised."""

    async def use() -> None:
        source = Source()
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        await provider.get()
        source.fails = True
        for minutes in (46, 6, 6):
            source.now += timedelta(minutes=minutes)
            assert (await provider.get()).access_key == "A1"
            await settle()
        assert source.asked > 1
        source.now += timedelta(minutes=3)
        with pytest.raises(DependencyUnavailable, match="is down"):
            await provider.get()
        with pytest.raises(DependencyUnavailable, match="is down"):
            provider.current()
        source.fails = False
        source.now += timedelta(minutes=1)
        assert (await provider.get()).access_key.startswith("A")

    run(use())


@pytest.mark.parametrize("error", [ConfigurationError("nothing found"), DependencyRefused("STS", "no")], ids=repr)
def test_a_source_that_worked_is_configured_correctly(run: Run, error: OffpollError) -> None:
    """A refusal before a source's first success is for the operator to fix; a later one counts as an outage."""

    async def use() -> None:
        source = Source()
        source.error, source.fails = error, True
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        with pytest.raises(type(error)):
            await provider.get()
        source.fails = False
        source.now += timedelta(seconds=3)
        await provider.get()
        source.fails = True
        source.now += timedelta(hours=2)
        with pytest.raises(DependencyUnavailable, match="could not be renewed") as raised:
            await provider.get()
        assert raised.value.__cause__ is error
        source.fails = False
        source.now += timedelta(seconds=3)
        assert await provider.get()

    run(use())


def test_a_failing_source_is_not_hammered(run: Run) -> None:
    """A failing source is asked again only after a pause, however many callers there are."""

    async def use() -> None:
        source = Source()
        source.fails = True
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        for _ in range(10):
            with pytest.raises(DependencyUnavailable):
                await provider.get()
        assert source.asked == 1
        source.now += timedelta(seconds=3)
        with pytest.raises(DependencyUnavailable):
            await provider.get()
        assert source.asked == 2

    run(use())


def test_nothing_fetched_yet() -> None:
    """Signing before the first fetch raises an error that says what to do."""

    async def never() -> Credentials:
        raise AssertionError

    with pytest.raises(DependencyUnavailable, match="check"):
        FetchedCredentials(never).current()


def test_secrets_are_not_shown() -> None:
    """The `repr` of credentials hides their secrets."""
    shown = repr(StaticCredentials(Credentials(access_key="AKIA", secret_key="hidden1", session_token="hidden2")))
    assert "AKIA" in shown
    assert "hidden" not in shown
