"""All calls except those to this machine go through the proxy that the environment names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.scripted_aws import DROP, Reply, Scripted

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError, DependencyUnavailable

Run = Callable[[Coroutine[Any, Any, Any]], Any]

AWAY = "http://s3.eu-west-1.example"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without a proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def call(origin: str, header: str = "z") -> AwsResponse:
    wire = Wire(StaticCredentials(Credentials(access_key="AKIA", secret_key="s")), random=lambda: 0.0, proxied=True)
    service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(origin))
    try:
        return await wire.call(service, "PUT", "/b/k", query="a=b", headers={"x-y": header}, body=b"xy")
    finally:
        await wire.close()


def test_through_the_proxy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy gets the whole URL with every signed header, and its response is the service's."""

    async def use() -> None:
        async with Scripted([Reply(200, b"stored", {"ETag": '"e"'})]) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.origin)
            response = await call(AWAY)
            assert (response.status, response.body, response.headers["etag"]) == (200, b"stored", '"e"')
            (asked,) = proxy.asked
            assert (asked.method, asked.target, asked.body) == ("PUT", f"{AWAY}/b/k?a=b", b"xy")
            assert asked.headers["x-y"] == "z"
            assert asked.headers["host"] == "s3.eu-west-1.example"

    run(use())


def test_this_machine_is_reached_without_the_proxy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint on this machine is called directly, because a proxy could not reach it."""

    async def use() -> None:
        async with Scripted([DROP]) as proxy, Scripted([Reply(200)]) as here:
            monkeypatch.setenv("HTTP_PROXY", proxy.origin)
            assert (await call(here.origin)).status == 200
            assert proxy.asked == []

    run(use())


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_lists_is_reached_without_the_proxy(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An endpoint that NO_PROXY lists, with its port too, is called directly."""

    async def use() -> None:
        async with Scripted([DROP]) as proxy, Scripted([Reply(200)]) as store:
            host = socket.gethostname()
            monkeypatch.setenv("HTTP_PROXY", proxy.origin)
            monkeypatch.setenv(name, f"other,{host}:{urlsplit(store.origin).port}")
            monkeypatch.setattr(socket, "getaddrinfo", partial(_here, socket.getaddrinfo, host))
            assert (await call(store.origin.replace("127.0.0.1", host))).status == 200
            assert proxy.asked == []

    run(use())


def _here(look_up: Callable[..., Any], name: str, host: Any, *arguments: Any, **options: Any) -> Any:
    """Resolve `name` to this machine's loopback address, where the scripted servers listen."""
    return look_up("127.0.0.1" if host == name else host, *arguments, **options)


def test_a_proxy_that_cannot_be_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's address that is none is an error that names the variables, and hides its password."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@")
    with pytest.raises(ConfigurationError, match="HTTP_PROXY") as raised:
        run(call(AWAY))
    assert "secret" not in str(raised.value)


def test_a_proxy_that_hangs_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing proxy counts as an outage of the service, and the call is retried."""

    async def use() -> None:
        async with Scripted([DROP]) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.origin)
            with pytest.raises(DependencyUnavailable, match="gave no answer"):
                await call(AWAY)
            assert len(proxy.asked) == 3

    run(use())


def test_an_invalid_header(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid header is a configuration error, with or without a proxy, and nothing is sent."""

    async def use() -> None:
        async with Scripted([Reply(200)]) as peer:
            monkeypatch.setenv("HTTP_PROXY", peer.origin)
            for origin in (AWAY, peer.origin):
                with pytest.raises(ConfigurationError, match="S3: PUT '/b/k' cannot be sent"):
                    await call(origin, "a\r\nb: c")
            assert peer.asked == []

    run(use())
