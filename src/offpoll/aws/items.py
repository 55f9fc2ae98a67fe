"""The records' DynamoDB table: the calls to it, its remedies for errors, and how a record becomes an item and back.

id           S  operation id, the key           lease_until  N  epoch seconds, milliseconds as decimals, in the store's time
kind         S                                  expires_at   N  whole epoch seconds: the table's TTL attribute
owner        S                                  attempt      N
status_key   S                                  token        S  absent if nobody holds the claim
digest       S  absent if there is none         outcome      M  status S, result S (JSON text), error S (JSON text)
base_url     S                                  input        B  only if the operation failed
created_at, started_at, finished_at  S  RFC 3339
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.json_calls import JsonCalls
from offpoll.aws.service import AwsService
from offpoll.aws.wire import Wire
from offpoll.instant import EPOCH, from_wire, to_wire
from offpoll.limits import quote
from offpoll.operation import Outcome, Record, Status, Submission

__all__ = [
    "ATTRIBUTES",
    "Value",
    "epoch",
    "from_item",
    "number",
    "outcome_value",
    "submission_values",
    "table_calls",
    "text",
    "ttl",
    "whole_second",
]

#: DynamoDB's JSON protocol, version of 2012-08-10.
_TARGET = "DynamoDB_20120810"

#: All attributes of a record but its key. A record that replaces an expired one removes those that it does not set.
ATTRIBUTES = (
    "kind",
    "owner",
    "status_key",
    "digest",
    "base_url",
    "created_at",
    "attempt",
    "token",
    "lease_until",
    "started_at",
    "finished_at",
    "outcome",
    "expires_at",
    "input",
)

#: An attribute's value as JSON text: one is written for each attribute of every update.
Value = str


def table_calls(wire: Wire, *, endpoint: AwsEndpoint, table: str, region: str) -> JsonCalls:
    """Return what calls DynamoDB for the records' table."""
    grant = f"grant dynamodb:GetItem and dynamodb:UpdateItem on table {table}"
    remedies = {
        "ResourceNotFoundException": f"table {table} does not exist in region {region}: set OFFPOLL_RECORDS_TABLE or create it",
        "AccessDeniedException": grant,
        "ValidationException": f"table {table} must have the partition key `id` of type S and no sort key: check OFFPOLL_RECORDS_TABLE",
    }
    service = AwsService("DynamoDB", name="dynamodb", region=region, endpoint=endpoint)
    return JsonCalls(wire, service, target=_TARGET, remedies=remedies)


def text(value: str) -> Value:
    """Return a string attribute."""
    return f'{{"S":{quote(value)}}}'


def number(value: int | str) -> Value:
    """Return a number attribute."""
    return f'{{"N":"{value}"}}'


def epoch(instant: datetime) -> Value:
    """Return an instant as epoch seconds with three decimals."""
    milliseconds = (instant - EPOCH) // timedelta(milliseconds=1)
    return number(f"{milliseconds // 1000}.{milliseconds % 1000:03d}")


def whole_second(instant: datetime) -> datetime:
    """Round an instant up to a whole second."""
    return instant.replace(microsecond=0) + timedelta(seconds=1 if instant.microsecond else 0)


def ttl(instant: datetime) -> Value:
    """Return an instant as whole epoch seconds, rounded up: TTL accepts no decimals."""
    return number(int(whole_second(instant).timestamp()))


def submission_values(submission: Submission) -> dict[str, Value]:
    """Return the attributes that never change."""
    values = {
        "kind": text(submission.kind),
        "owner": text(submission.owner),
        "status_key": text(submission.status_key),
        "base_url": text(submission.base_url),
        "created_at": text(to_wire(submission.created_at)),
    }
    if submission.digest is not None:
        values["digest"] = text(submission.digest)
    return values


def outcome_value(outcome: Outcome) -> Value:
    """Return an outcome attribute."""
    fields = f'"status":{text(outcome.status.value)}'
    if outcome.result is not None:
        fields += f',"result":{text(outcome.result)}'
    if outcome.error is not None:
        fields += f',"error":{text(json.dumps(dict(outcome.error), separators=(",", ":"), ensure_ascii=False))}'
    return f'{{"M":{{{fields}}}}}'


def from_item(item: Mapping[str, Any]) -> Record:
    """Read a record from an item.

    Raises:
        KeyError, TypeError, ValueError: the item is not a record.
    """
    submission = Submission(
        operation_id=item["id"]["S"],
        kind=item["kind"]["S"],
        owner=item["owner"]["S"],
        status_key=item["status_key"]["S"],
        digest=_text(item, "digest"),
        base_url=_text(item, "base_url") or "",
        created_at=from_wire(item["created_at"]["S"]),
    )
    return Record(
        submission=submission,
        attempt=int(item["attempt"]["N"]),
        token=_text(item, "token"),
        lease_until=_instant(item["lease_until"]["N"]) if "lease_until" in item else None,
        started_at=_from_wire(item, "started_at"),
        finished_at=_from_wire(item, "finished_at"),
        outcome=_outcome(item["outcome"]["M"]) if "outcome" in item else None,
        expires_at=_instant(item["expires_at"]["N"]),
        input=base64.b64decode(item["input"]["B"]) if "input" in item else None,
    )


def _outcome(fields: Mapping[str, Any]) -> Outcome:
    error = _text(fields, "error")
    return Outcome(
        status=Status(fields["status"]["S"]),
        result=_text(fields, "result"),
        error=None if error is None else json.loads(error),
    )


def _text(item: Mapping[str, Any], name: str) -> str | None:
    return str(item[name]["S"]) if name in item else None


def _from_wire(item: Mapping[str, Any], name: str) -> datetime | None:
    written = _text(item, name)
    return None if written is None else from_wire(written)


def _instant(written: str) -> datetime:
    return EPOCH + timedelta(milliseconds=round(float(written) * 1000))
