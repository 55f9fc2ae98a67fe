"""AWS as a script: clients whose answers are written down. botocore checks the shape of every request and answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config
from botocore.session import Session
from botocore.stub import Stubber

from offpoll.deploy.account import Account

WHEN = datetime(2026, 11, 1, tzinfo=UTC)

STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/1"

MARKED = [{"ParameterKey": name, "ParameterValue": "x"} for name in ("App", "CodeBucket", "CodeKey", "LatenessWeight")]


def client(service: str) -> tuple[Any, Stubber]:
    """Return a client and its script; nothing that is not in it can be asked."""
    session = Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    made = session.create_client(service, region_name="eu-west-1", config=Config(retries={"total_max_attempts": 1}))
    stubber = Stubber(made)
    stubber.activate()
    return made, stubber


class Scripted(Account):
    """An account whose clients are scripted, by service."""

    def client(self, service: str) -> Any:
        """Return the client that the test wrote."""
        clients: Mapping[str, Any] = self.session  # type: ignore[assignment]
        return clients[service]


def account(**clients: Any) -> Account:
    """Return an account with these clients."""
    return Scripted(id="123456789012", region="eu-west-1", session=clients)  # type: ignore[arg-type]


def stack(status: str = "CREATE_COMPLETE", **fields: Any) -> dict[str, Any]:
    """Return DescribeStacks' answer for a stack of ours."""
    described = {"StackName": "shop", "StackId": STACK_ID, "StackStatus": status, "CreationTime": WHEN, "Parameters": MARKED}
    return {"Stacks": [{**described, **fields}]}


def event(number: int, resource: str, status: str, reason: str = "", *, type_: str = "AWS::S3::Bucket", name: str = "") -> dict[str, Any]:
    """Return one of DescribeStackEvents' events."""
    about = {"StackId": STACK_ID, "StackName": "shop", "EventId": f"e{number}", "Timestamp": WHEN}
    if resource == "shop":
        type_, name = "AWS::CloudFormation::Stack", STACK_ID
    what = {"LogicalResourceId": resource, "PhysicalResourceId": name, "ResourceType": type_, "ResourceStatus": status}
    return {**about, **what, "ResourceStatusReason": reason}
