"""A change set: what CloudFormation would do, before it does it.

Decides how a change is proposed and that a proposal nobody took leaves nothing behind. Must not ask or print.

    propose ──► CloudFormation reckons ──► nothing to do: taken back
                        │                  refused: taken back, with CloudFormation's reason
                        └─► the changes ──► apply ──► events
                                       └──► discard
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from offpoll.deploy.account import speaking_to
from offpoll.deploy.events import pauses
from offpoll.deploy.parameters import Template
from offpoll.deploy.stack import Stack
from offpoll.errors import ConfigurationError

__all__ = ["CAPABILITIES", "Change", "Proposal", "propose"]

#: The template makes roles, with names of CloudFormation's own, and is SAM's to translate.
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")

#: How CloudFormation says that a stack is already what was asked for. It has no code for it.
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What would happen to one resource.

    Attributes:
        action: `Add`, `Modify`, `Remove`.
        resource, type: its logical id, and `AWS::S3::Bucket`.
        replaces: whether a new one takes its place: `True`, `Conditional` or `False`.
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
        is_new: whether the stack is to be made.
        changes: in CloudFormation's order; none where there is nothing to do.
    """

    id: str
    stack_id: str
    is_new: bool
    changes: tuple[Change, ...]

    def apply(self, cloudformation: Any) -> None:
        """Let CloudFormation do it. It goes on by itself from here."""
        with speaking_to("CloudFormation"):
            cloudformation.execute_change_set(ChangeSetName=self.id)

    def discard(self, cloudformation: Any) -> None:
        """Take it back; with it the empty stack that CloudFormation makes to hold a first proposal."""
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
    """Ask CloudFormation what a deployment would change.

    Args:
        cloudformation: a client.
        name: the stack's.
        template: what to deploy.
        stack: as it is now.
        given: parameters; the others stay as they are, or get their defaults.
        sleep: waits.

    Raises:
        ConfigurationError: CloudFormation, or a rule of the template, refuses the parameters.
        DependencyError: it cannot be asked.
    """
    is_new = stack is None or stack.is_new
    kept = [] if stack is None or is_new else [each for each in stack.parameters if each in template.parameters and each not in given]
    parameters: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    parameters += [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
    with speaking_to("CloudFormation"):
        made = cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"offpoll-{uuid.uuid4().hex[:12]}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateBody=template.body,
            Parameters=parameters,
            Capabilities=list(CAPABILITIES),
        )
    proposal = Proposal(id=made["Id"], stack_id=made["StackId"], is_new=is_new, changes=())
    try:
        return _reckoned(cloudformation, proposal, sleep)
    except BaseException:  # also Ctrl-C: a proposal left behind would make the next one look like an update of a stack in review
        proposal.discard(cloudformation)
        raise


def _reckoned(cloudformation: Any, proposal: Proposal, sleep: Callable[[float], None]) -> Proposal:
    for pause in pauses():
        with speaking_to("CloudFormation"):
            said = cloudformation.describe_change_set(ChangeSetName=proposal.id)
        status, reason = said["Status"], said.get("StatusReason", "")
        if status == "FAILED" and any(each in reason for each in _NOTHING):
            proposal.discard(cloudformation)
            return proposal
        if status == "FAILED":
            raise ConfigurationError(f"CloudFormation refuses the deployment: {reason}")
        if status == "CREATE_COMPLETE":
            changes = _changes(cloudformation, proposal.id)
            return Proposal(id=proposal.id, stack_id=proposal.stack_id, is_new=proposal.is_new, changes=changes)
        sleep(pause)
    raise AssertionError("pauses never end")


def _changes(cloudformation: Any, change_set: str) -> tuple[Change, ...]:
    with speaking_to("CloudFormation"):
        pages = list(cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set))
    return tuple(_change(each["ResourceChange"]) for page in pages for each in page["Changes"] if "ResourceChange" in each)


def _change(said: Mapping[str, Any]) -> Change:
    targets = [each.get("Target", {}) for each in said.get("Details", [])]
    because = {target.get("Name") or target.get("Attribute", "") for target in targets}
    return Change(
        action=said["Action"],
        resource=said["LogicalResourceId"],
        type=said["ResourceType"],
        replaces=said.get("Replacement", "False"),
        because=tuple(sorted(because - {""})),
    )
