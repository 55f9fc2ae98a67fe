"""When calls are gathered, and what each caller gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.support.scripted_aws import Asked, Reply, Scripted, json_error

from offpoll.aws.batches import Batcher
from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyRefused, DependencyUnavailable
from offpoll.queue import Delivery, Envelope

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Recorder:
    """Remembers what was asked, alone and in batches, and answers when told to. An item that is negative fails."""

    def __init__(self, *, limit: int = 10, limit_bytes: int = 0) -> None:
        self.asked: list[int | list[int]] = []
        self.open = asyncio.Event()
        self.batches: Batcher[int, int] = Batcher(
            one=self.one, many=self.many, limit=limit, limit_bytes=limit_bytes, size=abs if limit_bytes else None
        )

    async def one(self, item: int) -> int:
        self.asked.append(item)
        await self.open.wait()
        if item < 0:
            raise ValueError(item)
        return item * 2

    async def many(self, items: Sequence[int]) -> list[int | Exception]:
        self.asked.append(list(items))
        await self.open.wait()
        return [ValueError(item) if item < 0 else item * 2 for item in items]

    async def all(self, items: Sequence[int]) -> list[Any]:
        """Call with all items at once, and let the answers come when all that can be sent was sent."""
        calls = [asyncio.create_task(self.batches.call(item)) for item in items]
        for _ in range(3):
            await asyncio.sleep(0)
        self.asked_before_any_answer = list(self.asked)
        self.open.set()
        return list(await asyncio.gather(*calls, return_exceptions=True))


def test_a_lone_call_goes_alone_and_at_once(run: Run) -> None:
    """A call that finds nothing under way waits for nobody."""

    async def use() -> None:
        recorder = Recorder()
        recorder.open.set()
        assert [await recorder.batches.call(item) for item in (1, 2)] == [2, 4]
        assert recorder.asked == [1, 2]

    run(use())


def test_calls_gather_while_one_is_under_way(run: Run) -> None:
    """What comes while a call is under way goes as one batch when it is answered; each caller gets its own result."""

    async def use() -> None:
        recorder = Recorder()
        assert await recorder.all([1, 2, 3, 4]) == [2, 4, 6, 8]
        assert recorder.asked == [1, [2, 3, 4]]

    run(use())


def test_a_full_batch_does_not_wait(run: Run) -> None:
    """Ten that wait go at once, whatever is under way; the rest waits."""

    async def use() -> None:
        recorder = Recorder()
        assert await recorder.all(range(25)) == [item * 2 for item in range(25)]
        assert recorder.asked_before_any_answer == [0, list(range(1, 11)), list(range(11, 21))]
        assert recorder.asked[3:] == [[21, 22, 23, 24]]

    run(use())


def test_a_batch_has_a_limit_of_bytes(run: Run) -> None:
    """A batch ends before it would grow too large; an item that is too large by itself goes alone."""

    async def use() -> None:
        recorder = Recorder(limit_bytes=100)
        assert await recorder.all([1, 60, 30, 50, 999, 5]) == [2, 120, 60, 100, 1998, 10]
        assert recorder.asked == [1, [60, 30], 50, 999, 5]

    run(use())


def test_one_failure_is_one_callers(run: Run) -> None:
    """Of a batch, the caller whose item failed gets the error, the others their results."""

    async def use() -> None:
        results = await Recorder().all([1, 2, -3, 4])
        assert results[:2] == [2, 4]
        assert isinstance(results[2], ValueError)
        assert results[3] == 8

    run(use())


def test_a_failed_batch_is_everybodys(run: Run) -> None:
    """When the batch itself fails, all of its callers learn it, and later calls work."""

    async def use() -> None:
        recorder = Recorder()

        async def fail(_: Sequence[int]) -> list[int | Exception]:
            raise DependencyUnavailable("SQS", "down")

        recorder.batches._many = fail
        results = await recorder.all([1, 2, 3])
        assert results[0] == 2
        assert all(isinstance(result, DependencyUnavailable) for result in results[1:])
        assert await recorder.batches.call(5) == 10

    run(use())


def test_cancelled_callers_are_left_out(run: Run) -> None:
    """A caller that gave up while it waited is not sent for; the others are."""

    async def use() -> None:
        recorder = Recorder()
        calls = [asyncio.create_task(recorder.batches.call(item)) for item in range(4)]
        await asyncio.sleep(0)
        calls[2].cancel()
        calls[0].cancel()
        await asyncio.sleep(0)
        recorder.open.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [result for result in results if isinstance(result, int)] == [2, 6]
        assert recorder.asked == [0, [1, 3]]

    run(use())


# --- what a queue makes of it ---------------------------------------------------------------------


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
    """Of a send batch, each message has its own fate: taken, refused, failed, or not mentioned, which is unknown."""
    body = (
        b'{"Successful":[{"Id":"0","MessageId":"m"}],"Failed":[{"Id":"1","SenderFault":true,"Code":"InvalidMessageContents","Message":"bad"},'
        b'{"Id":"2","SenderFault":false,"Code":"InternalError","Message":"oops"}]}'
    )
    results, asked = run(queue([Reply(200, b'{"MessageId":"m"}'), Reply(200, body)], sends(5)))
    assert [each.headers["x-amz-target"] for each in asked] == ["AmazonSQS.SendMessage", "AmazonSQS.SendMessageBatch"]
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
    """A delivery that is no more cannot be deleted or hidden, and need not be."""
    for use in (lambda q: q.delete(DELIVERY), lambda q: q.hide(DELIVERY, seconds=1.0)):
        assert run(queue([json_error(400, code, message)], use))[0] is None


def test_other_invalid_parameters_are_errors(run: Run) -> None:
    """A parameter that is wrong in another way is refused."""
    reply = json_error(400, "InvalidParameterValue", "Total VisibilityTimeout is beyond 12 hours")
    result, _ = run(queue([reply], lambda q: q.hide(DELIVERY, seconds=1.0)))
    assert isinstance(result, DependencyRefused)


def test_missing_queue_names_the_setting(run: Run) -> None:
    """A queue that is not there says which setting to look at."""
    for use in (lambda q: q.check(), sends(1), lambda q: q.receive(limit=1, wait=0.0)):
        result, _ = run(queue([json_error(400, "QueueDoesNotExist")], use))
        found = result[0] if isinstance(result, list) else result
        assert isinstance(found, DependencyRefused)
        assert "OFFPOLL_QUEUE_URL" in str(found)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"Messages":[{"Body":"x"}]}', b'{"Messages":[7]}'])
def test_garbage_is_an_outage(run: Run, body: bytes) -> None:
    """An answer that is not the queue's is not believed."""
    result, _ = run(queue([Reply(200, body)], lambda q: q.receive(limit=1, wait=0.0)))
    assert isinstance(result, DependencyUnavailable)
