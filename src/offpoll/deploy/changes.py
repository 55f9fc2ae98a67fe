"""A change set: shows what CloudFormation would do, before it does it. A proposal that is not applied leaves nothing behind.

propose ──► CloudFormation plans ──► nothing to do: discarded
                    │                refused: discarded, with CloudFormation's reason
                    └─► the changes ──► apply ──► events
                                   └──► discard
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from offpoll.deploy.account import speaking_to
from offpoll.deploy.events import pauses
from offpoll.deploy.parameters import Template
from offpoll.deploy.stack import Stack
from offpoll.errors import ConfigurationError

__all__ = ["CAPABILITIES", "Change", "Proposal", "propose"]

#: The template makes roles, which CloudFormation names, and SAM translates it.
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")

#: CloudFormation's texts for a stack that needs no change. It has no code for that.
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A planned change of one resource.

    Attributes:
        action: `Add`, `Modify`, `Remove`.
        resource, type: its logical id, and its type, as `AWS::S3::Bucket`.
        replaces: whether a new resource replaces it: `True`, `Conditional` or `False`.
        because: the properties that differ.
    """

    action: str
    resource: str
    type: str
    replaces: str
    because: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change set that can be applied.

    Attributes:
        id, stack_id: CloudFormation's.
        is_new: whether it creates the stack.
        changes: in CloudFormation's order; empty if there is nothing to do.
    """

    id: str
    stack_id: str
    is_new: bool
    changes: tuple[Change, ...]

    def apply(self, cloudformation: Any) -> None:
        """Let CloudFormation start. From here on it continues by itself."""
        with speaking_to("CloudFormation"):
            cloudformation.execute_change_set(ChangeSetName=self.id)

    def discard(self, cloudformation: Any) -> None:
        """Delete it, and the empty stack that CloudFormation makes for a first proposal."""
        with speaking_to("CloudFormation"):
            cloudformation.delete_change_set(ChangeSetName=self.id)
            if self.is_new:
                cloudformation.delete_stack(StackName=self.stack_id)


def propose(
    cloudformation: Any,
    name: str,
    *,
    template: Template,
    stack: Stack | None,
    given: Mapping[str, str],
    sleep: Callable[[float], None] = time.sleep,
) -> Proposal:
    """Ask CloudFormation what a deployment would change. Parameters that are not `given` keep their values, or get their defaults.

    Raises:
        ConfigurationError: CloudFormation, or a rule of the template, refuses the parameters.
        DependencyError: a call to CloudFormation failed.
    """
    is_new = stack is None or stack.is_new
    with speaking_to("CloudFormation"):
        made = cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"offpoll-{uuid.uuid4().hex[:12]}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateBody=template.body,
            Parameters=_parameters(template, None if is_new else stack, given),
            Capabilities=list(CAPABILITIES),
        )
    proposal = Proposal(id=made["Id"], stack_id=made["StackId"], is_new=is_new, changes=())
    try:
        return _planned(cloudformation, proposal, sleep)
    except BaseException:  # Ctrl-C too: after a proposal left behind, the next one would seem to update a stack in review
        proposal.discard(cloudformation)
        raise


def _parameters(template: Template, stack: Stack | None, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the given parameters, and the stack's others with their values as they are."""
    kept = [each for each in (stack.parameters if stack else ()) if each in template.parameters and each not in given]
    parameters: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    return parameters + [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]


def _planned(cloudformation: Any, proposal: Proposal, sleep: Callable[[float], None]) -> Proposal:
    """Wait for CloudFormation's plan, and return the proposal with its changes."""
    for pause in pauses():
        with speaking_to("CloudFormation"):
            described = cloudformation.describe_change_set(ChangeSetName=proposal.id)
        status, reason = described["Status"], described.get("StatusReason", "")
        if status == "FAILED" and any(each in reason for each in _NO_CHANGES):
            proposal.discard(cloudformation)
            return proposal
        if status == "FAILED":
            raise ConfigurationError(f"CloudFormation refuses the deployment: {reason}")
        if status == "CREATE_COMPLETE":
            return replace(proposal, changes=_changes(cloudformation, proposal.id))
        sleep(pause)
    raise AssertionError("pauses never end")


def _changes(cloudformation: Any, change_set: str) -> tuple[Change, ...]:
    with speaking_to("CloudFormation"):
        pages = list(cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set))
    return tuple(_change(each["ResourceChange"]) for page in pages for each in page["Changes"] if "ResourceChange" in each)


def _change(fields: Mapping[str, Any]) -> Change:
    targets = [each.get("Target", {}) for each in fields.get("Details", [])]
    because = {target.get("Name") or target.get("Attribute", "") for target in targets}
    return Change(
        action=fields["Action"],
        resource=fields["LogicalResourceId"],
        type=fields["ResourceType"],
        replaces=fields.get("Replacement", "False"),
        because=tuple(sorted(because - {""})),
    )
