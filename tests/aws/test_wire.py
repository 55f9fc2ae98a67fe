"""One call against a failing peer: retries, budget, deadline, expired credentials and garbage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.scripted_aws import DROP, HANG, Asked, Reply, Scripted, json_error, s3_error

from offpoll.aws.credentials import Credentials, FetchedCredentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.retry import RetryBudget
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.wire import Wire
from offpoll.errors import (
    DependencyUnavailable,
    OffpollError,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CREDENTIALS = Credentials(access_key="AKIAEXAMPLE", secret_key="secret")
OK = Reply(200, b"{}", {"ETag": '"e1"'})


async def call(replies: Sequence[Reply], **options: Any) -> tuple[AwsResponse | OffpollError, list[Asked], AwsService]:
    """Make one call against a script. Return its response or error, the requests, and the service with its budget. Backoffs last 0 s."""
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
        service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
        try:
            return await wire.call(service, "PUT", "/b/k", headers={}, body=b"x", **options), server.asked, service
        except OffpollError as error:
            return error, server.asked, service
        finally:
            await wire.close()


@pytest.mark.parametrize(
    "trouble",
    [
        s3_error(500, "InternalError"),
        s3_error(503, "SlowDown"),
        s3_error(400, "RequestTimeout"),
        json_error(400, "ThrottlingException"),
        json_error(400, "ProvisionedThroughputExceededException"),
        Reply(502, b"<html>bad gateway</html>"),
        Reply(429),
        DROP,
        Reply(raw=b"this is not HTTP\r\n\r\n"),
    ],
)
def test_passing_trouble_is_retried(run: Run, trouble: Reply) -> None:
    """After an error that does not concern the request, the same request is sent again."""
    response, asked, _ = run(call([trouble, trouble, OK]))
    assert isinstance(response, AwsResponse)
    assert response.status == 200
    assert [(each.method, each.target, each.body) for each in asked] == [("PUT", "/b/k", b"x")] * 3


def test_three_tries_and_no_more(run: Run) -> None:
    """A call that fails three times is an outage. The error names the service, the endpoint and the last failure."""
    error, asked, service = run(call([s3_error(503, "SlowDown")]))
    assert isinstance(error, DependencyUnavailable)
    assert len(asked) == 3
    assert error.service == "S3"
    assert service.endpoint.origin in str(error)
    assert "SlowDown: what S3 says" in str(error)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412])
def test_a_refusal_is_not_retried(run: Run, status: int) -> None:
    """An error that concerns the request itself is final."""
    response, asked, _ = run(call([s3_error(status, "Whatever")]))
    assert isinstance(response, AwsResponse)
    assert (response.status, response.fault.code, len(asked)) == (status, "Whatever", 1)


def test_every_try_is_signed_anew(run: Run) -> None:
    """A retry is signed with its own time, because S3 would refuse an old one."""
    seconds = iter(range(10))

    async def calls() -> list[str]:
        async with Scripted([s3_error(500, "InternalError"), OK]) as server:
            clock = lambda: datetime(2026, 11, 23, 18, 0, next(seconds), tzinfo=UTC)  # noqa: E731
            wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0, clock=clock)
            service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
            await wire.call(service, "GET", "/b/k", headers={})
            await wire.close()
            return [asked.headers["x-amz-date"] for asked in server.asked]

    assert run(calls()) == ["20261123T180000Z", "20261123T180001Z"]


def test_no_response_in_time(run: Run) -> None:
    """A silent peer is retried while time is left, and then is an outage."""
    error, asked, service = run(call([HANG], deadline=0.4, try_timeout=0.1))
    assert isinstance(error, DependencyUnavailable)
    assert len(asked) == 3
    assert service.budget.tokens == RetryBudget.CAPACITY - 2 * RetryBudget.COST_TIMEOUT


def test_deadline_ends_the_retries(run: Run) -> None:
    """No retry starts that the deadline leaves no time for; the error tells the caller when to ask again."""
    error, asked, _ = run(call([Reply(503, b"", {"Retry-After": "30"}), OK], deadline=5.0))
    assert isinstance(error, DependencyUnavailable)
    assert len(asked) == 1
    assert error.retry_after == 30.0


def test_retry_after_zero_is_retried(run: Run) -> None:
    """A service that asks for a retry at once is retried."""
    response, asked, _ = run(call([Reply(503, b"", {"Retry-After": "0"}), OK]))
    assert isinstance(response, AwsResponse)
    assert len(asked) == 2


def test_budget_stops_retries(run: Run) -> None:
    """When too many calls fail, retries stop; successes earn them back."""

    async def calls() -> tuple[int, int, int]:
        async with Scripted([s3_error(500, "InternalError")]) as server:
            wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
            service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
            service.budget.tokens = 3 * RetryBudget.COST
            counts = []
            for replies in ([s3_error(500, "InternalError")], [s3_error(500, "InternalError")], [OK]):
                server.asked.clear()
                server.replies = list(replies)
                try:
                    await wire.call(service, "GET", "/b/k", headers={})
                except DependencyUnavailable:
                    pass
                counts.append(len(server.asked))
            await wire.close()
            return counts[0], counts[1], service.budget.tokens

    assert run(calls()) == (3, 2, RetryBudget.REFUND)


def test_budget_refunds_a_retry_that_helped(run: Run) -> None:
    """A retry that succeeds is free in the end, and a budget never exceeds its capacity."""
    _, _, service = run(call([s3_error(500, "InternalError"), OK]))
    assert service.budget.tokens == RetryBudget.CAPACITY
    service.budget.succeed(0)
    assert service.budget.tokens == RetryBudget.CAPACITY


def test_expired_credentials_are_renewed_once(run: Run) -> None:
    """When AWS says that the credentials expired, the call is made again once, with new ones."""

    async def calls(replies: Sequence[Reply]) -> tuple[int, list[str]]:
        number = iter(range(1, 10))

        async def fetch() -> Credentials:
            return Credentials(access_key=f"AKIA{next(number)}", secret_key="secret")

        async with Scripted(replies) as server:
            wire = Wire(FetchedCredentials(fetch), random=lambda: 0.0)
            service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
            response = await wire.call(service, "GET", "/b/k", headers={})
            await wire.close()
            return response.status, [asked.headers["authorization"].split("Credential=")[1][:5] for asked in server.asked]

    assert run(calls([s3_error(400, "ExpiredToken"), OK])) == (200, ["AKIA1", "AKIA2"])
    assert run(calls([json_error(400, "ExpiredTokenException")])) == (400, ["AKIA1", "AKIA2"])


def test_expired_static_credentials_are_not_retried(run: Run) -> None:
    """If there are no other credentials, the first response stands."""
    response, asked, _ = run(call([s3_error(400, "ExpiredToken")]))
    assert isinstance(response, AwsResponse)
    assert len(asked) == 1


def test_redirects_are_not_followed(run: Run) -> None:
    """A signature holds for one host, so a redirect is returned as the response."""
    response, asked, _ = run(call([s3_error(307, "TemporaryRedirect", Location="http://127.0.0.1:1/x")]))
    assert isinstance(response, AwsResponse)
    assert (response.status, len(asked)) == (307, 1)


def test_nobody_listens(run: Run) -> None:
    """A refused connection is an outage that names the address."""

    async def connect() -> str:
        wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
        service = AwsService("SQS", name="sqs", region="eu-west-1", endpoint=AwsEndpoint.parse("http://127.0.0.1:1"))
        with pytest.raises(DependencyUnavailable) as caught:
            await wire.call(service, "POST", "/", headers={})
        await wire.close()
        return str(caught.value)

    assert "SQS: http://127.0.0.1:1 gave no answer" in run(connect())


def test_the_services_time(run: Run) -> None:
    """A response has the service's own time, and the times of sending and receiving."""
    response, _, _ = run(call([OK]))
    assert isinstance(response, AwsResponse)
    assert response.date == datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    assert response.sent <= response.received


def test_cancelled_call_leaves_the_wire_usable(run: Run) -> None:
    """Cancelling a waiting call ends it at once, and the next call works."""

    async def calls() -> int:
        async with Scripted([HANG, OK]) as server:
            wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
            service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
            task = asyncio.create_task(wire.call(service, "GET", "/b/k", headers={}))
            await server.came.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            response = await wire.call(service, "GET", "/b/k", headers={})
            await wire.close()
            return response.status

    assert run(calls()) == 200


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_are_a_setting(run: Run, attempts: int) -> None:
    """AWS_MAX_ATTEMPTS counts all tries of a call."""

    async def use() -> int:
        async with Scripted([Reply(503)]) as server:
            wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0, attempts=attempts)
            service = AwsService("S3", name="s3", region="eu-west-1", endpoint=AwsEndpoint.parse(server.origin))
            with pytest.raises(DependencyUnavailable):
                await wire.call(service, "GET", "/b/k", headers={})
            await wire.close()
            return len(server.asked)

    assert run(use()) == attempts
