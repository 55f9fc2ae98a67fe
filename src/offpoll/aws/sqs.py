"""Sends, receives and deletes messages in an SQS queue, over its JSON protocol.

Decides which call each verb becomes, what goes into one batch, and which errors mean that a message is gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from offpoll.aws.batches import Batcher
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.faults import Fault, remedy
from offpoll.aws.json_calls import JsonCalls
from offpoll.aws.retry import is_throttle, is_transient
from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.wire import DEADLINE, Wire
from offpoll.errors import ConfigurationError, DependencyError, DependencyRefused, DependencyUnavailable
from offpoll.limits import quote
from offpoll.queue import MAX_DELAY, MAX_VISIBILITY, Delivery, Depth, Envelope

__all__ = ["DEPTH_ATTRIBUTES", "SqsQueue"]

#: Most entries of one batch (SendMessageBatch, DeleteMessageBatch, ChangeMessageVisibilityBatch).
MAX_ENTRIES = 10

#: Most bytes of all messages of one SendMessageBatch, attributes included: 1 MiB.
MAX_BATCH_BYTES = 1_048_576

#: Longest wait of one receive, seconds (ReceiveMessage, WaitTimeSeconds).
MAX_WAIT = 20.0

#: How long to wait for a long poll's response after it is due, seconds.
GRACE = 5.0

#: A queue's counters: visible, in flight, delayed.
DEPTH_ATTRIBUTES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")

#: Codes that mean that a message was deleted, or delivered again to another worker.
_GONE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight"})

#: Codes that refuse a batch, but not its messages: other queues have smaller limits, or know no batches.
_BATCH_ALONE = frozenset({"BatchRequestTooLong", "TooManyEntriesInBatchRequest", "InvalidAction", "UnknownOperationException"})

#: The JSON members that differ between the messages of one verb: an entry of a batch, or most of a lone call.
_Members = str


class SqsQueue:
    """A `queue.Queue` on SQS.

    Args:
        url: the queue's URL. It only names the queue: requests go to `endpoint`, as in the SDKs.
        setting: the variable that holds the URL, for error messages.
        visibility: how long a received message stays hidden, seconds; None for the queue's own setting.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        endpoint: AwsEndpoint,
        url: str,
        region: str,
        setting: str = "OFFPOLL_QUEUE_URL",
        visibility: float | None = None,
    ) -> None:
        self._url, self._setting = url, setting
        self._opening = f'{{"QueueUrl":{quote(url)},'
        self._visibility = {} if visibility is None else {"VisibilityTimeout": _visibility(math.ceil(visibility))}
        service = AwsService("SQS", name="sqs", region=region, endpoint=endpoint)
        self._calls = JsonCalls(wire, service, target="AmazonSQS", remedies=_remedies(url, region, setting=setting))
        self._sends = Batcher(
            one=self._send_one,
            many=lambda items: self._many("SendMessageBatch", items, one=self._send_one),
            limit=MAX_ENTRIES,
            limit_bytes=MAX_BATCH_BYTES,
            size=len,  # the length of the JSON, which is at least as long as what SQS counts
        )
        self._deletes = Batcher(
            one=self._delete_one,
            many=lambda items: self._many("DeleteMessageBatch", items, one=self._delete_one),
            limit=MAX_ENTRIES,
        )
        self._hides = Batcher(
            one=self._hide_one,
            many=lambda items: self._many("ChangeMessageVisibilityBatch", items, one=self._hide_one),
            limit=MAX_ENTRIES,
        )

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        await self._sends.call(_message(envelope, delay))

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        seconds = int(min(wait, MAX_WAIT))
        fields = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": max(1, min(limit, MAX_ENTRIES)),
            "WaitTimeSeconds": seconds,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            **self._visibility,
        }
        response = await self._calls.call("ReceiveMessage", fields, deadline=seconds + GRACE, try_timeout=seconds + GRACE)
        try:
            return [_delivery(message) for message in self._calls.accepted(response).get("Messages") or ()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._calls.service.unreadable(response) from error

    async def delete(self, delivery: Delivery) -> None:
        await self._deletes.call(f'"ReceiptHandle":{quote(delivery.receipt)}')

    async def hide(self, delivery: Delivery, *, seconds: float) -> None:
        await self._hides.call(f'"ReceiptHandle":{quote(delivery.receipt)},"VisibilityTimeout":{_visibility(round(seconds))}')

    async def depth(self) -> Depth:
        response = await self._calls.call("GetQueueAttributes", {"QueueUrl": self._url, "AttributeNames": list(DEPTH_ATTRIBUTES)})
        try:
            attributes = self._calls.accepted(response)["Attributes"]
            visible, in_flight, delayed = (int(attributes[name]) for name in DEPTH_ATTRIBUTES)
        except (KeyError, TypeError, ValueError) as error:
            raise self._calls.service.unreadable(response) from error
        return Depth(visible=visible, in_flight=in_flight, delayed=delayed)

    async def check(self) -> None:
        """Ask for the depth.

        Raises:
            ConfigurationError: no queue is set, or there are no credentials.
            DependencyRefused: the queue or the credentials are wrong, or the permission sqs:GetQueueAttributes is missing.
            DependencyUnavailable: no usable response came.
        """
        if not self._url.startswith(("https://", "http://")):
            raise ConfigurationError(f"{self._url!r} is not a queue's URL: set {self._setting}")
        await self.depth()

    async def _send_one(self, item: _Members) -> None:
        response = await self._calls.call_text("SendMessage", f"{self._opening}{item}}}")
        if "MessageId" not in self._calls.accepted(response):
            raise self._calls.service.unreadable(response)

    async def _delete_one(self, item: _Members) -> None:
        self._settle(await self._calls.call_text("DeleteMessage", f"{self._opening}{item}}}"))

    async def _hide_one(self, item: _Members) -> None:
        self._settle(await self._calls.call_text("ChangeMessageVisibility", f"{self._opening}{item}}}"))

    def _settle(self, response: AwsResponse) -> None:
        if response.status != 200 and not _is_gone(response.fault.code, response.fault.message):
            raise self._calls.refusal(response)

    async def _many(
        self, verb: str, items: Sequence[_Members], *, one: Callable[[_Members], Awaitable[None]]
    ) -> Sequence[BaseException | None]:
        """Make a batch call and return each entry's result. It retries an entry whose failure is transient, as for a single call."""
        wire, service = self._calls.wire, self._calls.service
        end = wire.monotonic() + DEADLINE
        results: list[Exception | None] = [None] * len(items)
        waiting, failures = list(range(len(items))), 0
        while waiting:
            try:
                outcomes = await self._batch(verb, [items[number] for number in waiting], deadline=end - wire.monotonic())
            except DependencyError as error:
                if failures:
                    break  # each of these entries has its own error already
                if isinstance(error, DependencyRefused) and error.code.rpartition(".")[2] in _BATCH_ALONE:
                    return await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
                raise
            passing: dict[int, str] = {}
            for number, (result, code) in zip(waiting, outcomes, strict=True):
                results[number] = result
                if code:
                    passing[number] = code
            waiting, failures = list(passing), failures + 1
            throttled = any(is_throttle(0, code) for code in passing.values())
            if not waiting or not await wire.back_off(service, failures=failures, throttled=throttled, end=end):
                break
        return results

    async def _batch(self, verb: str, items: Sequence[_Members], *, deadline: float) -> Sequence[tuple[Exception | None, str]]:
        """Make one batch call. Return each entry's result, and its code if its failure is transient."""
        entries = ",".join([f'{{"Id":"{number}",{item}}}' for number, item in enumerate(items)])
        response = await self._calls.call_text(verb, f'{self._opening}"Entries":[{entries}]}}', deadline=deadline)
        fields = self._calls.accepted(response)
        # the response does not mention an entry: the effect is unknown
        results: list[tuple[Exception | None, str]] = [(self._calls.service.unreadable(response), "")] * len(items)
        try:
            for entry in fields.get("Successful") or ():
                results[int(entry["Id"])] = None, ""
            for entry in fields.get("Failed") or ():
                results[int(entry["Id"])] = self._failed(entry)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._calls.service.unreadable(response) from error
        return results

    def _failed(self, entry: Mapping[str, Any]) -> tuple[DependencyError | None, str]:
        """Translate one failed entry of a batch: no error if the message is gone, which counts as done; its code if that is transient.

        SQS blames the sender for throttling too, so the code decides first.
        """
        code, message = str(entry.get("Code", "")), str(entry.get("Message", ""))
        if _is_gone(code, message):
            return None, ""
        if entry.get("SenderFault") and not is_transient(0, code):
            what = remedy(Fault(code=code, message=message), region=self._calls.service.region, remedies=self._calls.remedies)
            return DependencyRefused("SQS", f"one message of a batch was refused: {what}", code=code), ""
        return DependencyUnavailable("SQS", f"one message of a batch failed: {code}: {message}"), code


def _remedies(url: str, region: str, *, setting: str) -> Mapping[str, str]:
    """Return what the operator can do about an error, by its code."""
    missing = f"queue {url} does not exist in region {region}: set {setting} or create it"
    denied = f"grant sqs:SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility and GetQueueAttributes on {url}"
    return {
        "QueueDoesNotExist": missing,
        "AWS.SimpleQueueService.NonExistentQueue": missing,
        "NonExistentQueue": missing,
        "InvalidAddress": f"{url} is not a queue's URL: set {setting}",
        "AccessDenied": denied,
        "AccessDeniedException": denied,
    }


def _visibility(seconds: int) -> int:
    return max(0, min(seconds, int(MAX_VISIBILITY)))


def _message(envelope: Envelope, delay: float) -> _Members:
    text = f'"MessageBody":{quote(envelope.body)}'
    if delay > 0:
        text += f',"DelaySeconds":{round(min(delay, MAX_DELAY))}'
    if envelope.attributes:
        written = [f'{quote(name)}:{{"DataType":"String","StringValue":{quote(value)}}}' for name, value in envelope.attributes.items()]
        text += f',"MessageAttributes":{{{",".join(written)}}}'
    return text


def _delivery(message: Mapping[str, Any]) -> Delivery:
    attributes = {name: value["StringValue"] for name, value in (message.get("MessageAttributes") or {}).items() if "StringValue" in value}
    return Delivery(
        envelope=Envelope(body=message["Body"], attributes=attributes),
        receipt=message["ReceiptHandle"],
        receives=int((message.get("Attributes") or {}).get("ApproximateReceiveCount", 1)),
    )


def _is_gone(code: str, message: str) -> bool:
    """Tell whether a delete or a hide failed because the delivery no longer exists.

    SQS reports that in three ways. InvalidParameterValue has other causes too, so its text decides.
    """
    if code.rpartition(".")[2] in _GONE:
        return True
    text = message.lower()
    return code in {"InvalidParameterValue", "InvalidParameterValueException"} and (
        "message does not exist" in text or "not available for visibility timeout change" in text or "receipt handle has expired" in text
    )
