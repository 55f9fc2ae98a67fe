"""Requests to the API about one operation: their address, and which responses say that the operation ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from offpoll.document import Document
from offpoll.errors import ApiError
from offpoll.exchange import Response, is_outage, operation_url, read_operation

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2


def document(kind: str = "order", **links: str) -> Document:
    return Document(id=ID, kind=kind, status="running", attempt=1, created_at=NOW, updated_at=NOW, links=links)


def problem(status: int, **members: object) -> Response:
    return Response(status=status, headers={}, body=json.dumps({"title": "t", "status": status, **members}).encode())


def test_address() -> None:
    """A document's own link is used first. Without one, the address is made of the API's address, the kind and the id."""
    assert operation_url(document(self="https://a.test/x"), "self", base_url="https://b.test") == "https://a.test/x"
    assert operation_url(document(), "self", base_url="https://b.test/api") == f"https://b.test/api/order/{ID}"
    assert operation_url(document(), "status_link", base_url="https://b.test") == f"https://b.test/order/{ID}/status-link"
    assert operation_url(document(), "cancel", base_url="https://b.test") == f"https://b.test/order/{ID}/cancel"


def test_a_kind_that_makes_no_path() -> None:
    """A kind that does not make a safe path raises an error instead of sending a request elsewhere."""
    with pytest.raises(ApiError, match="no 'self' link"):
        operation_url(document(kind="../admin"), "self", base_url="https://b.test")


@pytest.mark.parametrize(
    ("status", "outage"), [(500, True), (503, True), (408, True), (429, True), (404, False), (403, False), (302, False)]
)
def test_outage(status: int, outage: bool) -> None:
    """Server errors, timeouts and throttling say nothing about the operation."""
    assert is_outage(status) is outage


class TestReadOperation:
    """What a response to GET says about the operation."""

    @pytest.mark.parametrize(
        "response",
        [
            Response(status=200, headers={"content-type": "text/html"}, body=b"<html>"),
            Response(status=200, headers={"content-type": "application/json"}, body=b"{"),
            Response(status=200, headers={"content-type": "application/json"}, body=b"{}", complete=False),
            problem(404),
            problem(404, operation_status="running"),
            problem(404, operation_status=["failed"]),
            problem(409, operation_status="failed"),
        ],
    )
    def test_responses_that_say_nothing(self, response: Response) -> None:
        """Only JSON with 200, or a 404 problem with an `operation_status`, says that an operation ended."""
        assert read_operation(response, document=document()) is None

    def test_succeeded(self) -> None:
        """200 with JSON means that the operation succeeded."""
        ended = read_operation(Response(status=200, headers={"content-type": "application/json"}, body=b"{}"), document=document())
        assert ended is not None
        assert (ended.id, ended.status) == (ID, "succeeded")

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_ended_otherwise(self, status: str) -> None:
        """A 404 problem with an `operation_status` carries that status and the operation's error."""
        ended = read_operation(problem(404, operation_status=status, error={"code": "sold_out"}), document=document())
        assert ended is not None
        assert (ended.status, ended.error) == (status, {"code": "sold_out"})
