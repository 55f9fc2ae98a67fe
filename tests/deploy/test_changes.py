"""A change set is shown, applied or withdrawn; nothing is left of one that is not applied."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import ANY
from tests.support.stubbed_account import STACK_ID, client, stack

from offpoll import ConfigurationError
from offpoll.deploy.changes import Change, propose
from offpoll.deploy.parameters import Template
from offpoll.deploy.stack import Stack, find_stack
from offpoll.errors import DependencyRefused

ID = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/offpoll-1/1"

GIVEN = {"App": "orders:app", "CodeBucket": "b", "CodeKey": "k"}


def scripted(kind: str, *responses: dict[str, Any], expected: Any = ANY, keeps: bool = True) -> tuple[Any, Any]:
    """A CloudFormation that responds to each call and, unless the change set is kept, expects its deletion."""
    cloudformation, script = client("cloudformation")
    asked = {"ChangeSetType": kind, "StackName": "shop", "ChangeSetName": ANY, "TemplateBody": ANY, "Parameters": expected}
    script.add_response(
        "create_change_set", {"Id": ID, "StackId": STACK_ID}, {**asked, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]}
    )
    for response in responses:
        script.add_response("describe_change_set", response, {"ChangeSetName": ID})
    if not keeps:
        script.add_response("delete_change_set", {}, {"ChangeSetName": ID})
        if kind == "CREATE":
            script.add_response("delete_stack", {}, {"StackName": STACK_ID})
    return cloudformation, script


def existing() -> Stack:
    cloudformation, script = client("cloudformation")
    parameters = {"App": "orders:app", "CodeBucket": "b", "CodeKey": "old", "LatenessWeight": "3", "NoLongerThere": "1"}
    written = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    script.add_response("describe_stacks", stack(Parameters=written))
    there = find_stack(cloudformation, "shop")
    assert there is not None
    return there


def proposed(cloudformation: Any, there: Stack | None, sleep: Any = lambda _: None) -> Any:
    return propose(cloudformation, "shop", template=Template(), stack=there, given=GIVEN, sleep=sleep)


def test_what_would_change() -> None:
    """CloudFormation's changes are listed page by page, with replacements and their causes."""
    details = [{"Target": {"Attribute": "Properties", "Name": "Code"}}, {"Target": {"Attribute": "Tags"}}]
    one = {
        "Action": "Modify",
        "LogicalResourceId": "Worker",
        "ResourceType": "AWS::Lambda::Function",
        "Replacement": "True",
        "Details": details,
    }
    two = {"Action": "Add", "LogicalResourceId": "Queue", "ResourceType": "AWS::SQS::Queue"}
    ready = {"Status": "CREATE_COMPLETE", "Changes": []}
    cloudformation, script = scripted(
        "UPDATE", {"Status": "CREATE_IN_PROGRESS"}, ready, {"Changes": [{"ResourceChange": one}], "NextToken": "n"}
    )
    script.add_response("describe_change_set", {"Changes": [{"ResourceChange": two}]}, {"ChangeSetName": ID, "NextToken": "n"})
    proposal = proposed(cloudformation, existing())
    assert proposal.changes == (
        Change(action="Modify", resource="Worker", type="AWS::Lambda::Function", replaces="True", because=("Code", "Tags")),
        Change(action="Add", resource="Queue", type="AWS::SQS::Queue", replaces="False", because=()),
    )
    script.assert_no_pending_responses()


def test_parameters_not_given_stay() -> None:
    """A value set by hand stays too. A parameter that this template no longer has is dropped, or CloudFormation would refuse everything."""
    written = [{"ParameterKey": key, "ParameterValue": value} for key, value in GIVEN.items()]
    expected = [*written, {"ParameterKey": "LatenessWeight", "UsePreviousValue": True}]
    ready = {"Status": "CREATE_COMPLETE", "Changes": []}
    cloudformation, script = scripted("UPDATE", ready, ready, expected=expected)
    proposed(cloudformation, existing())
    script.assert_no_pending_responses()


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_nothing_to_do(reason: str) -> None:
    """CloudFormation calls an empty change a failure. Here it is none, and its change set is removed."""
    cloudformation, script = scripted("UPDATE", {"Status": "FAILED", "StatusReason": reason}, keeps=False)
    assert proposed(cloudformation, existing()).changes == ()
    script.assert_no_pending_responses()


def test_refused() -> None:
    """If a rule of the template refuses it, CloudFormation's reason is shown, and nothing is left, not even the empty stack."""
    reason = "DomainName needs CertificateArn"
    cloudformation, script = scripted("CREATE", {"Status": "FAILED", "StatusReason": reason}, keeps=False)
    with pytest.raises(ConfigurationError, match=reason):
        proposed(cloudformation, None)
    script.assert_no_pending_responses()


def test_interrupted() -> None:
    """Ctrl-C while CloudFormation calculates withdraws the change set."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    cloudformation, script = scripted("CREATE", {"Status": "CREATE_IN_PROGRESS"}, keeps=False)
    with pytest.raises(KeyboardInterrupt):
        proposed(cloudformation, None, interrupt)
    script.assert_no_pending_responses()


def test_not_allowed() -> None:
    """AWS's words are passed on."""
    cloudformation, script = client("cloudformation")
    script.add_client_error(
        "create_change_set", "AccessDenied", "not authorized to perform: cloudformation:CreateChangeSet", http_status_code=403
    )
    with pytest.raises(DependencyRefused, match="not authorized to perform: cloudformation:CreateChangeSet"):
        proposed(cloudformation, None)
