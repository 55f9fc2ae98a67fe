"""Records in a DynamoDB table: each verb is one conditional update of one item.

Decides how the guards of `records` are said as conditions. Must not know who asks. The table's key is `id`; it is created with the
other resources, never here.

DynamoDB has no clock of its own in conditions, so the store's time is learned from its answers (`store_clock`): the earliest it can be
is what leases and expiry are judged by, the latest what new leases are counted from.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    table_remedies,
    text,
    ttl,
)
from offpoll.aws.service import AwsResponse
from offpoll.aws.store_clock import StoreClock
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError
from offpoll.instant import to_wire
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
    """A `records.Records` in a table.

    Args:
        wire: makes the calls.
        endpoint: DynamoDB's address.
        table: the table's name.
        region: the table's.
    """

    def __init__(self, wire: Wire, *, endpoint: AwsEndpoint, table: str, region: str) -> None:
        self._table = table
        self._named = f'{{"TableName":{quote(table)},'
        self._calls = table_calls(wire, endpoint=endpoint, region=region)
        self._clock = StoreClock(wire.monotonic)
        self._remedies = table_remedies(table, region)

    async def get(self, operation_id: str) -> Update:
        fields = {"TableName": self._table, "Key": {"id": text(operation_id)}, "ConsistentRead": True}
        answer = await self._calls.call("GetItem", fields)
        if answer.status != 200:
            raise self._calls.service.refusal(answer, self._remedies)
        self._learn(answer)
        now = self._clock.earliest()
        record = self._record(answer, self._calls.read(answer).get("Item"), now)
        return Update(applied=record is not None, record=record, at=now)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        await self._know_the_time()
        now = self._clock.earliest()
        change = _Change(guard=Idle(attempt=seen), now=now)
        change.set(attempt=number(seen + 1), token=text(token), lease_until=self._from_now(lease))
        if seen == 0:
            change.begin(submission, expires_at=expires_at, started_at=text(to_wire(now)))
        return await self._update(submission.operation_id, change)

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        await self._know_the_time()
        change = _Change(guard=held, now=self._clock.earliest())
        change.set(lease_until=self._from_now(lease))
        return await self._update(operation_id, change)

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        await self._know_the_time()
        change = _Change(guard=held, now=self._clock.earliest())
        change.set(lease_until=self._from_now(backoff))
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
            change.set(input={"B": base64.b64encode(input).decode()})
        if guard == Idle(attempt=0):
            change.begin(submission, expires_at=expires_at, attempt=number(0))
        else:
            change.remove("token", "lease_until", *(() if input is not None else ("input",)))
        return await self._update(submission.operation_id, change)

    async def check(self) -> None:
        """Read an item that is not there.

        Raises:
            ConfigurationError: no table is set, or there are no credentials.
            DependencyRefused: the table, its key, the credentials or the permission dynamodb:GetItem are wrong.
            DependencyUnavailable: no answer.
        """
        if not self._table:
            raise ConfigurationError("no table is set: set OFFPOLL_RECORDS_TABLE")
        await self.get("offpoll-check")

    async def _update(self, operation_id: str, change: _Change) -> Update:
        answer = await self._calls.call_text("UpdateItem", f"{self._named}{change.written(operation_id)}}}")
        if answer.status == 200:
            self._learn(answer)
            record = self._record(answer, self._calls.read(answer).get("Attributes"), None)
            if record is None:
                raise self._calls.service.garbage(answer)
            return Update(applied=True, record=record, at=self._clock.earliest())
        if answer.fault.code != "ConditionalCheckFailedException":
            raise self._calls.service.refusal(answer, self._remedies)
        self._learn(answer)
        now = self._clock.earliest()
        return Update(applied=False, record=self._record(answer, self._calls.read(answer).get("Item"), now), at=now)

    def _record(self, answer: AwsResponse, item: Mapping[str, Any] | None, now: datetime | None) -> Record | None:
        """Read an item. One that is expired at `now` counts as absent: TTL deletes late."""
        if not item:
            return None
        try:
            record = from_item(item)
        except (KeyError, TypeError, ValueError) as error:
            raise self._calls.service.garbage(answer) from error
        return None if now is not None and record.expires_at <= now else record

    def _learn(self, answer: AwsResponse) -> None:
        date = answer.date
        if date is None:  # it did not come from DynamoDB, or a proxy took it away: there is no time to judge leases by
            raise self._calls.service.garbage(answer)
        self._clock.learn(date, sent=answer.sent, received=answer.received)

    async def _know_the_time(self) -> None:
        """Ask for any item, once: its answer tells the time."""
        if not self._clock.known:
            await self.get("offpoll-time")

    def _from_now(self, seconds: float) -> Value:
        return epoch(self._clock.latest() + timedelta(seconds=seconds))


@dataclass(kw_only=True)
class _Change:
    """One UpdateItem in the making."""

    guard: Guard
    now: datetime
    _set: dict[str, Value] = field(default_factory=dict)
    _removed: tuple[str, ...] = ()

    def set(self, **values: Value) -> None:
        self._set.update(values)

    def remove(self, *names: str) -> None:
        self._removed += names

    def begin(self, submission: Submission, *, expires_at: datetime, **values: Value) -> None:
        """Write a whole record: nothing stays of an expired one that may still be there."""
        self.set(**submission_values(submission), expires_at=ttl(expires_at), **values)
        self.remove(*(name for name in ATTRIBUTES if name not in self._set))

    def written(self, operation_id: str) -> str:
        """Write the call's fields but the table as JSON text, without the braces."""
        condition, values = _condition(self.guard, self.now)
        values.update({f":{name}": value for name, value in self._set.items()})
        common = _common(condition, tuple(self._set), self._removed)
        return f'"Key":{{"id":{{"S":{quote(operation_id)}}}}},"ExpressionAttributeValues":{encode(values)},{common}'


@lru_cache(maxsize=64)  # there are half a dozen: a claim, a first claim, a renewal, …
def _common(condition: str, changed: tuple[str, ...], removed: tuple[str, ...]) -> str:
    """Write what calls share that change and remove the same attributes under the same condition.

    Every name goes through `#`, because `token`, `owner` and others are DynamoDB's reserved words.
    """
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
    used = [name for name in ("id", *ATTRIBUTES) if f"#{name}" in expression or f"#{name}" in condition]
    fields = {
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in used},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return encode(fields)[1:-1]


def _condition(guard: Guard, now: datetime) -> tuple[str, dict[str, Value]]:
    """Say a guard as DynamoDB does; it must hold exactly where `records.holds` does."""
    at = {":now": epoch(now)}
    match guard:
        case Claim(attempt=attempt, token=token):
            return _CLAIMED, {**at, ":seen": number(attempt), ":held": text(token)}
        case Idle(attempt=0):
            return _ABSENT, at
        case Idle(attempt=attempt):
            return _UNLEASED, {**at, ":seen": number(attempt)}
        case _:
            return _UNDECIDED, at
