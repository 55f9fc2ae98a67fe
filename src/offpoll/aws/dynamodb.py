"""Keeps records in a DynamoDB table: each verb is one conditional update of one item, and the guards of `records` become conditions.

The table's key is `id`. The deployment creates the table, never this module.

DynamoDB's conditions cannot read its clock, so `store_clock` learns the store's time from its responses. Leases and expiry are judged by
the earliest time it can be, and new leases count from the latest.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.items import (
    ATTRIBUTES,
    Value,
    epoch,
    from_item,
    number,
    outcome_value,
    submission_values,
    table_calls,
    text,
    ttl,
    whole_second,
)
from offpoll.aws.service import AwsResponse
from offpoll.aws.store_clock import StoreClock
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError
from offpoll.instant import to_milliseconds, to_wire
from offpoll.limits import encode, quote
from offpoll.operation import Outcome, Record, Submission
from offpoll.records import Claim, Guard, Idle, Update

__all__ = ["DynamoRecords"]

_LIVE = "attribute_exists(#id) AND #expires_at > :now"
_UNDECIDED = f"{_LIVE} AND attribute_not_exists(#outcome)"
_CLAIMED = f"{_UNDECIDED} AND #attempt = :seen AND #token = :held"
_ABSENT = "attribute_not_exists(#id) OR #expires_at <= :now"
_UNLEASED = f"{_UNDECIDED} AND #attempt = :seen AND (attribute_not_exists(#lease_until) OR #lease_until <= :now)"


class DynamoRecords:
    """A `records.Records` in a table."""

    def __init__(self, wire: Wire, *, endpoint: AwsEndpoint, table: str, region: str) -> None:
        self._table = table
        self._opening = f'{{"TableName":{quote(table)},'
        self._calls = table_calls(wire, endpoint=endpoint, table=table, region=region)
        self._clock = StoreClock(wire.monotonic, clock=wire.clock)

    async def get(self, operation_id: str) -> Update:
        self._clock.look()
        response = await self._calls.call_text("GetItem", f'{self._opening}"Key":{{"id":{text(operation_id)}}},"ConsistentRead":true}}')
        item = self._calls.accepted(response).get("Item")
        self._learn(response)
        now = self._clock.earliest()
        record = self._record(response, item, now)
        return Update(applied=record is not None, record=record, at=now)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        await self._know_the_time()
        now, until = self._clock.earliest(), self._from_now(lease)
        change = _Change(guard=Idle(attempt=seen), now=now)
        change.set(attempt=number(seen + 1), token=text(token), lease_until=epoch(until))
        if seen == 0:
            change.begin(submission, expires_at=expires_at, started_at=text(to_wire(now)))
            change.makes = Record(
                submission=submission, attempt=1, token=token, lease_until=until, started_at=now, expires_at=whole_second(expires_at)
            )
        return await self._update(submission.operation_id, change)

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        await self._know_the_time()
        change = _Change(guard=held, now=self._clock.earliest())
        change.set(lease_until=epoch(self._from_now(lease)))
        return await self._update(operation_id, change)

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        await self._know_the_time()
        change = _Change(guard=held, now=self._clock.earliest())
        change.set(lease_until=epoch(self._from_now(backoff)))
        change.remove("token")
        return await self._update(operation_id, change)

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        await self._know_the_time()
        now = self._clock.earliest()
        change = _Change(guard=guard, now=now)
        change.set(outcome=outcome_value(outcome), finished_at=text(to_wire(now)))
        if input is not None:
            change.set(input=f'{{"B":"{base64.b64encode(input).decode()}"}}')
        if guard == Idle(attempt=0):
            change.begin(submission, expires_at=expires_at, attempt=number(0))
        else:
            change.remove("token", "lease_until", *(() if input is not None else ("input",)))
        if isinstance(guard, Claim) and guard.record is not None:
            change.makes = replace(guard.record, token=None, lease_until=None, finished_at=now, outcome=outcome, input=input)
        return await self._update(submission.operation_id, change)

    async def check(self) -> None:
        """Read an item that does not exist.

        Raises:
            ConfigurationError: no table is set, or there are no credentials.
            DependencyRefused: the table, its key or the credentials are wrong, or the permission dynamodb:GetItem is missing.
            DependencyUnavailable: no usable response came.
        """
        if not self._table:
            raise ConfigurationError("no table is set: set OFFPOLL_RECORDS_TABLE")
        await self.get("offpoll-check")

    async def _update(self, operation_id: str, change: _Change) -> Update:
        response = await self._calls.call_text("UpdateItem", f"{self._opening}{change.fields(operation_id)}}}")
        if response.status == 200:
            self._learn(response)
            fields = self._calls.read(response) if response.body else None  # a proxy's page is no claim
            record = None if fields is None else change.makes or self._record(response, fields.get("Attributes"), None)
            if record is None:
                raise self._calls.service.unreadable(response)
            return Update(applied=True, record=record, at=self._clock.earliest())
        if response.fault.code != "ConditionalCheckFailedException":
            raise self._calls.refusal(response)
        self._learn(response)
        now = self._clock.earliest()
        return Update(applied=False, record=self._record(response, self._calls.read(response).get("Item"), now), at=now)

    def _record(self, response: AwsResponse, item: Mapping[str, Any] | None, now: datetime | None) -> Record | None:
        """Read an item. One that has expired at `now` counts as absent: TTL deletes late."""
        if not item:
            return None
        try:
            record = from_item(item)
        except (KeyError, TypeError, ValueError) as error:
            raise self._calls.service.unreadable(response) from error
        return None if now is not None and record.expires_at <= now else record

    def _learn(self, response: AwsResponse) -> None:
        date = response.date
        if date is None:  # not from DynamoDB, or a proxy removed it: without it leases cannot be judged
            raise self._calls.service.unreadable(response)
        self._clock.learn(date, sent=response.sent, received=response.received)

    async def _know_the_time(self) -> None:
        """Read any item, once: the response tells the time."""
        if not self._clock.known:
            await self.get("offpoll-time")

    def _from_now(self, seconds: float) -> datetime:
        return to_milliseconds(self._clock.latest() + timedelta(seconds=seconds))


@dataclass(kw_only=True)
class _Change:
    """Collects the fields of one UpdateItem.

    `makes` is the record that it makes, if that is known without the response.
    """

    guard: Guard
    now: datetime
    makes: Record | None = None
    _set: dict[str, Value] = field(default_factory=dict)
    _removed: tuple[str, ...] = ()

    def set(self, **values: Value) -> None:
        self._set.update(values)

    def remove(self, *names: str) -> None:
        self._removed += names

    def begin(self, submission: Submission, *, expires_at: datetime, **values: Value) -> None:
        """Write a whole record, and remove what an expired one may have left."""
        self.set(**submission_values(submission), expires_at=ttl(expires_at), **values)
        self.remove(*(name for name in ATTRIBUTES if name not in self._set))

    def fields(self, operation_id: str) -> str:
        """Write the call's fields, except the table, as JSON text without braces."""
        condition, guarded = _condition(self.guard, self.now)
        values = ",".join([f'":{name}":{value}' for name, value in (*guarded, *self._set.items())])
        common = _common(condition, tuple(self._set), self._removed, "ALL_NEW" if self.makes is None else "NONE")
        return f'"Key":{{"id":{text(operation_id)}}},"ExpressionAttributeValues":{{{values}}},{common}'


@lru_cache(maxsize=64)  # there are half a dozen: a claim, a first claim, a renewal, …
def _common(condition: str, changed: tuple[str, ...], removed: tuple[str, ...], returned: str) -> str:
    """Write the fields that are equal in all calls with the same condition, changed attributes and removed attributes.

    Every name gets a `#`, because DynamoDB reserves `token`, `owner` and others.
    """
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
    used = [name for name in ("id", *ATTRIBUTES) if f"#{name}" in expression or f"#{name}" in condition]
    fields = {
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in used},
        "ReturnValues": returned,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return encode(fields)[1:-1]


def _condition(guard: Guard, now: datetime) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """Write a guard as a condition, which must hold exactly when `records.holds` does, and the values it names."""
    at = ("now", epoch(now))
    match guard:
        case Claim(attempt=attempt, token=token):
            return _CLAIMED, (at, ("seen", number(attempt)), ("held", text(token)))
        case Idle(attempt=0):
            return _ABSENT, (at,)
        case Idle(attempt=attempt):
            return _UNLEASED, (at, ("seen", number(attempt)))
        case _:
            return _UNDECIDED, (at,)
