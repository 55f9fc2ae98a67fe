"""DynamoDB's table as both adapters use it: how it is called, and what to do about its refusals. Must not know any item."""

from __future__ import annotations

from collections.abc import Mapping

from offpoll.aws.endpoints import Endpoint
from offpoll.aws.json_calls import JsonCalls
from offpoll.aws.service import Service
from offpoll.aws.wire import Wire

__all__ = ["table_calls", "table_remedies"]

#: DynamoDB's JSON protocol, version of 2012-08-10.
TARGET = "DynamoDB_20120810"


def table_calls(wire: Wire, *, endpoint: Endpoint, region: str) -> JsonCalls:
    """Return the calls of DynamoDB in a region."""
    return JsonCalls(wire, Service("DynamoDB", name="dynamodb", region=region, endpoint=endpoint), target=TARGET)


def table_remedies(table: str, region: str) -> Mapping[str, str]:
    """Return what to do, by error code."""
    grant = f"grant dynamodb:GetItem and dynamodb:UpdateItem on table {table}"
    return {
        "ResourceNotFoundException": f"table {table} does not exist in region {region}: set OFFPOLL_RECORDS_TABLE or create it",
        "AccessDeniedException": grant,
        "ValidationException": f"table {table} must have the partition key `id` of type S and no sort key: check OFFPOLL_RECORDS_TABLE",
    }
