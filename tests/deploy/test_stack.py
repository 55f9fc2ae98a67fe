"""Which stacks accept a deployment, and the remedy for the others."""

from __future__ import annotations

import pytest
from tests.support.stubbed_account import client, stack

from offpoll import ConfigurationError, OffpollError
from offpoll.deploy.stack import Stack, find_stack, is_stack_name
from offpoll.errors import DependencyRefused


def found(status: str, **fields: object) -> Stack:
    cloudformation, script = client("cloudformation")
    script.add_response("describe_stacks", stack(status, **fields), {"StackName": "shop"})
    there = find_stack(cloudformation, "shop")
    assert there is not None
    return there


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "REVIEW_IN_PROGRESS"]
)
def test_a_stack_that_can_be_changed(status: str) -> None:
    """A working stack, or one that is only proposed so far."""
    there = found(status)
    there.check_deployable()
    assert there.is_new == (status == "REVIEW_IN_PROGRESS")


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
def test_a_stack_that_never_worked(status: str) -> None:
    """CloudFormation only lets it be deleted: the error says how, and why."""
    with pytest.raises(
        ConfigurationError, match=rf"{status} \(no quota\): its creation failed.* offpoll destroy --stack shop, then deploy"
    ):
        found(status, StackStatusReason="no quota").check_deployable()


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"])
def test_a_stuck_stack(status: str) -> None:
    """The stack works in part, and AWS has to restore it first."""
    with pytest.raises(ConfigurationError, match=rf"{status}.*aws cloudformation continue-update-rollback --stack-name shop"):
        found(status).check_deployable()


@pytest.mark.parametrize(
    "status", ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"]
)
def test_a_stack_under_change(status: str) -> None:
    """A change by somebody else ends, and the command can then be repeated."""
    with pytest.raises(OffpollError, match=f"{status}: somebody is changing it") as refused:
        found(status).check_deployable()
    assert not isinstance(refused.value, ConfigurationError)


def test_another_owners_stack() -> None:
    """Our template would remove everything in it."""
    with pytest.raises(ConfigurationError, match="not made by offpoll, so offpoll leaves it alone"):
        found("CREATE_COMPLETE", Parameters=[{"ParameterKey": "App", "ParameterValue": "x"}]).check_deployable()


def test_no_stack() -> None:
    """CloudFormation has no code for a missing stack, only a sentence. A deleted one counts as missing."""
    cloudformation, script = client("cloudformation")
    script.add_client_error("describe_stacks", "ValidationError", "Stack with id shop does not exist")
    assert find_stack(cloudformation, "shop") is None
    script.add_client_error("describe_stacks", "AccessDenied", "no")
    with pytest.raises(DependencyRefused, match="AccessDenied"):
        find_stack(cloudformation, "shop")


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("shop", True),
        ("Shop-2", True),
        ("2shop", False),
        ("-shop", False),
        ("my_shop", False),
        ("ä", False),
        ("a" * 129, False),
        ("", False),
    ],
)
def test_names(name: str, fits: bool) -> None:
    """Names follow CloudFormation's own rule."""
    assert is_stack_name(name) is fits
