"""Submitting over HTTP, without a framework: what is accepted, and what is refused before anything is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.http_api import API, GOOD, api

from offpoll.http.endpoint import Request, too_large


def test_submit() -> None:
    """A submit answers 202 with the location, when to ask, and the stored document with its status link."""
    with api(workers=0) as at:
        status, headers, fields = at("POST", "/order", GOOD)
        link = fields.pop("status_link")
        assert status == 202
        assert headers["location"] == f"/order/{fields['id']}"
        assert int(headers["retry-after"]) >= 1
        assert headers["cache-control"] == "no-store"
        assert "operation-location" not in headers
        assert fields == at.lab.document(fields["id"]).to_dict()
        assert fields["links"]["self"] == f"{API}/order/{fields['id']}"
        assert link.keys() == {"href", "expires_at"}
        (envelope,) = at.lab.system.queue.peek()
        assert envelope.body == '{"quantity":2,"sku":"A1"}'


def test_operation_location_by_option() -> None:
    """If the settings say so, `Operation-Location` contains the status link."""
    with api(workers=0, operation_location=True) as at:
        _, headers, fields = at("POST", "/order", GOOD)
        assert headers["operation-location"] == fields["status_link"]["href"]


def test_public_url_beats_the_request() -> None:
    """Links and Location use the API's public address if it is set."""
    with api(workers=0, public_url="https://shop.example.com/v1/") as at:
        _, headers, fields = at("POST", "/order", GOOD)
        assert fields["links"]["self"] == f"https://shop.example.com/v1/order/{fields['id']}"
        assert headers["location"] == f"/v1/order/{fields['id']}"


@pytest.mark.parametrize("path", ["/order", "/order/", "/order//"])
def test_slashes(path: str) -> None:
    """Slashes at the end of the path do not get into the links."""
    with api(workers=0) as at:
        _, headers, fields = at("POST", path, GOOD)
        assert fields["links"]["self"] == f"{API}/order/{fields['id']}"
        assert headers["location"] == f"/order/{fields['id']}"


def test_idempotency() -> None:
    """The same key and body get the same id, even once it runs or is done; another body gets 422 and is never handled."""
    with api() as at:
        first = at.submit({"sku": "A1", "quantity": 20}, idempotency_key="k")
        for seconds, status in ((0, "queued"), (15, "running"), (30, "succeeded")):
            at.lab.system.advance(seconds)
            code, headers, fields = at("POST", "/order", {"quantity": 20, "sku": "A1"}, idempotency_key="k")
            assert (code, fields["id"], fields["status"]) == (202, first, status)
            assert (headers["retry-after"] == "0") is (status == "succeeded")
            code, _, fields = at("POST", "/order", {"sku": "B2", "quantity": 1}, idempotency_key="k")
            assert (code, fields["code"]) == (422, "idempotency_key_reused")
        at.lab.system.advance(60)
        assert at.lab.system.run(at.lab.system.service.get("order", first)).result == '{"number":7,"sku":"A1"}'
        assert at.lab.messages == 0
        assert len(at.lab.system.records._records) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "clé", "a\tb"])
def test_bad_keys(key: str) -> None:
    """An invalid idempotency key is a 400, and nothing is written."""
    with api(workers=0) as at:
        status, _, fields = at("POST", "/order", GOOD, idempotency_key=key)
        assert (status, fields["code"], at.lab.writes) == (400, "invalid_idempotency_key", 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b'{"sku": NaN}', b"\xef\xbb\xbf{}", b"\xff\xfe", b"[" * 10_000, b"1" * 5000, b"1e999", b"{} x", b"'x'"],
    ids=lambda each: repr(each[:10]),
)
def test_bad_json(body: bytes) -> None:
    """A body that is not JSON is a 400; nothing is written or enqueued."""
    with api(workers=0) as at:
        status, _, fields = at("POST", "/order", body)
        assert (status, fields["code"]) == (400, "invalid_json")
        assert (at.lab.writes, at.lab.messages) == (0, 0)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        (None, ""),
        ({"quantity": 1}, "/sku"),
        ({"sku": "SECRET", "quantity": "SECRET"}, "/quantity"),
        ({"sku": "SECRET", "quantity": 0}, "/quantity"),
        ({"sku": 99999, "quantity": 10**40}, "/sku"),
    ],
    ids=str,
)
def test_bad_input(body: Any, pointer: str) -> None:
    """An invalid order is a 422 that says where and why, without repeating what was sent."""
    with api(workers=0) as at:
        status, _, fields = at("POST", "/order", b"null" if body is None else body)
        assert (status, fields["code"], fields["errors"][0]["pointer"]) == (422, "invalid_input", pointer)
        assert "SECRET" not in json.dumps(fields)
        assert "99999" not in json.dumps(fields)
        assert (at.lab.writes, at.lab.messages) == (0, 0)


def test_content_length_over_the_limit() -> None:
    """A body whose Content-Length is over the limit is refused before any of it is read."""

    async def read(limit: int) -> bytes:
        raise AssertionError("read")

    with api(workers=0, input_limit=100) as at:
        for length in ("101", "9" * 30):
            request = Request(method="POST", path="/order", headers={"host": "h", "content-length": length}, scheme="https", read=read)
            status, _, fields = at.send(request)
            assert (status, fields["code"], fields["limit"]) == (413, "input_too_large", 100)


@pytest.mark.parametrize("length", [None, "5", "-1", "x", "٣"])
def test_a_body_over_the_limit(length: str | None) -> None:
    """A body with no Content-Length, or a wrong one, is refused as soon as it is over the limit."""
    given: list[int] = []

    async def read(limit: int) -> bytes:
        given.append(limit)
        raise too_large(limit)

    headers = {"host": "h"} if length is None else {"host": "h", "content-length": length}
    with api(workers=0, input_limit=100) as at:
        status, _, _ = at.send(Request(method="POST", path="/order", headers=headers, scheme="https", read=read))
        assert (status, given) == (413, [100])
        assert (at.lab.writes, at.lab.messages) == (0, 0)


@pytest.mark.parametrize(
    "host", ["", "a b", "evil/path", "a:b", "[1]", "[::1", "[:::::1]", "user@host", "h:99999", "h:0", "h\r\nx", "a" * 256]
)
def test_odd_hosts(host: str) -> None:
    """An invalid Host is refused before anything is written, because it would be part of every link."""
    with api(workers=0) as at:
        status, _, _ = at("POST", "/order", GOOD, host=host)
        assert (status, at.lab.writes, at.lab.messages) == (400, 0, 0)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "a-b.example.com"])
def test_hosts(host: str) -> None:
    """A Host may have a port, and may be an IP address."""
    with api(workers=0) as at:
        _, _, fields = at("POST", "/order", GOOD, host=host)
        assert fields["links"]["self"].startswith(f"https://{host}/order/")
