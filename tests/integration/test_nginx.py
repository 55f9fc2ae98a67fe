"""nginx in front of the API, configured as docs/proxies.md says: prefixes, retries, bodies, compression, kept connections."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.deployment import Deployment
from tests.support.pages import blocks
from tests.support.servers import free_port, nginx, require_nginx

from offpoll import Client

pytestmark = pytest.mark.nginx

CONFIGURATION = next(block.code for block in blocks("nginx"))
GOOD = json.dumps({"sku": "A1", "quantity": 2}).encode()


class Proxied:
    """An API behind nginx."""

    def __init__(self, deployment: Deployment, port: int) -> None:
        self.deployment, self.port = deployment, port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request through nginx; return status, headers with lowercase names, and the body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes | None))
        response = self.connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@pytest.fixture
def proxied(deploy: Callable[..., Deployment], tmp_path: Path) -> Iterator[Callable[..., Proxied]]:
    """Start an API for each upstream that is not given, and nginx in front."""
    require_nginx()
    with ExitStack() as stack:

        def start(*, changed: tuple[str, str] = ("", ""), second: int = 0) -> Proxied:
            deployment, port = deploy(), free_port()
            deployment.serve("--root-path", "/v1")
            first = deployment.api.rpartition(":")[2]
            text = CONFIGURATION.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("127.0.0.1:8001", f"127.0.0.1:{first}")
            assert changed[0] in text
            text = text.replace("127.0.0.1:8002", f"127.0.0.1:{second or first}").replace(*changed)
            stack.enter_context(nginx(tmp_path, text))
            made = Proxied(deployment, port)
            stack.callback(made.connection.close)
            return made

        yield start


@pytest.mark.parametrize("changed", [("", ""), ("http://offpoll;  ", "http://offpoll/;")], ids=["passed on", "taken away"])
def test_the_python_client_through_nginx(proxied: Callable[..., Proxied], changed: tuple[str, str]) -> None:
    """Links have the prefix, whether nginx takes it away or not, and lead through nginx to the result."""
    behind = proxied(changed=changed)
    behind.deployment.work()
    with Client(behind.base) as client:
        ticket = client.submit("order", {"sku": "A1", "quantity": 2})
        assert ticket.document.links["self"] == f"{behind.base}/order/{ticket.operation_id}"
        assert client.wait(ticket) == {"sku": "A1", "quantity": 2}
    status, headers, body = behind("GET", f"/v1/order/{ticket.operation_id}", accept_encoding="gzip")
    assert (status, headers["content-encoding"], json.loads(gzip.decompress(body))["sku"]) == (200, "gzip", "A1")
    assert headers["etag"].startswith("W/")  # compression makes it a weak one, which still finds the same result
    assert behind("GET", f"/v1/order/{ticket.operation_id}", if_none_match=headers["etag"])[0] == 304


def test_what_clients_claim(proxied: Callable[..., Proxied]) -> None:
    """Headers by which a client pretends to be a proxy do not get into links."""
    behind = proxied()
    forged = {"x_forwarded_proto": "https", "x_forwarded_host": "evil.example", "forwarded": "host=evil.example;proto=https"}
    ticket = json.loads(behind("POST", "/v1/order/", GOOD, **forged)[2])
    assert ticket["links"]["self"] == f"{behind.base}/order/{ticket['id']}"


def test_a_compressed_body(proxied: Callable[..., Proxied]) -> None:
    """nginx passes a compressed body on as it is, and the API refuses it with the reason."""
    status, headers, body = proxied()("POST", "/v1/order", gzip.compress(GOOD), content_encoding="gzip")
    assert (status, headers["accept-encoding"], json.loads(body)["code"]) == (415, "identity", "unsupported_encoding")


@pytest.mark.parametrize("changed", [("", ""), ("gzip on;", "gzip on; proxy_request_buffering off;")], ids=["buffered", "not buffered"])
def test_bodies(proxied: Callable[..., Proxied], changed: tuple[str, str]) -> None:
    """Bodies with a length, in chunks or too long get the API's own answers."""
    behind = proxied(changed=changed)
    assert behind("POST", "/v1/order", GOOD)[0] == 202
    assert behind("POST", "/v1/order", iter([GOOD[:5], GOOD[5:]]), transfer_encoding="chunked")[0] == 202
    status, _, body = behind("POST", "/v1/order", b'"' + b"x" * 200_000 + b'"')
    assert (status, json.loads(body)["code"]) == (413, "input_too_large")
    if not changed[0]:
        assert behind("POST", "/v1/order", GOOD)[0] == 202  # nginx has read all of it, so the connection goes on


def test_connections_are_kept(proxied: Callable[..., Proxied]) -> None:
    """Many requests need few connections to the API."""
    behind = proxied()
    upstream = int(behind.deployment.api.rpartition(":")[2])
    before = sockets(upstream)
    for _ in range(40):
        assert behind("GET", "/v1/livez")[0] == 200
    assert len(sockets(upstream) - before) <= 4


def sockets(port: int) -> set[str]:
    """Return the local ends of all connections to a port, also of those that were closed within the last minute."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {fields[1] for fields in lines if fields[2].endswith(f":{port:04X}") and fields[3] != "0A"}


@contextmanager
def breaking() -> Iterator[tuple[int, list[bytes]]]:
    """Run a server that reads each request and closes the connection without an answer. Yield its port, and what it read."""
    read: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    read.append(connection.recv(65536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], read
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_a_post_is_not_sent_twice(proxied: Callable[..., Proxied]) -> None:
    """A POST that one server has read is not sent to the next, as it may have been accepted. A GET is."""
    with breaking() as (port, read):
        behind = proxied(second=port)
        statuses = [behind("POST", "/v1/order", GOOD)[0] for _ in range(6)]
        posts = sum(each.startswith(b"POST") for each in read)
        assert posts >= 1
        assert statuses.count(502) == posts
        assert statuses.count(202) == 6 - posts
        assert behind.deployment.messages() == statuses.count(202)


def test_our_client_repeats_it(proxied: Callable[..., Proxied]) -> None:
    """Clients repeat it with the same key: every submit succeeds, and makes one operation."""
    with breaking() as (port, read):
        behind = proxied(second=port)
        with Client(behind.base) as client:
            tickets = {client.submit("order", {"sku": "A1"}).operation_id for _ in range(6)}
        assert len(tickets) == 6
        assert behind.deployment.messages() == 6
        assert any(each.startswith(b"POST") for each in read)


def test_a_server_that_is_away(proxied: Callable[..., Proxied]) -> None:
    """A server that cannot be reached is passed over, for a POST too: it has read nothing."""
    behind = proxied(second=free_port())
    assert [behind("POST", "/v1/order", GOOD)[0] for _ in range(6)] == [202] * 6
