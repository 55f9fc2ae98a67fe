"""An AWS account whose clients are stubs: the test scripts their responses. botocore checks the shape of every request and response."""

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
    """Return a client and its script. The client refuses every call that is not in the script."""
    session = Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    made = session.create_client(service, region_name="eu-west-1", config=Config(retries={"total_max_attempts": 1}))
    stubber = Stubber(made)
    stubber.activate()
    return made, stubber


class StubbedAccount(Account):
    """An account whose clients the test gives, by service."""

    def client(self, service: str) -> Any:
        """Return the test's client."""
        clients: Mapping[str, Any] = self.session  # type: ignore[assignment]
        return clients[service]


def account(**clients: Any) -> Account:
    """Return an account with these clients."""
    return StubbedAccount(id="123456789012", region="eu-west-1", session=clients)  # type: ignore[arg-type]


def stack(status: str = "CREATE_COMPLETE", **fields: Any) -> dict[str, Any]:
    """Return DescribeStacks' response for a stack of ours."""
    described = {"StackName": "shop", "StackId": STACK_ID, "StackStatus": status, "CreationTime": WHEN, "Parameters": MARKED}
    return {"Stacks": [{**described, **fields}]}


def event(number: int, resource: str, status: str, reason: str = "", *, type_: str = "AWS::S3::Bucket", name: str = "") -> dict[str, Any]:
    """Return one of DescribeStackEvents' events."""
    about = {"StackId": STACK_ID, "StackName": "shop", "EventId": f"e{number}", "Timestamp": WHEN}
    if resource == "shop":
        type_, name = "AWS::CloudFormation::Stack", STACK_ID
    what = {"LogicalResourceId": resource, "PhysicalResourceId": name, "ResourceType": type_, "ResourceStatus": status}
    return {**about, **what, "ResourceStatusReason": reason}
