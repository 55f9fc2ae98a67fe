"""The status link."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.wire import Wire
from offpoll.link import StatusLink

LINK = StatusLink(href="https://store/status/public/a?X-Amz-Signature=secret", expires_at=datetime(2030, 1, 1, tzinfo=UTC))


def test_repr_hides_the_signature() -> None:
    """The URL lets anybody read the document, so logs do not show it."""
    assert "secret" not in repr(LINK)
    assert "https://store/status/public/a?…" in repr(LINK)


def test_round_trip() -> None:
    """A link that is written and read again is unchanged."""
    assert StatusLink.from_dict(LINK.to_dict()) == LINK


@pytest.mark.parametrize("fields", [None, [], {}, {"href": 1, "expires_at": "2030-01-01T00:00:00Z"}, {"href": "x", "expires_at": "soon"}])
def test_values_that_are_no_link(fields: Any) -> None:
    """Any other value raises ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        StatusLink.from_dict(fields)


def test_a_link_is_json_whatever_its_bucket_is_called() -> None:
    """A signer that knows that its links need no escape writes the same JSON; one whose bucket's name needs some says so."""
    credentials = StaticCredentials(Credentials(access_key='A"K', secret_key="s", session_token='t"\\é'))
    for bucket in ("plain", 'a"b', "a\\b", "é"):
        store = S3DocumentStore(
            Wire(credentials), endpoint=AwsEndpoint.parse("http://127.0.0.1:1"), bucket=bucket, region='r"', style="path"
        )
        link = store.sign('status/public/a"é', lifetime=600)
        assert link.escaped is (bucket == "plain")
        assert json.loads(link.to_json()) == link.to_dict()
        assert link.to_json() == replace(link, escaped=False).to_json()
