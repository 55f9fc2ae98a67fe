"""Follows what CloudFormation does with a stack, resource by resource, until it has ended, and finds the resources that failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offpoll.deploy.account import speaking_to

__all__ = ["Ending", "Event", "events_since", "follow", "last_event", "pauses"]

#: Seconds between two reads, at first and later. AWS throttles an account beyond ten a second, and people read more slowly.
SOON, LATER = 0.3, 3.0

#: How the reasons of resources begin that CloudFormation only stopped because another one failed.
_CANCELED = ("Resource creation cancelled", "Resource update cancelled")


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a resource, or of the stack itself.

    Attributes:
        resource: the logical id; for the stack its name.
        name: the resource's name in AWS; empty before it exists.
        type, status: as `AWS::S3::Bucket`, `CREATE_COMPLETE`.
        reason: why, if AWS says.
    """

    id: str
    resource: str
    name: str
    type: str
    status: str
    reason: str
    at: datetime
    is_stack: bool


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How CloudFormation's work on a stack ended.

    Attributes:
        status: the stack's last status.
        failures: events of the resources that failed, the earliest first, without those that were only stopped because of them.
    """

    status: str
    failures: list[Event]

    @property
    def is_success(self) -> bool:
        """Whether the stack was created, updated or deleted as asked."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")


def last_event(cloudformation: Any, stack_id: str) -> str:
    """Return the id of the newest event; empty if there is none yet."""
    with speaking_to("CloudFormation"):
        events = cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
    return str(events[0]["EventId"]) if events else ""


def follow(
    cloudformation: Any, stack_id: str, *, after: str, show: Callable[[Event], None], sleep: Callable[[float], None] = time.sleep
) -> Ending:
    """Wait until CloudFormation's work on a stack ends.

    Args:
        stack_id: the stack's id; its name no longer finds it once it is deleted.
        after: the id of the last event before this work.

    Raises:
        DependencyError: a call to CloudFormation failed. Its work continues.
    """
    failures: list[Event] = []
    for pause in pauses():
        events = events_since(cloudformation, stack_id, after=after)
        for event in events:
            show(event)
            if event.is_stack and not event.status.endswith("_IN_PROGRESS"):
                return Ending(status=event.status, failures=failures)
            if event.status.endswith("_FAILED") and not event.is_stack and not event.reason.startswith(_CANCELED):
                failures.append(event)
        after = events[-1].id if events else after
        sleep(pause)
    raise AssertionError("pauses never end")


def pauses() -> Iterator[float]:
    """Yield the seconds to wait between reads: few at first, then more."""
    pause = SOON
    while True:
        yield pause
        pause = min(pause * 1.3, LATER)


def events_since(cloudformation: Any, stack_id: str, *, after: str = "") -> list[Event]:
    """Return the events after the one with the id `after`, oldest first; all events if `after` is empty. AWS lists the newest first."""
    found: list[Event] = []
    with speaking_to("CloudFormation"):
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in map(_event, page["StackEvents"]):
                if event.id == after:
                    return found[::-1]
                found.append(event)
    return found[::-1]


def _event(fields: dict[str, Any]) -> Event:
    return Event(
        id=fields["EventId"],
        resource=fields["LogicalResourceId"],
        name=fields.get("PhysicalResourceId", ""),
        type=fields["ResourceType"],
        status=fields["ResourceStatus"],
        reason=fields.get("ResourceStatusReason", ""),
        at=fields["Timestamp"],
        is_stack=fields.get("PhysicalResourceId") == fields["StackId"],
    )
