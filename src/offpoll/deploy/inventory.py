"""Describes a stack's data before the user agrees to delete it: how much, and when something was last written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from offpoll.deploy.account import Account, refusal, speaking_to
from offpoll.deploy.removal import DATA_SERVICE, GONE, Kept
from offpoll.errors import DependencyRefused

__all__ = ["Holding", "holdings"]

#: Most objects of a bucket that are counted: ten calls. Larger buckets hold "more than" that.
MOST_OBJECTS = 10_000

#: When a record was written, among its attributes. A table itself does not know.
_WRITTEN = ("created_at", "started_at", "finished_at")


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A resource with data.

    Attributes:
        kept: the resource.
        count: its objects, items or versions, as far as they were counted; None if AWS did not tell.
        size: their bytes; None for a secret.
        is_more: whether there are more than were counted.
        written_at: the last write among those; None if there is none.
        unknown: why AWS did not tell; empty if it did.
    """

    kept: Kept
    count: int | None = None
    size: int | None = None
    is_more: bool = False
    written_at: datetime | None = None
    unknown: str = ""

    def text(self) -> str:
        """Describe it in one line."""
        if self.unknown or self.count is None:
            return f"{self.kept.kind} {self.kept.name}: size and last write not known ({self.unknown})"
        word = {"bucket": "object", "table": "item", "secret": "version"}[self.kept.kind]
        parts = [f"{'more than ' if self.is_more else ''}{self.count:,} {word}{'' if self.count == 1 else 's'}"]
        if self.size is not None:
            parts.append(_bytes(self.size))
        written = "no write" if self.written_at is None else f"last write {self.written_at:%Y-%m-%d %H:%M} UTC"
        return f"{self.kept.kind} {self.kept.name}: {', '.join(parts)}, {written}{' or later' if self.is_more and self.written_at else ''}"

    def fields(self) -> dict[str, Any]:
        """Return the same for scripts."""
        return {
            "kind": self.kept.kind,
            "name": self.kept.name,
            "count": self.count,
            "bytes": self.size,
            "more": self.is_more,
            "last_write": None if self.written_at is None else self.written_at.isoformat(),
        }


def holdings(account: Account, resources: Iterable[Kept]) -> list[Holding]:
    """Look at resources. Those that are gone are left out."""
    return [each for each in (_look(account, kept) for kept in resources) if each is not None]


def _look(account: Account, kept: Kept) -> Holding | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - takes 0.3 s

    try:
        with speaking_to(DATA_SERVICE[kept.kind]):
            try:
                return _LOOK[kept.kind](account, Holding(kept=kept))
            except ClientError as error:
                if refusal(error)[0] in GONE:
                    return None
                raise
    except DependencyRefused as error:
        return Holding(kept=kept, unknown=str(error))


def _bucket(account: Account, holding: Holding) -> Holding:
    pages = account.client("s3").get_paginator("list_object_versions")
    count, size, written, more = 0, 0, None, False
    for page in pages.paginate(Bucket=holding.kept.name, ExpectedBucketOwner=account.id):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        count += len(versions)
        size += sum(each.get("Size", 0) for each in versions)
        written = max([each["LastModified"] for each in versions] + ([written] if written else []), default=None)
        more = bool(page.get("IsTruncated"))
        if count >= MOST_OBJECTS:
            break
    return replace(holding, count=count, size=size, is_more=more, written_at=written)


def _table(account: Account, holding: Holding) -> Holding:
    """Look at a table. AWS counts its items every six hours, so the first megabyte is read as well."""
    dynamodb = account.client("dynamodb")
    about = dynamodb.describe_table(TableName=holding.kept.name)["Table"]
    names = {f"#{name}": name for name in _WRITTEN}
    page = dynamodb.scan(TableName=holding.kept.name, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names)
    texts = [value["S"] for item in page.get("Items", []) for value in item.values() if "S" in value]
    return replace(
        holding,
        count=max(about.get("ItemCount", 0), page.get("ScannedCount", page.get("Count", 0))),
        size=about.get("TableSizeBytes", 0),
        is_more="LastEvaluatedKey" in page,
        written_at=max((datetime.fromisoformat(each).astimezone(UTC) for each in texts), default=None),
    )


def _secret(account: Account, holding: Holding) -> Holding:
    about = account.client("secretsmanager").describe_secret(SecretId=holding.kept.name)
    written = about.get("LastChangedDate") or about.get("CreatedDate")
    return replace(holding, count=len(about.get("VersionIdsToStages", {})), written_at=written and written.astimezone(UTC))


_LOOK: dict[str, Callable[[Account, Holding], Holding]] = {"bucket": _bucket, "table": _table, "secret": _secret}


def _bytes(size: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:,.1f} TB"
