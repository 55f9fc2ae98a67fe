"""A server that answers at once: what the benches and tests talk to, in a process of its own.

It keeps nothing: the answer follows from the request alone. It prints its port as its first line, and speaks https where it is given a file
with a key and a certificate. `broker.py` is the same server with real queues.

    S3          PUT: an etag.  GET: `queued` for a status document's key, else a small JSON
    SQS         sends succeed; the queue says it is empty, and delivers nothing: `broker.py` does
    DynamoDB    every condition holds: the item of the operation, with what the update sets
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

#: The content type of SQS's and DynamoDB's answers.
JSON = "application/x-amz-json-1.0"

_MESSAGE_ID = "5fea7756-0ea4-451a-a703-a558b933e274"


def answer(body: bytes, content_type: str, extra: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 18:00:00 GMT\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{extra}\r\n".encode() + body


_PUT = answer(b"", "text/plain", 'ETag: "6805f2cfc46c0f04559748bb039d69ae"\r\nx-amz-request-id: 4442587FB7D0A2F9\r\n')
_GET = answer(json.dumps({"pad": "x" * 600}).encode(), "application/json", 'ETag: "6805f2cfc46c0f04559748bb039d69ae"\r\n')


class Stub(asyncio.Protocol):
    """One connection. Requests are complete when their Content-Length has arrived; pipelining is answered in order."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = _length(head)
            if b"expect: 100-continue" in head and len(self._buffer) < end + 4 + length:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self.handle(head, body)

    def handle(self, head: bytes, body: bytes) -> None:
        """Answer a request: `head` in lower case, without the empty line after it."""
        self.write(respond(head, body))

    def write(self, data: bytes) -> None:
        """Write an answer."""
        self._transport.write(data)


def _length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def respond(head: bytes, body: bytes) -> bytes:
    if head.startswith(b"put"):
        return _PUT
    if head.startswith(b"get"):
        found = _DOCUMENT_KEY.match(head)
        return answer(json.dumps(_document(found[1].decode())).encode(), "application/json", _ETAG) if found else _GET
    return answer(_VERBS.get(verb(head), _sent)(body), JSON)


def verb(head: bytes) -> str:
    """Return which call of SQS or DynamoDB a request makes, in lower case."""
    return head.partition(b"x-amz-target: ")[2].partition(b"\r\n")[0].rpartition(b".")[2].decode()


def _sent(body: bytes) -> bytes:
    """Answer SendMessage, and SendMessageBatch entry by entry, with the digests that boto3 checks."""
    fields = json.loads(body)
    if "Entries" in fields:
        return json.dumps({"Successful": [{"Id": entry["Id"], **receipt(entry)} for entry in fields["Entries"]], "Failed": []}).encode()
    return json.dumps(receipt(fields)).encode()


def receipt(fields: dict[str, Any]) -> dict[str, str]:
    return {
        "MessageId": _MESSAGE_ID,
        "MD5OfMessageBody": md5(fields["MessageBody"].encode()),
        "MD5OfMessageAttributes": attributes_md5(fields.get("MessageAttributes", {})),
    }


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def attributes_md5(attributes: dict[str, dict[str, str]]) -> str:
    """Digest attributes as SQS does: lengths and texts of name, type and value, sorted by name."""
    written = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        for part in (name, value["DataType"]):
            written += len(part.encode()).to_bytes(4, "big") + part.encode()
        text = value["StringValue"].encode()
        written += b"\x01" + len(text).to_bytes(4, "big") + text
    return md5(bytes(written))


# --- what a worker asks for -----------------------------------------------------------------------

_ETAG = 'ETag: "6805f2cfc46c0f04559748bb039d69ae"\r\n'
_DOCUMENT_KEY = re.compile(rb"get [^ ?]*/status/public/([0-9a-f]{32}) ")
_NOW = datetime.now(UTC).replace(microsecond=0)
_DIGEST = "d" * 64
_API = "http://api.test"


def _wire(seconds: float = 0.0) -> str:
    return (_NOW + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document(identifier: str) -> dict[str, Any]:
    own = f"{_API}/order/{identifier}"
    return {
        "spec": "offpoll/1", "id": identifier, "kind": "order", "status": "queued", "done": False, "revision": 1, "attempt": 0,
        "created_at": _wire(), "started_at": None, "updated_at": _wire(), "finished_at": None, "progress": None,
        "estimate": {"earliest": None, "mean": _wire(5), "latest": None}, "poll": {"not_before": _wire(4.5), "interval": 2.0},
        "result": None, "error": None, "digest": _DIGEST,
        "links": {"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"}, "expires_at": _wire(1_209_600),
    }  # fmt: skip


def facts(identifier: str) -> dict[str, str]:
    """Return what the message and the item of an operation both say of it."""
    return {
        "kind": "order", "owner": "public", "status_key": f"status/public/{identifier}", "digest": _DIGEST, "base_url": _API,
        "created_at": _wire(),
    }  # fmt: skip


def _depth(body: bytes) -> bytes:
    return json.dumps({"Attributes": dict.fromkeys(json.loads(body)["AttributeNames"], "0")}).encode()


def _updated(body: bytes) -> bytes:
    """Answer UpdateItem with the whole new item: the operation's facts, and over them what `SET #name = :value` sets."""
    fields = json.loads(body)
    key = fields["Key"]["id"]
    item: dict[str, Any] = {name: {"S": value} for name, value in facts(key["S"]).items()}
    item |= {"id": key, "attempt": {"N": "1"}, "started_at": {"S": _wire()}, "expires_at": {"N": str(int(_NOW.timestamp()) + 1_209_600)}}
    names, values = fields["ExpressionAttributeNames"], fields["ExpressionAttributeValues"]
    for name, value in re.findall(r"(#\w+) = (:\w+)", fields["UpdateExpression"]):
        item[names[name]] = values[value]
    return json.dumps({"Attributes": item} if fields.get("ReturnValues") == "ALL_NEW" else {}).encode()


_VERBS: dict[str, Callable[[bytes], bytes]] = {
    "getqueueattributes": _depth,
    "getitem": lambda body: b"{}",
    "updateitem": _updated,
}


async def main(chain: str | None) -> None:
    context = None
    if chain is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
