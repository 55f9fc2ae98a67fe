"""A stub of an API with its store, and a stub proxy, on this machine, for tests of the clients' transports."""

from __future__ import annotations

import json
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from offpoll.document import Document, PollHint

ID = "0123456789abcdef" * 2
#: In the past by any clock, so that the first poll is due at once.
NOW = datetime(2020, 1, 1, tzinfo=UTC)
ORDER = {"total": 5}

#: The signature in this API's links. It must appear nowhere but on the wire.
SIGNATURE = "5ecre7"


def _released() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class StubApi:
    """A stub of an API with its store, and the requests that it got.

    Attributes:
        base: its address.
        store: the store's response: status, headers and body, or a document; by default that of a success.
        store_next: returns the store's next document, instead of `store`.
        api: the API's response to every request, instead of the usual ones.
        pending: whether the API says that the operation is not done.
        hold: while it is cleared, no request gets a response.
        bodies: of the requests.
        seen: method, path and headers of the requests.
    """

    base: str = ""
    store: tuple[int, dict[str, str], bytes] | Document | None = None
    api: tuple[int, dict[str, str], bytes] | None = None
    store_next: Callable[[], Document] | None = None
    pending: bool = False
    hold: threading.Event = field(default_factory=_released)
    bodies: list[bytes] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def document(self, status: str, **fields: Any) -> Document:
        """Return a document of the one operation."""
        own = f"{self.base}/order/{ID}"
        made = Document(
            id=ID,
            kind="order",
            status=status,
            attempt=0 if status == "queued" else 1,
            created_at=NOW,
            updated_at=NOW,
            poll=PollHint(not_before=NOW, interval=0.01) if status in ("queued", "running") else None,
            links={"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"},
        )
        return replace(made, **fields)

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return the response to a request: status, headers, body."""
        as_json = {"Content-Type": "application/json"}
        if path.startswith("/store/"):
            shown = self.store_next() if self.store_next else self.store or self.document("succeeded")
            return (200, as_json, shown.to_bytes()) if isinstance(shown, Document) else shown
        if self.api is not None:
            return self.api
        if method == "POST" and path.endswith("/status-link"):
            return 200, as_json, json.dumps(self.link()).encode()
        if method == "POST":
            return 202, as_json, json.dumps({**self.document("queued").to_dict(), "status_link": self.link()}).encode()
        return (202, as_json, self.document("queued").to_bytes()) if self.pending else (200, as_json, json.dumps(ORDER).encode())

    def link(self) -> dict[str, str]:
        """Return a status link."""
        return {"href": f"{self.base}/store/{ID}?X-Amz-Signature={SIGNATURE}", "expires_at": "2099-01-01T01:00:00Z"}

    def interrupt(self, process: subprocess.Popen[str], *, after: int = 1) -> None:
        """Send Ctrl-C to a process once it has sent this many requests."""
        until = time.monotonic() + 20
        while len(self.seen) < after and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)

    def asked(self) -> list[str]:
        """Return the requests, without their query strings."""
        return [f"{method} {path.partition('?')[0]}" for method, path, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    api: StubApi

    def do_GET(self) -> None:
        self.api.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.api.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.api.hold.wait(20)
        status, headers, body = self.api.answer(self.command, self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the server's own naming

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Proxy(BaseHTTPRequestHandler):
    """Tunnels CONNECT, and forwards requests with a whole URL, for clients that have the password."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    lines: list[str]

    def _admitted(self) -> bool:
        self.lines.append(f"{self.command} {self.path.partition('?')[0]}")
        if self.headers.get("proxy-authorization") == "Basic " + b64encode(b"user:pa55word").decode():
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_CONNECT(self) -> None:
        if not self._admitted():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as there:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            ends = {self.connection: there, there: self.connection}
            while ends and (ready := select.select(list(ends), [], [], 5)[0]):
                for end in ready:
                    data = end.recv(65_536)
                    if not data:
                        ends = {}
                        break
                    ends[end].sendall(data)
        self.close_connection = True

    def do_GET(self) -> None:
        if not self._admitted():
            return
        parts = urlsplit(self.path)
        there = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        kept = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        there.request(self.command, f"{parts.path}?{parts.query}" if parts.query else parts.path, body or None, kept)
        response = there.getresponse()
        content = response.read()
        there.close()
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the server's own naming

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            connection, address = super().get_request()
            # The handshake happens in the connection's own thread, so that a client that refuses the certificate does not hold up the rest.
            return (connection if tls is None else tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)), address

        def handle_error(self, *_: Any) -> None:
            """Say nothing: in some tests a client refuses the certificate."""

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        with suppress(OSError):
            server.server_close()
        thread.join()


@contextmanager
def stub_api(tls: ssl.SSLContext | None = None) -> Iterator[StubApi]:
    """Run an API with its store."""
    made = StubApi()
    with _running(type("Own", (_Handler,), {"api": made}), tls) as port:
        made.base = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        try:
            yield made
        finally:
            made.hold.set()


@contextmanager
def proxy(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy. Yield its address, without user and password, and the list of its requests."""
    lines: list[str] = []
    with _running(type("Own", (_Proxy,), {"lines": lines}), tls) as port:
        yield f"127.0.0.1:{port}", lines
