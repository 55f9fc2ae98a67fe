"""The main path, with real servers and real processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from tests.support.deployment import Deployment, await_true, request

from offpoll import OperationFailed


def curl(*arguments: str) -> str:
    """Run curl and return what it printed."""
    return subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], check=True, capture_output=True, text=True).stdout


def test_curl_is_enough(deploy: Callable[..., Deployment]) -> None:
    """curl alone can POST, poll the link and GET the order; the API's access log has only two requests for the operation."""
    deployment = deploy()
    api = deployment.serve()
    deployment.work()
    ticket = json.loads(curl("-X", "POST", f"{deployment.api}/order", "-d", '{"sku":"A1","quantity":2}'))
    await_true(lambda: json.loads(curl(ticket["status_link"]["href"]))["done"], "the order to be done")
    assert json.loads(curl(ticket["links"]["self"])) == {"sku": "A1", "quantity": 2}
    await_true(lambda: '"GET /order/' in api.output, "the log's line of the last request")
    lines = [line for line in api.output.splitlines() if ticket["id"] in line]
    assert len(lines) == 2, lines
    assert "X-Amz-Signature" not in api.output


def test_the_python_client(deploy: Callable[..., Deployment]) -> None:
    """The Python client sends two requests to the API, and its polls to the store."""
    deployment = deploy()
    deployment.serve()
    deployment.work()
    requests: list[tuple[str, str, int]] = []
    with deployment.client(on_request=lambda *one: requests.append(one)) as client:
        assert client.wait(client.submit("order", {"sku": "A1"})) == {"sku": "A1", "quantity": 1}
    hosts = [url.startswith(deployment.api) for _, url, _ in requests]
    assert hosts[0]
    assert hosts[-1]
    assert not any(hosts[1:-1])
    assert len(hosts) > 2


def test_errors_reach_the_client(deploy: Callable[..., Deployment]) -> None:
    """`Fail` keeps its code, the text of other exceptions stays secret, and a result that is too large fails at once."""
    deployment = deploy(OFFPOLL_BACKOFF="0.1", OFFPOLL_EXPECTED_SERVICE_TIME="0.2")
    deployment.serve()
    deployment.work()
    with deployment.client() as client:
        tickets = {kind: client.submit(kind, {"sku": "A1"}) for kind in ("refused", "broken", "huge")}
        errors = {}
        for kind, ticket in tickets.items():
            with pytest.raises(OperationFailed) as raised:
                client.wait(ticket)
            errors[kind] = raised.value
    assert errors["refused"].error == {"code": "out_of_stock", "message": "There is none left.", "sku": "A1"}
    assert (errors["broken"].code, errors["broken"].error["cause"]) == ("attempts_exhausted", "RuntimeError")
    assert errors["huge"].code == "result_too_large"
    attempts = [(attempt, what) for id_, attempt, what in deployment.notes() if id_ == tickets["huge"].operation_id]
    assert attempts == [(1, "began")]
    assert "must not be published" not in json.dumps([error.error for error in errors.values()])


def test_cancel(deploy: Callable[..., Deployment]) -> None:
    """A canceled operation that was queued is never handled; repeating the cancel is 202 again; GET is a 404 problem that says so."""
    deployment = deploy()
    deployment.serve()
    _, _, ticket = request("POST", f"{deployment.api}/order", {"sku": "A1"})
    for _ in range(2):
        status, _, document = request("POST", ticket["links"]["cancel"])
        assert (status, document["status"]) == (202, "canceled")
    status, headers, problem = request("GET", ticket["links"]["self"])
    assert (status, headers["content-type"], problem["operation_status"]) == (404, "application/problem+json", "canceled")
    deployment.work()
    await_true(lambda: deployment.messages() == 0, "the message to be deleted")
    assert deployment.notes() == []
    assert request("GET", ticket["status_link"]["href"])[2]["status"] == "canceled"


def test_another_producer(deploy: Callable[..., Deployment]) -> None:
    """A message that another program sends, with the required attributes, is handled like any other."""
    deployment = deploy()
    deployment.serve()
    deployment.work()
    operation_id, key = "ab" * 16, f"status/public/{'ab' * 16}"
    document = {
        "spec": "offpoll/1", "id": operation_id, "kind": "order", "status": "queued", "done": False, "revision": 1, "attempt": 0,
        "created_at": "2030-01-01T00:00:00.000Z", "updated_at": "2030-01-01T00:00:00.000Z", "from_elsewhere": {"kept": True},
    }  # fmt: skip
    bucket = deployment.resources.environ()["OFFPOLL_BUCKET"]
    deployment.boto3("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(document), IfNoneMatch="*")
    attributes = {
        "status_key": key, "operation_id": operation_id, "kind": "order", "owner": "public", "created_at": "2030-01-01T00:00:00.000Z",
        "version": "1",
    }  # fmt: skip
    deployment.boto3("sqs").send_message(
        QueueUrl=deployment.resources.queue_urls[0],
        MessageBody='{"quantity":3,"sku":"B2"}',
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
    await_true(lambda: request("GET", f"{deployment.api}/order/{operation_id}")[0] == 200, "the order to be done")
    stored = json.loads(deployment.boto3("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (stored["status"], stored["from_elsewhere"]) == ("succeeded", {"kept": True})
