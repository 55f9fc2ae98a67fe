"""Serves a store and an API of many operations, for `wait_all.py` to wait for.

Each operation ends at a random time, within the given seconds after the first request. Every request takes a few milliseconds, as on a
network. The stub counts the most requests in flight, the connections, and how often each operation was polled. Operations from `WARM` on
are for warming up: they have ended, and the stub does not count them. It prints its port as its first line.

    GET /status/public/{id}     the document: `queued` until its end, then `succeeded`; 304 if the etag has not changed
    GET /order/{id}             the order
    GET /counts                 the counts
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

#: Seconds that each request takes.
LATENCY = 0.005

#: The first number of the operations that are not counted.
WARM = 2**64

_PATH = re.compile(rb"GET /(status/public|order|counts)/?([0-9a-f]{32})?")


class Operations:
    """The operations, and the counts of requests about them."""

    def __init__(self, port: int, seconds: float) -> None:
        self._origin, self._seconds = f"http://127.0.0.1:{port}", seconds
        self._began, self._draw = 0.0, random.Random(1)
        self._ends: dict[str, float] = {}
        self.polls: Counter[str] = Counter()
        self.results: Counter[str] = Counter()
        self.in_flight = self.most = self.connections = 0

    def counted(self, head: bytes) -> bool:
        """Tell whether a request is to be counted. The first such request starts the clock."""
        match = _PATH.match(head)
        counts = match is not None and match[2] is not None and int(match[2], 16) < WARM
        if counts:
            self._began = self._began or time.monotonic()
        return counts

    def answer(self, head: bytes) -> bytes:
        """Answer a request."""
        match = _PATH.match(head)
        assert match is not None, head
        if match[1] == b"counts":
            counts = {"most": self.most, "connections": self.connections, "polls": self.polls.total(), "operations": len(self.polls)}
            return _written(200, json.dumps({**counts, "twice": sum(count > 1 for count in self.results.values())}).encode())
        identifier, counted = match[2].decode(), self.counted(head)
        if match[1] == b"order":
            self.results[identifier] += counted
            return _written(200, json.dumps({"id": identifier}).encode())
        if counted:
            self.polls[identifier] += 1
        end = self._ends.setdefault(identifier, self._draw.uniform(0.2, 1.0) * self._seconds) if counted else 0.0
        status = "succeeded" if time.monotonic() - self._began >= end else "queued"
        if b'if-none-match: "' + status.encode() in head.lower():
            return _written(304, b"", etag=status)
        return _written(200, json.dumps(document(self._origin, identifier, status)).encode(), etag=status)


def document(origin: str, identifier: str, status: str) -> dict[str, object]:
    """Return a status document of the usual size."""
    now, own = datetime.now(UTC), f"{origin}/order/{identifier}"
    done = status == "succeeded"
    return {
        "spec": "offpoll/1", "id": identifier, "kind": "order", "status": status, "done": done, "revision": 1 + done, "attempt": int(done),
        "created_at": _wire(now), "started_at": None, "updated_at": _wire(now), "finished_at": _wire(now) if done else None,
        "progress": None, "estimate": {"earliest": None, "mean": _wire(now, 5), "latest": None},
        "poll": None if done else {"not_before": _wire(now, 2), "interval": 2.0}, "result": None, "error": None, "digest": "d" * 64,
        "links": {"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"}, "expires_at": _wire(now, 1_209_600),
    }  # fmt: skip


def _wire(now: datetime, seconds: float = 0.0) -> str:
    return (now + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written(status: int, body: bytes, *, etag: str = "") -> bytes:
    tag = f'ETag: "{etag}"\r\n' if etag else ""
    length = "" if status == 304 else f"Content-Length: {len(body)}\r\n"
    date = formatdate(usegmt=True)
    return f"HTTP/1.1 {status} OK\r\nDate: {date}\r\nContent-Type: application/json\r\n{tag}{length}\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One connection, for requests without a body."""

    def __init__(self, operations: Operations) -> None:
        self._operations, self._buffer = operations, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._known = transport, False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            counted = self._operations.counted(head)
            self._operations.connections += counted and not self._known
            self._known |= counted
            self._operations.in_flight += counted
            self._operations.most = max(self._operations.most, self._operations.in_flight)
            asyncio.get_running_loop().call_later(LATENCY, self._write, head, counted)

    def _write(self, head: bytes, counted: bool) -> None:
        self._operations.in_flight -= counted
        self._transport.write(self._operations.answer(head))


async def main(seconds: float) -> None:
    made: list[Operations] = []
    server = await asyncio.get_running_loop().create_server(lambda: Connection(made[0]), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made.append(Operations(port, seconds))
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
