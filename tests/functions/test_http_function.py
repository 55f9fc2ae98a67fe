"""The API's function: one log line for each request, and an answer before the invocation's deadline."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.support.lab import single
from tests.support.lambda_runtime import deployed, http_2


async def echo(number: int) -> int:
    return number


def test_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    """Each request logs one line with method, path, status and the operation's id, from a submit's answer or from the path."""
    caplog.set_level(logging.INFO, logger="offpoll.access")
    with deployed(single(echo)) as service:
        operation_id = service.submit()
        service.request(http_2("GET", f"/order/{operation_id}"))
        service.request(http_2("GET", "/livez"))
    lines = [each for each in caplog.records if each.name == "offpoll.access"]
    assert [each.getMessage() for each in lines] == ["POST /order 202", f"GET /order/{operation_id} 202", "GET /livez 200"]
    assert [getattr(each, "operation_id", None) for each in lines] == [operation_id, operation_id, None]
    assert [each.status for each in lines] == [202, 202, 200]  # type: ignore[attr-defined]


def test_an_answer_before_the_deadline() -> None:
    """If a store hangs, the function answers with a clear 503 before the gateway answers 502."""
    with deployed(single(echo)) as service:
        service.lab.on_store.meanwhile("create", lambda: asyncio.sleep(1000))
        context = service.context()
        context.end = service.lab.time + 5
        answer = service.api(http_2("POST", "/order", b"1"), context)
        assert answer["statusCode"] == 503
        assert answer["headers"]["content-type"] == "application/problem+json"
        assert service.lab.time == pytest.approx(4.5)


def test_health() -> None:
    """Health checks get an answer, under a stage too."""
    with deployed(single(echo)) as service:
        assert service.request(http_2("GET", "/prod/livez", stage="prod"))[0] == 200
        assert service.request(http_2("GET", "/readyz"))[0] == 200
        assert service.request(http_2("HEAD", "/livez"))[::2] == (200, None)
