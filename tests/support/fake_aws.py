"""S3, SQS and DynamoDB in one stub on loopback, as far as boards and the accept path need them. Any process may call it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.stub_api import StubApi

__all__ = ["FakeAws", "fake_aws"]


class FakeAws:
    """The stub's state.

    Attributes:
        origin: its address.
        objects: the store's, by path.
        sent: messages.
        hold_next: whether the next request, and only that, waits for `released`.
        came: set when that has come.
        api: an offpoll API at `/api`, for clients.
    """

    def __init__(self) -> None:
        self.origin = ""
        self.objects: dict[str, bytes] = {}
        self.sent: list[Any] = []
        self.hold_next = False
        self.came, self.released = threading.Event(), threading.Event()
        self.api = StubApi()

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that uses it."""
        return {
            "STUB_API": self.api.base,
            "AWS_ENDPOINT_URL": self.origin,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_EC2_METADATA_DISABLED": "true",
            "OFFPOLL_BUCKET": "bucket",
            "OFFPOLL_RECORDS_TABLE": "table",
            "OFFPOLL_SECRET": "s" * 32,
            **{f"OFFPOLL_{name}_URL": f"{self.origin}/1/{name.lower()}" for name in ("QUEUE", "DEAD_LETTER_QUEUE", "PARKING_QUEUE")},
        }

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.hold_next:
            self.hold_next = False
            self.came.set()
            self.released.wait(30)
        if path.startswith("/api/"):
            return self.api.answer(method, path)
        target = headers.get("x-amz-target", "")
        if target.endswith("GetQueueAttributes"):
            return 200, {}, json.dumps({"Attributes": dict.fromkeys(json.loads(body)["AttributeNames"], "0")}).encode()
        if target.endswith("SendMessage"):
            self.sent.append(json.loads(body))
            return 200, {}, b'{"MessageId":"m"}'
        if target.endswith("SendMessageBatch"):
            self.sent += json.loads(body)["Entries"]
            ids = [{"Id": entry["Id"], "MessageId": "m"} for entry in json.loads(body)["Entries"]]
            return 200, {}, json.dumps({"Successful": ids}).encode()
        if target:
            return 200, {}, b"{}"
        path = path.partition("?")[0]
        if method == "PUT":
            if headers.get("if-none-match") and path in self.objects:
                return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
            self.objects[path] = body
        if path not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        etag = hashlib.md5(self.objects[path], usedforsecurity=False).hexdigest()
        return 200, {"ETag": f'"{etag}"'}, b"" if method == "PUT" else self.objects[path]


@contextmanager
def fake_aws() -> Iterator[FakeAws]:
    """Run the stub."""
    fake = FakeAws()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, headers, content = fake.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.origin = f"http://127.0.0.1:{server.server_address[1]}"
    fake.api.base = f"{fake.origin}/api"
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    try:
        yield fake
    finally:
        fake.released.set()
        server.shutdown()
        serving.join()
        server.server_close()
