"""Stores that go down while orders are posted: behind a relay that the tests take down."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from tests.support.deployment import Deployment, await_true, request
from tests.support.relay import Relay
from tests.support.servers import Server


@pytest.mark.parametrize("service", ["S3", "SQS"])
def test_submit_while_a_store_is_down(deploy: Callable[..., Deployment], ministack_server: Server, service: str) -> None:
    """With S3 or SQS down, a POST is a 503 with Retry-After; once it is back, the same key submits each order once."""
    with Relay(urlsplit(ministack_server.origin).port or 0) as relay:
        deployment = deploy(**{f"AWS_ENDPOINT_URL_{service}": relay.origin})
        deployment.serve()
        relay.down()
        for number in range(3):
            status, headers, problem = request("POST", f"{deployment.api}/order", {"sku": f"S{number}"}, {"Idempotency-Key": str(number)})
            assert (status, headers["content-type"]) == (503, "application/problem+json"), problem
            assert int(headers["retry-after"]) >= 1
            assert "same Idempotency-Key" in problem["detail"]
        assert deployment.messages() == 0, "a refused submit must not enqueue anything"
        relay.up()
        for number in range(3):
            assert request("POST", f"{deployment.api}/order", {"sku": f"S{number}"}, {"Idempotency-Key": str(number)})[0] == 202
        deployment.work()
        await_true(lambda: len(deployment.notes()) == 3 and deployment.messages() == 0, "all three orders")
        assert sorted(what for _, _, what in deployment.notes()) == ["S0", "S1", "S2"]


def test_accepts_while_the_records_are_down(deploy: Callable[..., Deployment], ministack_server: Server) -> None:
    """With DynamoDB down, POST answers 202 and GET the document; the worker waits without spending an attempt, then finishes."""
    with Relay(urlsplit(ministack_server.origin).port or 0) as relay:
        deployment = deploy(lease=3, AWS_ENDPOINT_URL_DYNAMODB=relay.origin)
        deployment.serve()
        worker = deployment.work()
        relay.down()
        tickets = [request("POST", f"{deployment.api}/order", {"sku": f"D{number}"}) for number in range(3)]
        assert [status for status, _, _ in tickets] == [202] * 3
        status, _, document = request("GET", tickets[0][2]["links"]["self"])
        assert (status, document["status"]) == (202, "queued")
        worker.await_line("taking no new messages")
        assert deployment.notes() == []
        relay.up()
        await_true(lambda: len(deployment.notes()) == 3 and deployment.messages() == 0, "all three orders")
        assert sorted((attempt, what) for _, attempt, what in deployment.notes()) == [(1, "D0"), (1, "D1"), (1, "D2")]
        for _, _, ticket in tickets:
            assert request("GET", ticket["links"]["self"])[0] == 200
