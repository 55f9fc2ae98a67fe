"""Keeps service times in the records' table: a few items for each kind, so that processes rarely write the same one.

    id           S  service-times#{kind}#{shard}
    spans        S  JSON, oldest first: [[began_at, ended_at, seconds, inside, early, late, {bucket: completions}], …], instants as epoch ms
    token        S  the last write's token
    expires_at   N  the table's TTL attribute

Reports of several processes never overwrite each other. A report is one conditional write over what this process last saw of its item.
If another process wrote in between, the refusal returns what it wrote, and the next try adds to that. If the refusal returns this report's
own token, an earlier try succeeded and only its response was lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.items import table_calls, text, ttl
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyUnavailable
from offpoll.estimate.history import Span, extended
from offpoll.instant import EPOCH
from offpoll.limits import encode, quote

__all__ = ["SHARDS", "DynamoServiceTimes"]

#: Items for each kind. With a report every 10 s, a thousand processes make 25 writes a second on each item, and one in eight collides with
#: another (5 ms between read and write). An item takes 1,000 units of 1 KB a second. Readers read all items, so there are no more.
SHARDS = 4

#: How long an item outlives its last report. Nobody needs a kind's times of more than a week ago.
KEPT = timedelta(days=7)

#: How often to try one report against other writers. If all tries fail, its spans go out with the next report.
TRIES = 6

#: Errors from reading an item that `_write` did not write.
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class DynamoServiceTimes:
    """A `service_times.ServiceTimes` in a table.

    Args:
        wire: makes the calls; its clock dates the items' expiry.
        table: the records'.
        random: returns a number from 0 to 1, which picks this process's shard.
        token: returns a fresh token for each report.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        endpoint: AwsEndpoint,
        table: str,
        region: str,
        random: Callable[[], float] = random.random,
        token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._wire = wire
        self._table = table
        self._calls = table_calls(wire, endpoint=endpoint, table=table, region=region)
        self._shard = min(SHARDS - 1, int(random() * SHARDS))
        self._token = token
        self._seen: dict[str, tuple[str | None, tuple[Span, ...]]] = {}

    async def add(self, kind: str, span: Span) -> None:
        token = self._token()
        for _ in range(TRIES):
            seen, spans = self._seen.get(kind, (None, ()))
            spans = extended(spans, span)
            response = await self._calls.call_text("UpdateItem", self._update(kind, spans, seen=seen, token=token))
            if response.status == 200:
                self._seen[kind] = token, spans
                return
            if response.fault.code != "ConditionalCheckFailedException":
                raise self._calls.refusal(response)
            self._seen[kind] = _token_and_spans(self._calls.read(response).get("Item"))
            if self._seen[kind][0] == token:
                return
        raise DependencyUnavailable("DynamoDB", f"the service times of {kind} kept changing under {TRIES} conditional writes")

    async def spans(self, kind: str) -> Sequence[Span]:
        shards = await asyncio.gather(*(self._read(kind, shard) for shard in range(SHARDS)))
        return [span for spans in shards for span in spans]

    def _update(self, kind: str, spans: Sequence[Span], *, seen: str | None, token: str) -> str:
        values = f'":spans":{text(_write(spans))},":token":{text(token)},":expires_at":{ttl(self._wire.clock() + KEPT)}'
        condition = "attribute_not_exists(#token)"
        if seen is not None:
            condition, values = "#token = :seen", f'{values},":seen":{text(seen)}'
        fields = {
            "UpdateExpression": "SET #spans = :spans, #token = :token, #expires_at = :expires_at",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#spans": "spans", "#token": "token", "#expires_at": "expires_at"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return f'{self._key(kind, self._shard)},"ExpressionAttributeValues":{{{values}}},{encode(fields)[1:]}'

    def _key(self, kind: str, shard: int) -> str:
        """Write which item a call is about, as JSON text without the closing brace."""
        return f'{{"TableName":{quote(self._table)},"Key":{{"id":{text(_id(kind, shard))}}}'

    async def _read(self, kind: str, shard: int) -> Sequence[Span]:
        """Read one shard, not strongly consistently: that costs half, and service times are only a hint."""
        response = await self._calls.call_text("GetItem", self._key(kind, shard) + "}")
        item = self._calls.accepted(response).get("Item")
        if not item:
            return ()
        try:
            return _spans(item)
        except _UNREADABLE as error:
            raise self._calls.service.unreadable(response) from error


def _id(kind: str, shard: int) -> str:
    return f"service-times#{kind}#{shard}"


def _token_and_spans(item: Mapping[str, Any] | None) -> tuple[str | None, tuple[Span, ...]]:
    """Read the item that a refusal returned. TTL may have deleted it; spans that cannot be read are dropped."""
    try:
        token = None if not item else str(item["token"]["S"])
    except (KeyError, TypeError):
        return None, ()
    try:
        return token, () if not item else _spans(item)
    except _UNREADABLE:
        return token, ()


def _write(spans: Sequence[Span]) -> str:
    rows = [
        [_epoch(each.began_at), _epoch(each.ended_at), round(each.seconds, 3), each.inside, each.early, each.late, dict(each.buckets)]
        for each in spans
    ]
    return json.dumps(rows, separators=(",", ":"))


def _spans(item: Mapping[str, Any]) -> tuple[Span, ...]:
    return tuple(
        Span(
            began_at=EPOCH + timedelta(milliseconds=began_at),
            ended_at=EPOCH + timedelta(milliseconds=ended_at),
            seconds=float(seconds),
            inside=int(inside),
            early=int(early),
            late=int(late),
            buckets={int(bucket): int(count) for bucket, count in buckets.items()},
        )
        for began_at, ended_at, seconds, inside, early, late, buckets in json.loads(item["spans"]["S"])
    )


def _epoch(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
