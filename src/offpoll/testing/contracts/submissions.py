"""Makes operations for contract suites: no two are alike, and their texts are not plain."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from offpoll.instant import to_milliseconds
from offpoll.operation import Submission

__all__ = ["new_submission"]


def new_submission(
    operation_id: str | None = None, *, digest: str | None = "d1:ü", base_url: str = "https://api.example.com"
) -> Submission:
    """Make an operation that nobody knows, or another submission under a known id."""
    operation_id = operation_id or secrets.token_hex(16)
    return Submission(
        operation_id=operation_id,
        kind="order",
        owner="ü 漢",
        status_key=f"status/{secrets.token_hex(4)}/{operation_id}",
        digest=digest,
        base_url=base_url,
        created_at=to_milliseconds(datetime.now(UTC)),
    )
