"""`offpoll destroy --delete-data`: it deletes what it has shown and what was agreed to, and nothing that an earlier stack left."""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from tests.support.servers import Server

from offpoll.deploy import removal
from offpoll.deploy.parameters import MARKS

pytestmark = pytest.mark.ministack

Run = Callable[..., Any]

#: The smallest stack that looks like ours and leaves data.
TEMPLATE: dict[str, Any] = {
    "Parameters": {name: {"Type": "String", "Default": "x"} for name in MARKS},
    "Resources": {
        "Documents": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        "Records": {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "Properties": {
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        },
    },
}


@dataclass
class Account:
    """An account with stacks of one name."""

    server: Server
    name: str

    def client(self, service: str) -> Any:
        """Return a client that may do everything."""
        session = boto3.Session("test", "test", region_name="us-east-1")
        return session.client(service, endpoint_url=self.server.origin)  # type: ignore[call-overload]

    def create(self, name: str = "") -> set[str]:
        """Create a stack with an object and an item, and return the names of its bucket and table."""
        cloudformation, name = self.client("cloudformation"), name or self.name
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        resources = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
        names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        self.client("s3").put_object(Bucket=names["Documents"], Key="status/public/1", Body=b"x" * 2000)
        item = {"id": {"S": "1"}, "created_at": {"S": "2026-11-30T12:05:00.000Z"}}
        self.client("dynamodb").put_item(TableName=names["Records"], Item=item)
        return set(names.values())

    def create_earlier(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Create and delete a stack that counts as one of the same name: the emulator forgets a deleted one when its name is used again."""
        real, other = removal.past_stacks, f"{self.name}-earlier"
        names, cloudformation = self.create(other), self.client("cloudformation")
        cloudformation.delete_stack(StackName=other)
        monkeypatch.setattr(removal, "past_stacks", lambda client, name: [*real(client, name), *real(client, other)])
        return names

    def there(self) -> set[str]:
        """Return the names of all buckets and tables."""
        buckets = {each["Name"] for each in self.client("s3").list_buckets()["Buckets"]}
        return buckets | set(self.client("dynamodb").list_tables()["TableNames"])

    def is_live(self) -> bool:
        """Tell whether the stack exists."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        return self.name in {each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"}


@pytest.fixture
def account(ministack_server: Server) -> Account:
    """An account whose stack has a name that no other test uses."""
    return Account(ministack_server, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
def destroy(offpoll: Run, account: Account, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `destroy`, with a terminal at which these lines are typed, or none."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def run(*arguments: str, typed: str | None = None) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        return offpoll("destroy", "--stack", account.name, *arguments, **account.server.environment())

    return run


def test_everything_is_shown_and_agreed_to(account: Account, destroy: Run) -> None:
    """Each resource is listed with size and last write. Only the stack's name agrees; anything else changes nothing."""
    names = account.create()
    for typed in ("y\n", "\n", f"{account.name}x\n", "yes\n"):
        ended = destroy("--delete-data", typed=typed)
        assert (ended.code, "nothing was changed" in ended.err) == (1, True), ended.err
        assert account.is_live()
    bucket, table = (next(each for each in names if kind in each.lower()) for kind in ("documents", "records"))
    assert f"bucket {bucket}: 1 object, 2.0 kB, last write 20" in ended.err
    assert f"table {table}: 1 item, " in ended.err
    assert "last write 2026-11-30 12:05 UTC" in ended.err
    assert destroy("--delete-data").code == 2  # no terminal
    assert names <= account.there()
    ended = destroy("--delete-data", typed=f"{account.name}\n")
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert not account.is_live()
    assert not names & account.there()


def test_what_an_earlier_stack_left_stays(account: Account, destroy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown apart, and goes only by its own option and its own answer; neither question is answered by the other's."""
    earlier, live = account.create_earlier(monkeypatch), account.create()
    ended = destroy("--delete-data", typed=f"{account.name}\n")
    assert ended.code == 0, ended.err
    assert f"data of earlier stacks with the name {account.name}:" in ended.err
    assert (account.there() & earlier, account.there() & live) == (earlier, set())
    assert {line.split()[1] for line in ended.out.splitlines()} == earlier
    live = account.create()
    ended = destroy("--delete-data", "--delete-earlier-data", typed=f"{account.name}\nno\n")
    assert (ended.code, account.is_live()) == (1, True)
    assert (live | earlier) <= account.there()
    ended = destroy("--delete-data", "--delete-earlier-data", typed=f"{account.name}\n{account.name}\n")
    assert ended.code == 0, ended.err
    assert not account.there() & (live | earlier)


def test_later(account: Account, destroy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a live stack, the data of the last one is meant; `--yes` answers, but is no option for data itself."""
    earlier, last = account.create_earlier(monkeypatch), account.create()
    assert destroy(typed="n\n").code == 1
    assert account.is_live()
    assert destroy(typed="y\n").code == 0
    ended = destroy("--yes")
    assert (ended.code, account.there() & (earlier | last)) == (0, earlier | last)
    ended = destroy("--delete-data", "--yes")
    assert ended.code == 0, ended.err
    assert (account.there() & earlier, account.there() & last) == (earlier, set())
    ended = destroy("--delete-earlier-data", "--delete-data", "--yes")
    assert ended.code == 0, ended.err
    assert not account.there() & (earlier | last)


def test_for_scripts(account: Account, destroy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--json` lists what went and what stays; `--dry-run` changes nothing and asks nothing."""
    earlier, live = account.create_earlier(monkeypatch), account.create()
    ended = destroy("--dry-run", "--delete-data", "--json")
    said = json.loads(ended.out)
    assert (ended.code, said["status"], said["deleted"], account.is_live()) == (0, "planned", [], True)
    assert ({each["name"] for each in said["kept"]}, {each["name"] for each in said["earlier"]}) == (live, earlier)
    said = json.loads(destroy("--yes", "--delete-data", "--json").out)
    assert ({each["name"] for each in said["deleted"]}, said["kept"], said["status"]) == (live, [], "removed")
    (bucket,) = (each for each in said["deleted"] if each["kind"] == "bucket")
    assert (bucket["count"], bucket["bytes"], bucket["more"]) == (1, 2000, False)
    assert {each["name"] for each in said["earlier"]} == earlier
    said = json.loads(destroy("--yes", "--json", "--delete-earlier-data", "--delete-data").out)
    assert (said["status"], said["earlier"]) == ("absent", [])
    assert not account.there() & (live | earlier)
