"""Service times in a table: lost responses, unreadable items and constant writers. The contract suite tests the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.scripted_aws import Asked, Reply, Scripted, json_error
from tests.support.service_time_spans import span

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.dynamodb_service_times import SHARDS, TRIES, DynamoServiceTimes
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyRefused, DependencyUnavailable, OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROW = [1795434390000, 1795434400000, 6.0, 1, 0, 0, {"18": 2}]


def refused(token: str, spans: str = json.dumps([ROW])) -> Reply:
    """Return the response to a write over another process's data."""
    item = {"id": {"S": "service-times#order#0"}, "token": {"S": token}, "spans": {"S": spans}}
    fault = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "x", "Item": item}
    return Reply(400, json.dumps(fault).encode())


async def times(
    replies: Sequence[Reply], use: Callable[[DynamoServiceTimes], Coroutine[Any, Any, Any]], *, random: float = 0.0
) -> tuple[Any, list[Asked]]:
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(Credentials(access_key="AKIA", secret_key="s")), random=lambda: 0.0, clock=lambda: NOON)
        endpoint = AwsEndpoint.parse(server.origin)
        kept = DynamoServiceTimes(wire, endpoint=endpoint, table="records", region="eu-west-1", random=lambda: random, token=lambda: "mine")
        try:
            return await use(kept), server.asked
        except OffpollError as error:
            return error, server.asked
        finally:
            await wire.close()


def written(asked: Asked) -> list[Any]:
    rows: list[Any] = json.loads(json.loads(asked.body)["ExpressionAttributeValues"][":spans"]["S"])
    return rows


def test_a_steady_writer_writes_once(run: Run) -> None:
    """The last writer needs no read before its next write: one call per report."""

    async def use(kept: DynamoServiceTimes) -> None:
        for minute in range(3):
            await kept.add("order", span(2.0, until=NOON + timedelta(minutes=minute)))

    _, asked = run(times([Reply(200, b"{}")], use))
    assert [len(written(each)) for each in asked] == [1, 2, 3]
    assert "attribute_not_exists" in json.loads(asked[0].body)["ConditionExpression"]
    assert json.loads(asked[1].body)["ExpressionAttributeValues"][":seen"] == {"S": "mine"}


def test_another_writers_report_stays(run: Run) -> None:
    """A refusal shows the other process's data; the next try adds to it without another read."""
    _, asked = run(times([refused("theirs"), Reply(200, b"{}")], lambda kept: kept.add("order", span(2.0, until=NOON))))
    assert len(asked) == 2
    assert written(asked[1])[0] == ROW
    assert json.loads(asked[1].body)["ExpressionAttributeValues"][":seen"] == {"S": "theirs"}


def test_a_lost_response_counts_once(run: Run) -> None:
    """If the refusal shows this writer's own token, its report has arrived."""
    _, asked = run(times([refused("mine")], lambda kept: kept.add("order", span(2.0, until=NOON))))
    assert len(asked) == 1


def test_constant_writers(run: Run) -> None:
    """After a few tries the report is left for the next time, and the error says so."""
    result, asked = run(times([refused("theirs")], lambda kept: kept.add("order", span(2.0, until=NOON))))
    assert isinstance(result, DependencyUnavailable)
    assert len(asked) == TRIES


def test_an_unreadable_item_is_replaced(run: Run) -> None:
    """A damaged item is replaced by the next report."""
    replies = [refused("theirs", spans="[[1]]"), Reply(200, b"{}")]
    _, asked = run(times(replies, lambda kept: kept.add("order", span(2.0, until=NOON))))
    assert len(written(asked[1])) == 1


@pytest.mark.parametrize("item", [{"id": {"S": "x"}}, {"spans": {"S": "no"}}, {"spans": {"S": "[[1]]"}}, {"spans": {"S": "[7]"}}])
def test_items_that_are_no_service_times(run: Run, item: dict[str, Any]) -> None:
    """A reader ignores such an item and keeps what it knew."""
    result, _ = run(times([Reply(200, json.dumps({"Item": item}).encode())], lambda kept: kept.spans("order")))
    assert isinstance(result, DependencyUnavailable)


def test_processes_spread(run: Run) -> None:
    """Each process writes to one of a few items, chosen at random; a reader reads them all."""
    ids = set()
    for random in (0.0, 0.3, 0.6, 0.999):
        _, asked = run(times([Reply(200, b"{}")], lambda kept: kept.add("order", span(2.0, until=NOON)), random=random))
        ids.add(json.loads(asked[0].body)["Key"]["id"]["S"])
    _, asked = run(times([Reply(200, b"{}")], lambda kept: kept.spans("order")))
    assert ids == {json.loads(each.body)["Key"]["id"]["S"] for each in asked}
    assert len(ids) == SHARDS


def test_they_expire(run: Run) -> None:
    """DynamoDB's TTL deletes an item a week after its last write."""
    _, asked = run(times([Reply(200, b"{}")], lambda kept: kept.add("order", span(2.0, until=NOON))))
    assert json.loads(asked[0].body)["ExpressionAttributeValues"][":expires_at"] == {"N": str(int(NOON.timestamp()) + 7 * 86_400)}


def test_a_missing_table_names_the_setting(run: Run) -> None:
    """If the table does not exist, writing and reading name the setting to check."""
    for use in (lambda kept: kept.add("order", span(2.0, until=NOON)), lambda kept: kept.spans("order")):
        result, _ = run(times([json_error(400, "ResourceNotFoundException")], use))
        assert isinstance(result, DependencyRefused)
        assert "OFFPOLL_RECORDS_TABLE" in str(result)
