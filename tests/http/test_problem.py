"""Problem documents: what each error tells the caller, and what stays in the log."""

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
def test_every_request_error(error: type[RequestError]) -> None:
    """Each error of the caller becomes a problem with its status, code and title, which says what to do."""
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


def test_codes_are_distinct() -> None:
    """No two errors of the caller share a code."""
    codes = [each.code for each in requests()]
    assert len(codes) == len(set(codes))


def test_allow() -> None:
    """A 405 names the allowed methods if it knows them."""
    assert problem_of(MethodNotAllowed("no", allow="GET")).headers["allow"] == "GET"
    assert "allow" not in problem_of(MethodNotAllowed("no")).headers


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (1.0, "1"), (2.3, "3")])
def test_retry_after(seconds: float, header: str) -> None:
    """In an outage, Retry-After says when to come back, in whole seconds."""
    answer = problem_of(DependencyUnavailable("S3", "down", retry_after=seconds))
    assert (answer.status, answer.headers["retry-after"]) == (503, header)


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("secret"), DependencyRefused("S3", "secret"), DependencyUnavailable("S3", "secret"), ValueError("secret")],
    ids=repr,
)
def test_reasons_stay_in_the_log(error: Exception) -> None:
    """Reasons that only operators may know do not reach the caller."""
    assert b"secret" not in problem_of(error).body


@pytest.mark.parametrize("error", [ConfigurationError("why"), DependencyRefused("S3", "why")], ids=repr)
def test_a_wrong_setup(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A service with a wrong setup answers 503 with Retry-After, logs why, and does not claim that nothing took effect."""
    answer = problem_of(error)
    fields = json.loads(answer.body)
    assert (answer.status, answer.headers["retry-after"], fields["code"]) == (503, "30", "dependency_refused")
    assert "enqueued" not in fields["detail"]
    assert [(record.levelname, "why" in record.getMessage()) for record in caplog.records] == [("ERROR", True)]


def test_members_are_json() -> None:
    """A member that JSON cannot express becomes text instead of a second error."""
    odd: Any = {1, 2}
    assert json.loads(problem_of(InvalidInput("no", odd=odd)).body)["odd"] == "{1, 2}"
    assert json.loads(problem(400, code="a_b", title="t", detail="d").body)["type"] == "urn:problem-type:offpoll:a-b"
