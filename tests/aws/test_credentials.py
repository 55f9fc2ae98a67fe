"""Keeping credentials fresh while their source fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll.aws import credentials as credentials_module
from offpoll.aws.credentials import Credentials, FetchedCredentials, StaticCredentials, complete
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


class Platform:
    """A metadata service that can no longer renew: it hands out the same credentials, whose end passes, or fails."""

    def __init__(self) -> None:
        self.now, self.asked, self.fails, self.key = NOW, 0, False, "A"
        self.expires_at = NOW + timedelta(hours=1)

    async def fetch(self) -> Credentials:
        self.asked += 1
        if self.fails:
            raise DependencyUnavailable("instance metadata", "is down")
        return Credentials(access_key=self.key, secret_key="s", expires_at=self.expires_at, extensible=True)

    def provider(self) -> FetchedCredentials:
        return FetchedCredentials(self.fetch, clock=lambda: self.now, random=lambda: 0.5)


@pytest.mark.parametrize("fails", [False, True], ids=["hands out ended ones", "is down"])
def test_the_platforms_ended_credentials_are_used_on(run: Run, caplog: pytest.LogCaptureFixture, fails: bool) -> None:
    """While the platform cannot renew its credentials, their end stops nothing; its source is asked again, and the log says so."""

    async def use() -> None:
        platform = Platform()
        provider = platform.provider()
        await provider.get()
        platform.fails = fails
        for _ in range(48):
            platform.now += timedelta(minutes=5)
            given = await provider.get()
            await settle()
            assert given.access_key == provider.current().access_key == "A"
            assert given.expires_at is not None
            assert given.expires_at > platform.now - timedelta(minutes=5)
        assert platform.asked > 12
        platform.fails, platform.key, platform.expires_at = False, "B", platform.now + timedelta(hours=6)
        platform.now += timedelta(minutes=20)
        await provider.get()
        await settle()
        assert provider.current().access_key == "B"

    run(use())
    assert 3 < len(caplog.records) <= 48
    assert {each.levelname for each in caplog.records} == {"WARNING"}


def test_the_platforms_credentials_that_aws_refuses(run: Run) -> None:
    """Credentials that AWS refuses are asked for again, once in a while; the same ones again are not taken for new."""

    async def use() -> None:
        platform = Platform()
        provider = platform.provider()
        platform.now += timedelta(hours=2)
        refused = await provider.get()
        for _ in range(10):
            provider.expire(refused)
            assert await provider.get() is refused
        assert platform.asked == 2
        platform.key = "B"
        platform.now += timedelta(seconds=3)
        assert (await provider.get()).access_key == "B"

    run(use())


def test_a_warning_while_old_credentials_work(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A refresh that fails while the old credentials work is a warning, at most every five minutes, and no error."""

    async def use() -> None:
        source = Source()
        provider = FetchedCredentials(source.fetch, clock=source.clock)
        await provider.get()
        source.fails = True
        source.now += timedelta(minutes=46)
        for _ in range(20):
            assert (await provider.get()).access_key == "A1"
            await settle()
            source.now += timedelta(seconds=30)

    run(use())
    assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING"]
    assert "source: is down" in caplog.text


@pytest.mark.parametrize("error", [OSError(5, "broken"), ValueError("x"), KeyError("Token"), RuntimeError("y"), EOFError()], ids=repr)
def test_foreign_errors_of_a_source(run: Run, error: Exception) -> None:
    """Whatever a source raises, callers get an error of ours, which names it."""

    async def broken() -> Credentials:
        raise error

    with pytest.raises(DependencyUnavailable, match=type(error).__name__):
        run(FetchedCredentials(broken).get())


def test_a_source_that_keeps_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers do not wait for a silent source longer than for AWS; the credentials that come later are used."""
    monkeypatch.setattr(credentials_module, "PATIENCE", 0.01)

    async def use() -> None:
        answer = asyncio.Event()

        async def slow() -> Credentials:
            await answer.wait()
            return Credentials(access_key="A", secret_key="s")

        provider = FetchedCredentials(slow)
        with pytest.raises(DependencyUnavailable, match="has not responded"):
            await provider.get()
        answer.set()
        assert (await provider.get()).access_key == "A"

    run(use())


@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
@pytest.mark.parametrize("value", ["A\n", "A B", "A\r\nx: y", "ä"])
def test_keys_that_cannot_be_sent(name: str, value: str) -> None:
    """A key with a line break, as from a secret that `echo` wrote, is refused with its source, and not shown."""
    keys = {"AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t", name: value}
    with pytest.raises(ConfigurationError, match="of a file has") as raised:
        complete(*keys.values(), None, source="a file")
    assert value not in str(raised.value)
