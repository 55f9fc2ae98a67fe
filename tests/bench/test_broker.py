"""The broker of the workers' bench, asked by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from bench.accept import environment
from bench.wire import stub
from bench.work import LOOP, Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    with stub(server="broker") as address:
        found = Broker(address)
        yield found
        found.close()


@pytest.fixture
def sqs(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in environment(broker.address).items():
        monkeypatch.setenv(name, value)
    client = boto3.client("sqs")
    yield client
    client.close()


def test_queues_are_found_by_name(sqs: Any, broker: Broker) -> None:
    """A queue that was not created is one that SQS's clients know how to miss."""
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="nobody")
    assert sqs.get_queue_url(QueueName=LOOP)["QueueUrl"] == broker.url(LOOP)
    assert broker.url(LOOP) in sqs.list_queues(QueueNamePrefix="boto")["QueueUrls"]


def test_a_message_lives_until_it_is_deleted(sqs: Any, broker: Broker) -> None:
    """Sent in a batch, received with the attributes asked for, given back, received again, deleted: then the queue is empty."""
    url = broker.url(LOOP)
    attributes = {"kind": {"DataType": "String", "StringValue": "order"}}
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "1", "MessageAttributes": attributes}])
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["kind"]["StringValue"] == "order"
    assert broker.left(LOOP) == 1
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "MessageAttributes" not in again
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert broker.left(LOOP) == 0


def test_a_long_poll_ends_with_the_first_message(sqs: Any, broker: Broker) -> None:
    """A receive waits for a message, and for a queue that is held to be released."""
    url = broker.url(LOOP)
    broker.hold(LOOP)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        broker.send(1, queue=LOOP)
        broker.release(LOOP)
        assert len(waiting.result(10)["Messages"]) == 1
