"""Watched stores read documents as a JSON parser would, only faster."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from proof.simulate.watched import _HEAD, _shown

from offpoll.document import Document
from offpoll.operation import Status

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOCUMENT = Document(id="5" * 32, kind="order", status=Status.RUNNING, revision=12, attempt=3, created_at=NOW, updated_at=NOW)


@pytest.mark.parametrize("status", Status)
def test_what_offpoll_writes(status: Status) -> None:
    """The beginning of a document gives the same status and rank as all of it."""
    body = replace(DOCUMENT, status=status, error={"code": "x", "message": '"status":"queued","done":false'}).to_bytes()
    fields = json.loads(body)
    assert _HEAD.match(body)
    assert _shown(body) == (fields["status"], (fields["done"], fields["attempt"], fields["revision"]))


def test_what_is_written_otherwise() -> None:
    """A document with its fields in another order is parsed whole."""
    body = json.dumps(dict(reversed(json.loads(DOCUMENT.to_bytes()).items()))).encode()
    assert not _HEAD.match(body)
    assert _shown(body) == ("running", (False, 3, 12))
