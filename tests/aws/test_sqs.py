"""How the queue reads SQS's responses. The contract suite tests what the queue does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.support.scripted_aws import Asked, Reply, Scripted, json_error

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyRefused, DependencyUnavailable
from offpoll.queue import Delivery, Envelope

Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def queue(replies: Sequence[Reply], use: Callable[[SqsQueue], Coroutine[Any, Any, Any]]) -> tuple[Any, list[Asked]]:
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(Credentials(access_key="AKIA", secret_key="s")), random=lambda: 0.0)
        made = SqsQueue(wire, endpoint=AwsEndpoint.parse(server.origin), url="https://sqs.eu-west-1.amazonaws.com/1/q", region="eu-west-1")
        try:
            return await use(made), server.asked
        except (DependencyRefused, DependencyUnavailable) as error:
            return error, server.asked
        finally:
            await wire.close()


def sends(count: int) -> Callable[[SqsQueue], Coroutine[Any, Any, Any]]:
    async def use(made: SqsQueue) -> list[Any]:
        envelopes = [Envelope(body=str(number), attributes={}) for number in range(count)]
        return list(await asyncio.gather(*(made.send(envelope) for envelope in envelopes), return_exceptions=True))

    return use


DELIVERY = Delivery(envelope=Envelope(body="", attributes={}), receipt="r")


def test_entries_fail_one_by_one(run: Run) -> None:
    """Each message of a batch has its own result: accepted, refused, failed, or missing from the response, which means unknown."""
    body = (
        b'{"Successful":[{"Id":"0","MessageId":"m"}],"Failed":[{"Id":"1","SenderFault":true,"Code":"InvalidMessageContents","Message":"bad"},'
        b'{"Id":"2","SenderFault":false,"Code":"InternalError","Message":"oops"}]}'
    )
    again = b'{"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError","Message":"oops"}]}'
    results, asked = run(queue([Reply(200, b'{"MessageId":"m"}'), Reply(200, body), Reply(200, again)], sends(5)))
    assert [each.headers["x-amz-target"] for each in asked] == ["AmazonSQS.SendMessage", *["AmazonSQS.SendMessageBatch"] * 3]
    assert [len(json.loads(each.body)["Entries"]) for each in asked[1:]] == [4, 1, 1]
    assert results[:2] == [None, None]
    assert isinstance(results[2], DependencyRefused)
    assert isinstance(results[3], DependencyUnavailable)
    assert isinstance(results[4], DependencyUnavailable)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ReceiptHandleIsInvalid", "x"),
        ("MessageNotInflight", "x"),
        ("AWS.SimpleQueueService.MessageNotInflight", "x"),
        ("InvalidParameterValue", "Reason: Message does not exist or is not available for visibility timeout change."),
        ("InvalidParameterValue", "Reason: The receipt handle has expired."),
    ],
)
def test_gone_is_no_error(run: Run, code: str, message: str) -> None:
    """Deleting or hiding a delivery that is gone succeeds without doing anything."""
    for use in (lambda q: q.delete(DELIVERY), lambda q: q.hide(DELIVERY, seconds=1.0)):
        assert run(queue([json_error(400, code, message)], use))[0] is None


def test_other_invalid_parameters_are_errors(run: Run) -> None:
    """Any other invalid parameter is refused."""
    reply = json_error(400, "InvalidParameterValue", "Total VisibilityTimeout is beyond 12 hours")
    result, _ = run(queue([reply], lambda q: q.hide(DELIVERY, seconds=1.0)))
    assert isinstance(result, DependencyRefused)


def test_missing_queue_names_the_setting(run: Run) -> None:
    """If the queue does not exist, the error names the setting to check."""
    for use in (lambda q: q.check(), sends(1), lambda q: q.receive(limit=1, wait=0.0)):
        result, _ = run(queue([json_error(400, "QueueDoesNotExist")], use))
        found = result[0] if isinstance(result, list) else result
        assert isinstance(found, DependencyRefused)
        assert "OFFPOLL_QUEUE_URL" in str(found)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"Messages":[{"Body":"x"}]}', b'{"Messages":[7]}'])
def test_garbage_is_an_outage(run: Run, body: bytes) -> None:
    """A response that the queue cannot have sent counts as an outage."""
    result, _ = run(queue([Reply(200, body)], lambda q: q.receive(limit=1, wait=0.0)))
    assert isinstance(result, DependencyUnavailable)
