"""Status links on real servers: only the unchanged link works, only for GET, only for its document, only until it expires."""

from __future__ import annotations

import asyncio
import secrets
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from tests.support.servers import Server

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.wire import Wire

Run = Callable[[Coroutine[Any, Any, Any]], Any]
T = TypeVar("T")


@pytest.fixture(params=["ministack_server", "ceph_server"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(server: Server) -> str:
    return make_bucket(server)


def make_bucket(server: Server) -> str:
    name = f"offpoll-{secrets.token_hex(6)}"
    session = boto3.Session(server.access_key, server.secret_key, region_name=server.region)
    session.client("s3", endpoint_url=server.origin, config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket=name)
    return name


async def using(server: Server, bucket: str, use: Callable[[S3DocumentStore], Awaitable[T]]) -> T:
    """Use a store, then close its connections."""
    wire = Wire(StaticCredentials(Credentials(access_key=server.access_key, secret_key=server.secret_key)))
    try:
        return await use(S3DocumentStore(wire, endpoint=AwsEndpoint.parse(server.origin), bucket=bucket, region=server.region))
    finally:
        await wire.close()


def document_store(server: Server, bucket: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> S3DocumentStore:
    wire = Wire(StaticCredentials(Credentials(access_key=server.access_key, secret_key=server.secret_key)), clock=clock)
    return S3DocumentStore(wire, endpoint=AwsEndpoint.parse(server.origin), bucket=bucket, region=server.region)


@pytest.fixture
def key(server: Server, bucket: str, run: Run) -> str:
    """The key of an existing document."""
    name = f"status/public/{secrets.token_hex(16)}"
    run(using(server, bucket, lambda store: store.create(name, b'{"a":1}')))
    return name


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Send one request without credentials."""
    data = b"{}" if method in {"PUT", "POST"} else None
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read(), {name.lower(): value for name, value in response.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), {name.lower(): value for name, value in error.headers.items()}


def test_a_good_link_works(server: Server, bucket: str, key: str) -> None:
    """The link reads the document, with its type, its etag, and the headers that stop caches from serving old copies."""
    status, body, headers = fetch(document_store(server, bucket).sign(key, lifetime=60.0).href)
    assert (status, body) == (200, b'{"a":1}')
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "private, no-cache"
    assert headers["etag"]
    assert headers["date"]


def test_conditional_get(server: Server, bucket: str, key: str) -> None:
    """A reader that has the current document gets 304 and no body."""
    href = document_store(server, bucket).sign(key, lifetime=60.0).href
    etag = fetch(href)[2]["etag"]
    status, body, _ = fetch(href, if_none_match=etag)
    assert (status, body) == (304, b"")
    assert fetch(href, if_none_match='"another"')[0] == 200


@pytest.mark.parametrize("part", ["X-Amz-Signature=", "X-Amz-Date=", "X-Amz-Expires=", "X-Amz-Credential="])
def test_a_tampered_link_is_refused(server: Server, bucket: str, key: str, part: str) -> None:
    """Changing one character of any signed part breaks the link."""
    href = document_store(server, bucket).sign(key, lifetime=600.0).href
    at = href.index(part) + len(part) + (3 if part != "X-Amz-Expires=" else 0)
    tampered = href[:at] + ("1" if href[at] != "1" else "2") + href[at + 1 :]
    assert fetch(href)[0] == 200
    assert fetch(tampered)[0] in {400, 403}


def test_a_link_is_for_one_document(server: Server, bucket: str, key: str, run: Run) -> None:
    """A link does not read another existing document."""
    other = f"status/public/{secrets.token_hex(16)}"
    run(using(server, bucket, lambda store: store.create(other, b"{}")))
    href = document_store(server, bucket).sign(key, lifetime=60.0).href
    assert fetch(href.replace(key, other))[0] == 403
    assert fetch(document_store(server, bucket).sign(other, lifetime=60.0).href)[0] == 200


def test_an_expired_link_is_refused(server: Server, bucket: str, key: str) -> None:
    """A link signed an hour ago for one minute is refused; for two hours, it works."""
    earlier = document_store(server, bucket, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    assert fetch(earlier.sign(key, lifetime=60.0).href)[0] == 403
    assert fetch(earlier.sign(key, lifetime=7200.0).href)[0] == 200


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "POST"])
def test_a_link_is_for_get(server: Server, bucket: str, key: str, method: str, run: Run) -> None:
    """With another method the link is refused, and the document stays unchanged."""
    store = document_store(server, bucket)
    assert fetch(store.sign(key, lifetime=60.0).href, method)[0] in {400, 403, 405, 411}
    found = run(using(server, bucket, lambda store: store.read(key)))
    assert found is not None
    assert found[0] == b'{"a":1}'


def test_without_a_signature(server: Server, bucket: str, key: str) -> None:
    """Knowing a document's address is not enough."""
    href = document_store(server, bucket).sign(key, lifetime=60.0).href
    assert fetch(href.partition("?")[0])[0] == 403


def test_without_its_signature(ceph_server: Server, run: Run) -> None:
    """A link without its signature is refused. (ministack 1.5.33 serves it.)"""
    made = make_bucket(ceph_server)
    store = document_store(ceph_server, made)
    run(using(ceph_server, made, lambda store: store.create("status/public/k", b"{}")))
    href = store.sign("status/public/k", lifetime=60.0).href
    assert fetch(href)[0] == 200
    assert fetch(href.partition("&X-Amz-Signature=")[0])[0] in {400, 403}


def test_odd_keys_can_be_linked(server: Server, bucket: str, run: Run) -> None:
    """A link to a document with an unusual key reads that document."""
    store = document_store(server, bucket)
    for name in ("a b+~%&=?#", "ü漢🙂", "'()*!@,:;$"):
        odd = f"status/{name}/{secrets.token_hex(4)}"
        run(using(server, bucket, partial(S3DocumentStore.create, key=odd, body=name.encode())))
        assert fetch(store.sign(odd, lifetime=60.0).href)[:2] == (200, name.encode())


def test_public_address(ministack_server: Server, run: Run) -> None:
    """Links can be signed for an address other than the one this process uses: here `localhost` instead of 127.0.0.1."""
    server, made = ministack_server, make_bucket(ministack_server)
    run(using(server, made, lambda store: store.create("status/public/k", b"{}")))
    wire = Wire(StaticCredentials(Credentials(access_key=server.access_key, secret_key=server.secret_key)))
    public, inside = AwsEndpoint.parse(server.origin.replace("127.0.0.1", "localhost")), AwsEndpoint.parse("http://127.0.0.1:1")
    store = S3DocumentStore(wire, endpoint=inside, public_endpoint=public, bucket=made, region=server.region)
    href = store.sign("status/public/k", lifetime=60.0).href
    assert href.startswith(public.origin)
    assert fetch(href)[0] == 200


def test_check(server: Server, bucket: str) -> None:
    """The check passes if everything exists, and otherwise names what is missing."""

    async def checks() -> list[str]:
        found = []
        for name in (bucket, "offpoll-does-not-exist"):
            try:
                await using(server, name, S3DocumentStore.check)
                found.append("")
            except Exception as error:
                found.append(str(error))
        return found

    good, missing = asyncio.run(checks())
    assert good == ""
    assert "OFFPOLL_BUCKET" in missing
