"""Problem documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offpoll import errors
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable, InvalidInput, MethodNotAllowed, RequestError
from offpoll.http.problem import problem, problem_of


def requests() -> list[type[RequestError]]:
    found = [getattr(errors, name) for name in errors.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, RequestError)]


@pytest.mark.parametrize("error", requests(), ids=lambda each: each.__name__)
def test_every_request_error_is_said(error: type[RequestError]) -> None:
    """Each error of the caller has its status, its word for machines and a title, and says what to do."""
    answer = problem_of(error("what to do", extra=[1]))
    fields = json.loads(answer.body)
    assert 400 <= answer.status < 500
    assert fields == {
        "type": f"urn:problem-type:offpoll:{error.code.replace('_', '-')}",
        "title": error.title,
        "status": error.status,
        "detail": "what to do",
        "code": error.code,
        "extra": [1],
    }
    assert ("www-authenticate" in answer.headers) is (answer.status == 401)


def test_codes_are_told_apart() -> None:
    """No two errors of the caller share a code, except the general one's."""
    codes = [each.code for each in requests()]
    assert len(codes) == len(set(codes))


def test_allow() -> None:
    """A 405 that knows what is possible says it."""
    assert problem_of(MethodNotAllowed("no", allow="GET")).headers["allow"] == "GET"
    assert "allow" not in problem_of(MethodNotAllowed("no")).headers


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (1.0, "1"), (2.3, "3")])
def test_retry_after(seconds: float, header: str) -> None:
    """An outage says when to come back, in whole seconds."""
    answer = problem_of(DependencyUnavailable("S3", "down", retry_after=seconds))
    assert (answer.status, answer.headers["retry-after"]) == (503, header)


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("secret"), DependencyRefused("S3", "secret"), DependencyUnavailable("S3", "secret"), ValueError("secret")],
    ids=repr,
)
def test_reasons_stay_in_the_log(error: Exception) -> None:
    """What only operators may know is not in the answer."""
    assert b"secret" not in problem_of(error).body


@pytest.mark.parametrize("error", [ConfigurationError("why"), DependencyRefused("S3", "why")], ids=repr)
def test_what_operators_have_to_mend(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A service that is not set up right answers 503 and when to come back, logs why, and claims nothing about what took effect."""
    answer = problem_of(error)
    fields = json.loads(answer.body)
    assert (answer.status, answer.headers["retry-after"], fields["code"]) == (503, "30", "dependency_refused")
    assert "enqueued" not in fields["detail"]
    assert [(record.levelname, "why" in record.getMessage()) for record in caplog.records] == [("ERROR", True)]


def test_members_are_json() -> None:
    """A member that JSON does not know becomes text, rather than a second error."""
    odd: Any = {1, 2}
    assert json.loads(problem_of(InvalidInput("no", odd=odd)).body)["odd"] == "{1, 2}"
    assert json.loads(problem(400, code="a_b", title="t", detail="d").body)["type"] == "urn:problem-type:offpoll:a-b"
