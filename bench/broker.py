"""The stub with real queues, in a process of its own: what `work.py`'s workers receive from, and write their documents to.

S3 and DynamoDB answer as in `stub.py`. SQS keeps its messages (`queues.py`): they are hidden while somebody has them, come back when their
visibility ends, and are gone once deleted. Long polls wait. Speaks SQS's JSON protocol, and two verbs of its own:

    Bench.Hold       deliver nothing of a queue, so that it can be filled
    Bench.Release    deliver again
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench.queues import Queue
from bench.stub import JSON, Stub, answer, attributes_md5, md5, respond, verb

ACCOUNT = "123456789012"

_MISSING = json.dumps({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}).encode()
_NO_QUEUE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\nContent-Length: %d\r\n\r\n%s"
) % (len(_MISSING), _MISSING)

Fields = dict[str, Any]


class _NoSuchQueue(Exception):  # noqa: N818 - what SQS calls it
    """A request names a queue that was not created."""


class Broker:
    """The queues, by name, and who waits for messages of each."""

    def __init__(self) -> None:
        self.origin = ""
        self._queues: dict[str, Queue] = {}
        self._polls: dict[str, list[_Poll]] = {}
        self._verbs: dict[str, Callable[[Fields], Fields]] = {
            "createqueue": self._create,
            "getqueueurl": self._find,
            "listqueues": self._list,
            "getqueueattributes": self._attributes,
            "sendmessage": self._send,
            "sendmessagebatch": partial(self._batch, self._send),
            "deletemessage": self._delete,
            "deletemessagebatch": partial(self._batch, self._delete),
            "changemessagevisibility": self._hide,
            "changemessagevisibilitybatch": partial(self._batch, self._hide),
            "hold": self._hold,
            "release": self._release,
        }

    def handle(self, connection: _Connection, called: str, fields: Fields) -> None:
        """Answer a call of SQS, now or when there is a message."""
        if called == "receivemessage":
            poll = _Poll(connection, fields, until=time.monotonic() + float(fields.get("WaitTimeSeconds", 0)))
            self._serve(_name(fields), poll)
        else:
            connection.say(self._verbs[called](fields))

    def forget(self, connection: _Connection) -> None:
        """Drop what a connection that was closed still waits for."""
        for polls in self._polls.values():
            polls[:] = [poll for poll in polls if poll.connection is not connection]

    # --- the verbs -------------------------------------------------------------------------------

    def _create(self, fields: Fields) -> Fields:
        name, attributes = fields["QueueName"], fields.get("Attributes", {})
        self._queues.setdefault(name, Queue(visibility=float(attributes.get("VisibilityTimeout", 30))))
        return {"QueueUrl": self._url(name)}

    def _find(self, fields: Fields) -> Fields:
        self._queue(fields["QueueName"])
        return {"QueueUrl": self._url(fields["QueueName"])}

    def _list(self, fields: Fields) -> Fields:
        return {"QueueUrls": [self._url(name) for name in self._queues if name.startswith(fields.get("QueueNamePrefix", ""))]}

    def _attributes(self, fields: Fields) -> Fields:
        visible, in_flight = self._queue(_name(fields)).depth(now=time.monotonic())
        known = {
            "ApproximateNumberOfMessages": visible,
            "ApproximateNumberOfMessagesNotVisible": in_flight,
            "ApproximateNumberOfMessagesDelayed": 0,
        }
        return {"Attributes": {name: str(known[name]) for name in fields["AttributeNames"] if name in known}}

    def _send(self, fields: Fields) -> Fields:
        name = _name(fields)
        sent: Fields = {"MessageId": self._queue(name).send(fields), "MD5OfMessageBody": md5(fields["MessageBody"].encode())}
        if fields.get("MessageAttributes"):
            sent["MD5OfMessageAttributes"] = attributes_md5(fields["MessageAttributes"])
        self._look(name)
        return sent

    def _delete(self, fields: Fields) -> Fields:
        self._queue(_name(fields)).delete(fields["ReceiptHandle"])
        return {}

    def _hide(self, fields: Fields) -> Fields:
        name = _name(fields)
        self._queue(name).hide(fields["ReceiptHandle"], seconds=float(fields["VisibilityTimeout"]), now=time.monotonic())
        self._look(name)
        return {}

    @staticmethod
    def _batch(one: Callable[[Fields], Fields], fields: Fields) -> Fields:
        url = fields["QueueUrl"]
        return {"Successful": [{"Id": entry["Id"], **one({**entry, "QueueUrl": url})} for entry in fields["Entries"]], "Failed": []}

    def _hold(self, fields: Fields) -> Fields:
        self._queue(_name(fields)).held = True
        return {}

    def _release(self, fields: Fields) -> Fields:
        self._queue(_name(fields)).held = False
        self._look(_name(fields))
        return {}

    # --- long polls ------------------------------------------------------------------------------

    def _look(self, name: str) -> None:
        """Serve those who wait for messages of a queue, the first first."""
        polls, self._polls[name] = self._polls.get(name, []), []
        for poll in polls:
            self._serve(name, poll)

    def _serve(self, name: str, poll: _Poll) -> None:
        """Answer a poll if there are messages or its time is over; else let it wait."""
        now, queue, fields = time.monotonic(), self._queue(name), poll.fields
        received = queue.receive(limit=fields.get("MaxNumberOfMessages", 1), visibility=fields.get("VisibilityTimeout"), now=now)
        if received or now >= poll.until:
            poll.connection.say({"Messages": [_wanted(message, fields) for message in received]} if received else {})
            return
        polls = self._polls.setdefault(name, [])
        polls.append(poll)
        again = poll.until if queue.next_return is None else min(poll.until, queue.next_return)
        asyncio.get_running_loop().call_later(again - now, self._ring, name, poll)

    def _ring(self, name: str, poll: _Poll) -> None:
        polls = self._polls[name]
        if poll in polls:
            polls.remove(poll)
            self._serve(name, poll)

    def _queue(self, name: str) -> Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise _NoSuchQueue from None

    def _url(self, name: str) -> str:
        return f"{self.origin}/{ACCOUNT}/{name}"


class _Poll:
    """A receive that is not answered yet."""

    def __init__(self, connection: _Connection, fields: Fields, *, until: float) -> None:
        self.connection, self.fields, self.until = connection, fields, until


class _Connection(Stub):
    """One connection to the broker."""

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker

    def handle(self, head: bytes, body: bytes) -> None:
        if b"x-amz-target: amazonsqs." not in head and b"x-amz-target: bench." not in head:
            self.write(respond(head, body))
            return
        try:
            self._broker.handle(self, verb(head), json.loads(body))
        except _NoSuchQueue:
            self.write(_NO_QUEUE)

    def say(self, fields: Fields) -> None:
        """Answer with JSON."""
        self.write(answer(json.dumps(fields).encode(), JSON))

    def connection_lost(self, error: Exception | None) -> None:
        self._broker.forget(self)


def _name(fields: Fields) -> str:
    return str(fields["QueueUrl"]).rpartition("/")[2]


def _wanted(message: Fields, fields: Fields) -> Fields:
    """Return a message as it is delivered: with its attributes only where they were asked for."""
    wanted: Sequence[str] = fields.get("MessageAttributeNames", ())
    found = {**message, "MD5OfBody": md5(message["Body"].encode())}
    if not wanted:
        del found["MessageAttributes"]
    return found


async def main() -> None:
    broker = Broker()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(broker), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    broker.origin = f"http://127.0.0.1:{port}"
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
