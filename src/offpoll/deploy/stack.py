"""Reads a stack's state, parameters and outputs. Decides whether the stack can be changed, and whether offpoll may change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offpoll.deploy.account import refusal, speaking_to
from offpoll.deploy.parameters import MARKS
from offpoll.errors import ConfigurationError, OffpollError

__all__ = ["Stack", "find_stack", "is_stack_name"]

_NEVER_WORKED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})

_STUCK = frozenset({"UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"})


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack.

    Attributes:
        name, id: the id still finds the stack after its deletion.
        reason: why it has this status, if AWS says.
        is_ours: whether it was made from offpoll's template.
        created_at: when.
        deleted_at: when; None while it exists.
    """

    name: str
    id: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    is_ours: bool
    created_at: datetime
    deleted_at: datetime | None

    @property
    def is_new(self) -> bool:
        """Whether it is only proposed so far."""
        return self.status == "REVIEW_IN_PROGRESS"

    def check_deployable(self) -> None:
        """Refuse a stack that cannot be updated.

        Raises:
            ConfigurationError: it is not offpoll's, or somebody must first repair or remove it.
            OffpollError: somebody is changing it now.
        """
        self.check_ours()
        why = f" ({self.reason})" if self.reason else ""
        if self.status in _NEVER_WORKED:
            raise ConfigurationError(
                f"stack {self.name} is in {self.status}{why}: its creation failed, and it can only be removed. "
                f"offpoll destroy --stack {self.name}, then deploy again"
            )
        if self.status in _STUCK:
            raise ConfigurationError(
                f"stack {self.name} is in {self.status}{why}: an update failed and could not be rolled back. Remove the cause, then "
                f"aws cloudformation continue-update-rollback --stack-name {self.name}, and deploy again"
            )
        if self.status.endswith("_IN_PROGRESS") and not self.is_new:
            raise OffpollError(f"stack {self.name} is in {self.status}: somebody is changing it. Wait until that has ended, and repeat")

    def check_ours(self) -> None:
        """Refuse a stack that something else made: our template would remove everything in it.

        Raises:
            ConfigurationError: it is not offpoll's.
        """
        if not self.is_ours and not self.is_new:
            raise ConfigurationError(f"stack {self.name} was not made by offpoll, so offpoll leaves it alone: choose another name")


def is_stack_name(name: str) -> bool:
    """Tell whether CloudFormation accepts this name for a stack."""
    return name.isascii() and name.replace("-", "").isalnum() and name[0].isalpha() and len(name) <= 128


def find_stack(cloudformation: Any, name: str) -> Stack | None:
    """Return the stack with this name or id; None if there is none. Only an id finds a deleted stack.

    Raises:
        DependencyError: the call to CloudFormation failed.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - takes 0.3 s

    with speaking_to("CloudFormation"):
        try:
            (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            code, message = refusal(error)
            if code == "ValidationError" and "does not exist" in message:
                return None
            raise
    if found["StackStatus"] == "DELETE_COMPLETE" and not name.startswith("arn:"):
        return None
    parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
    return Stack(
        name=found["StackName"],
        id=found["StackId"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters=parameters,
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
        is_ours=parameters.keys() >= MARKS,
        created_at=found["CreationTime"],
        deleted_at=found.get("DeletionTime"),
    )
