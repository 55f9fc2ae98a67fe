"""The status link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

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
