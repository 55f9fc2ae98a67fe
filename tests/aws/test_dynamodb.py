"""What a table's errors become, and leases in the store's time. The contract suite tests what records do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.scripted_aws import Asked, Reply, Scripted, json_error

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.dynamodb import DynamoRecords
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.items import epoch, from_item, ttl
from offpoll.aws.store_clock import DRIFT
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyRefused, DependencyUnavailable, OffpollError
from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.records import Claim, Update

Run = Callable[[Coroutine[Any, Any, Any]], Any]

DATE = datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC)
SUBMISSION = Submission(
    operation_id="0" * 32, kind="order", owner="public", status_key="status/public/0", digest="d", base_url="", created_at=DATE
)
ITEM = {
    "id": {"S": "0" * 32},
    "kind": {"S": "order"},
    "owner": {"S": "public"},
    "status_key": {"S": "status/public/0"},
    "created_at": {"S": "2026-11-23T18:00:00.000Z"},
    "attempt": {"N": "1"},
    "token": {"S": "t"},
    "lease_until": {"N": "1795543260.5"},
    "expires_at": {"N": "1796752800"},
}


CREDENTIALS = Credentials(access_key="AKIA", secret_key="s")


async def table(replies: Sequence[Reply], use: Callable[[DynamoRecords], Coroutine[Any, Any, Any]]) -> tuple[Any, list[Asked]]:
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
        records = DynamoRecords(wire, endpoint=AwsEndpoint.parse(server.origin), table="records", region="eu-west-1")
        try:
            return await use(records), server.asked
        except OffpollError as error:
            return error, server.asked
        finally:
            await wire.close()


def test_the_time_is_read_once(run: Run) -> None:
    """Before its first update a worker reads the time; afterwards every response tells it."""

    async def use(records: DynamoRecords) -> None:
        for _ in range(2):
            await records.renew("0" * 32, held=Claim(attempt=1, token="t"), lease=60.0)

    _, asked = run(table([Reply(200, b"{}"), Reply(200, json.dumps({"Attributes": ITEM}).encode())], use))
    assert [each.headers["x-amz-target"].partition(".")[2] for each in asked] == ["GetItem", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize("date", ["", "yesterday"])
@pytest.mark.parametrize("verb", ["get", "renew"])
def test_a_response_without_a_time(run: Run, verb: str, date: str) -> None:
    """A response without a date does not come from DynamoDB: it is an outage, and never read as 1970."""

    async def use(records: DynamoRecords) -> Any:
        return await (records.get("0" * 32) if verb == "get" else records.renew("0" * 32, held=Claim(attempt=1, token="t"), lease=60.0))

    error, asked = run(table([Reply(200, json.dumps({"Item": ITEM}).encode(), {"Date": date})], use))
    assert isinstance(error, DependencyUnavailable)
    assert len(asked) == 1


def test_leases_are_in_the_stores_time(run: Run) -> None:
    """A lease is written in the store's time, not this machine's, and never too early."""
    use = lambda records: records.renew("0" * 32, held=Claim(attempt=1, token="t"), lease=60.0)  # noqa: E731
    _, asked = run(table([Reply(200, b"{}"), Reply(200, json.dumps({"Attributes": ITEM}).encode())], use))
    values = json.loads(asked[1].body)["ExpressionAttributeValues"]
    written = float(values[":lease_until"]["N"]) - DATE.timestamp()
    assert 60.0 < written < 75.0
    assert 0.0 <= float(values[":now"]["N"]) - DATE.timestamp() < 15.0


@pytest.mark.parametrize("frozen", [0.0, 2.0, 1200.0, 86_400.0])
@pytest.mark.parametrize("verb", ["claim", "renew", "release"])
def test_leases_after_a_freeze(run: Run, verb: str, frozen: float) -> None:
    """A lease that is written after a freeze which only the wall clock counts is as long as any, in the store's time."""
    missed = [0.0]

    async def calls() -> list[Asked]:
        read, written = Reply(200, b"{}"), Reply(200, json.dumps({"Attributes": ITEM}).encode())
        async with Scripted([read, written]) as server:
            clock = lambda: DATE + timedelta(seconds=10.0 + missed[0])  # noqa: E731
            wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0, clock=clock, monotonic=lambda: 10.0)
            records = DynamoRecords(wire, endpoint=AwsEndpoint.parse(server.origin), table="records", region="eu-west-1")
            await records.get("1" * 32)
            missed[0] = frozen
            held = Claim(attempt=1, token="t")
            if verb == "claim":
                await records.claim(SUBMISSION, seen=1, token="t", lease=60.0, expires_at=DATE + timedelta(days=14))
            elif verb == "renew":
                await records.renew("0" * 32, held=held, lease=60.0)
            else:
                await records.release("0" * 32, held=held, backoff=60.0)
            await wire.close()
            return server.asked

    values = json.loads(run(calls())[1].body)["ExpressionAttributeValues"]
    left = float(values[":lease_until"]["N"]) - (DATE.timestamp() + frozen)
    assert 60.0 <= left < 62.0 + DRIFT * frozen
    assert float(values[":now"]["N"]) <= DATE.timestamp() + frozen


def after(item: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """Return an item as an update leaves it."""
    fields = json.loads(asked.body)
    assert fields["ReturnValues"] == "NONE"
    set_, _, removed = fields["UpdateExpression"].partition(" REMOVE ")
    values = {name: fields["ExpressionAttributeValues"][f":{name}"] for name in re.findall(r"#(\w+) = :", set_)}
    return {**fields["Key"], **{name: value for name, value in item.items() if f"#{name}" not in removed.split(", ")}, **values}


@pytest.mark.parametrize(
    ("outcome", "kept"), [(Outcome(status=Status.SUCCEEDED, result="1"), None), (Outcome(status=Status.FAILED, error={"code": "x"}), b"1")]
)
def test_a_holder_knows_the_records_that_it_makes(run: Run, outcome: Outcome, kept: bytes | None) -> None:
    """DynamoDB repeats neither the record of a first claim nor that of its holder's decision: each is what reading the item would give."""

    async def use(records: DynamoRecords) -> list[Update]:
        expires_at = DATE + timedelta(days=14, milliseconds=5)
        claimed = await records.claim(SUBMISSION, seen=0, token="t2", lease=60.0, expires_at=expires_at)
        held = Claim(attempt=1, token="t2", record=claimed.record)
        return [claimed, await records.decide(SUBMISSION, outcome, guard=held, expires_at=expires_at, input=kept)]

    (claimed, decided), asked = run(table([Reply(200, b"{}")] * 3, use))
    item = after({}, asked[1])
    assert (claimed.applied, claimed.record) == (True, from_item(item))
    assert (decided.applied, decided.record) == (True, from_item(after(item, asked[2])))


def test_refused_update_shows_the_record(run: Run) -> None:
    """A failed condition is a normal response: it comes with the item."""
    refused = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "x", "Item": ITEM})
    use = lambda records: records.claim(SUBMISSION, seen=0, token="t2", lease=60.0, expires_at=DATE + timedelta(days=14))  # noqa: E731
    update, _ = run(table([Reply(200, b"{}"), Reply(400, refused.encode())], use))
    assert not update.applied
    assert update.record == from_item(ITEM)


def test_missing_table_names_the_setting(run: Run) -> None:
    """If the table does not exist, the error names the setting to check."""
    result, _ = run(table([json_error(400, "ResourceNotFoundException")], lambda records: records.check()))
    assert isinstance(result, DependencyRefused)
    assert "OFFPOLL_RECORDS_TABLE" in str(result)


@pytest.mark.parametrize("item", [{"id": {"S": "x"}}, {**ITEM, "attempt": {"N": "many"}}, {**ITEM, "created_at": {"S": "yesterday"}}])
def test_items_that_are_no_record(run: Run, item: dict[str, Any]) -> None:
    """An item that is not a record counts as an outage."""
    result, _ = run(table([Reply(200, json.dumps({"Item": item}).encode())], lambda records: records.get("0" * 32)))
    assert isinstance(result, DependencyUnavailable)


def test_instants_as_numbers() -> None:
    """Leases keep milliseconds; expiry is whole seconds, rounded up."""
    instant = datetime(2026, 11, 23, 18, 0, 0, 7000, tzinfo=UTC)
    assert json.loads(epoch(instant)) == {"N": "1795456800.007"}
    assert json.loads(ttl(instant)) == {"N": "1795456801"}
    assert from_item({**ITEM, "lease_until": json.loads(epoch(instant))}).lease_until == instant


@pytest.mark.parametrize("body", [b"<html>Sign in to the hotel's network</html>", b""])
@pytest.mark.parametrize("verb", ["claim", "decide"])
def test_a_proxys_page_is_neither_a_claim_nor_a_decision(verb: str, body: bytes) -> None:
    """A 200 that is not DynamoDB's says nothing about the record, even where no attributes are asked for."""
    until = DATE + timedelta(days=1)
    held = Claim(attempt=1, token="t", record=Record(submission=SUBMISSION, attempt=1, token="t", started_at=DATE, expires_at=until))

    async def use(records: Any) -> Any:
        if verb == "claim":
            return await records.claim(SUBMISSION, seen=0, token="t", lease=60.0, expires_at=until)
        return await records.decide(SUBMISSION, Outcome(status=Status.SUCCEEDED, result="1"), guard=held, expires_at=until)

    got, _ = asyncio.run(table([Reply(200, b"{}"), Reply(200, body, {"Content-Type": "text/html"})], use))
    assert isinstance(got, DependencyUnavailable)
