"""Service times in the records' table: one item a kind and hour.

Decides what "recent" is: this hour and the one before. Must not know what is made of the mean.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from offpoll.aws.endpoints import Endpoint
from offpoll.aws.items import number, text, ttl
from offpoll.aws.table import table_calls, table_remedies
from offpoll.aws.wire import Wire

__all__ = ["DynamoServiceTimes"]

#: An hour's item is of no use after two; a day leaves something to look at.
KEPT = timedelta(days=1)


class DynamoServiceTimes:
    """A `service_times.ServiceTimes` in a table.

    Args:
        wire: makes the calls; its clock tells the hour.
        endpoint: DynamoDB's address.
        table: the table's name, the records'.
        region: the table's.
    """

    def __init__(self, wire: Wire, *, endpoint: Endpoint, table: str, region: str) -> None:
        self._wire = wire
        self._table = table
        self._calls = table_calls(wire, endpoint=endpoint, region=region)
        self._remedies = table_remedies(table, region)

    async def add(self, kind: str, *, completions: int, seconds: float) -> None:
        now = self._wire.clock()
        fields = {
            "TableName": self._table,
            "Key": {"id": text(_id(kind, now))},
            "UpdateExpression": "ADD #completions :completions, #seconds :seconds SET #expires_at = :expires_at",
            "ExpressionAttributeNames": {"#completions": "completions", "#seconds": "seconds", "#expires_at": "expires_at"},
            "ExpressionAttributeValues": {
                ":completions": number(completions),
                ":seconds": number(f"{seconds:.3f}"),
                ":expires_at": ttl(now + KEPT),
            },
        }
        answer = await self._calls.call("UpdateItem", fields)
        if answer.status != 200:
            raise self._calls.service.refusal(answer, self._remedies)

    async def mean(self, kind: str) -> float | None:
        now = self._wire.clock()
        hours = await asyncio.gather(self._hour(kind, now), self._hour(kind, now - timedelta(hours=1)))
        completions = sum(count for count, _ in hours)
        return sum(seconds for _, seconds in hours) / completions if completions else None

    async def _hour(self, kind: str, at: datetime) -> tuple[int, float]:
        """Read one hour: completions and the seconds they took. Not strongly consistent: half the price, and it is a hint."""
        answer = await self._calls.call("GetItem", {"TableName": self._table, "Key": {"id": text(_id(kind, at))}})
        if answer.status != 200:
            raise self._calls.service.refusal(answer, self._remedies)
        item = self._calls.read(answer).get("Item")
        if not item:
            return 0, 0.0
        try:
            return int(item["completions"]["N"]), float(item["seconds"]["N"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._calls.service.garbage(answer) from error


def _id(kind: str, at: datetime) -> str:
    return f"service-times#{kind}#{at:%Y-%m-%dT%H}"
