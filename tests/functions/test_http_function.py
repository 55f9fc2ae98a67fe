"""The API's function: one line of log for each request, and an answer before the function's time is over."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.support.lab import single
from tests.support.lambdas import deployed, http_2


async def echo(number: int) -> int:
    return number


def test_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    """It has method, path, status and the operation's id: by the answer of a submit, by the path of a question."""
    caplog.set_level(logging.INFO, logger="offpoll.access")
    with deployed(single(echo)) as service:
        operation_id = service.submit()
        service.request(http_2("GET", f"/order/{operation_id}"))
        service.request(http_2("GET", "/livez"))
    lines = [each for each in caplog.records if each.name == "offpoll.access"]
    assert [each.getMessage() for each in lines] == ["POST /order 202", f"GET /order/{operation_id} 202", "GET /livez 200"]
    assert [getattr(each, "operation_id", None) for each in lines] == [operation_id, operation_id, None]
    assert [each.status for each in lines] == [202, 202, 200]  # type: ignore[attr-defined]


def test_an_answer_before_the_time_is_over() -> None:
    """A store that hangs costs a 503 that can be understood, not the gateway's 502."""
    with deployed(single(echo)) as service:
        service.lab.on_store.meanwhile("create", lambda: asyncio.sleep(1000))
        context = service.context()
        context.end = service.lab.time + 5
        answer = service.api(http_2("POST", "/order", b"1"), context)
        assert answer["statusCode"] == 503
        assert answer["headers"]["content-type"] == "application/problem+json"
        assert service.lab.time == pytest.approx(4.5)


def test_health() -> None:
    """Health checks are answered, under a stage too."""
    with deployed(single(echo)) as service:
        assert service.request(http_2("GET", "/prod/livez", stage="prod"))[0] == 200
        assert service.request(http_2("GET", "/readyz"))[0] == 200
