"""What CloudFormation does with a stack, resource by resource, as it happens.

Decides when it has ended, and which resource it failed for. Must not know how it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offpoll.deploy.account import speaking_to

__all__ = ["Ending", "Event", "events_since", "follow", "last_event", "pauses"]

#: Seconds between two looks, at first and later. Ten a second are allowed for the account (throttled beyond), and people read slower.
SOON, LATER = 0.3, 3.0

_CANCELED = ("Resource creation cancelled", "Resource update cancelled")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a resource, or to the stack itself.

    Attributes:
        id: unlike any other's.
        resource: its logical id; the stack's is its name.
        name: what it is called in AWS; empty before it is made.
        type: `AWS::S3::Bucket`.
        status: `CREATE_COMPLETE`.
        reason: why, where AWS says.
        at: when.
        is_stack: whether it is the stack itself.
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
    """How it ended.

    Attributes:
        status: the stack's last.
        failures: the resources that failed by themselves, first first; not those that were only stopped because of them.
    """

    status: str
    failures: list[Event]

    @property
    def is_success(self) -> bool:
        """Whether what was asked for is so."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")


def last_event(cloudformation: Any, stack_id: str) -> str:
    """Return the id of the newest event; empty where there is none yet."""
    with speaking_to("CloudFormation"):
        events = cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
    return str(events[0]["EventId"]) if events else ""


def follow(
    cloudformation: Any, stack_id: str, *, after: str, show: Callable[[Event], None], sleep: Callable[[float], None] = time.sleep
) -> Ending:
    """Wait until CloudFormation has done with a stack.

    Args:
        cloudformation: a client.
        stack_id: the stack's id; its name means nothing once it is deleted.
        after: the last event before.
        show: is called with each event.
        sleep: waits.

    Raises:
        DependencyError: CloudFormation cannot be asked any more. What it does goes on.
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
    """Yield how long to wait between looks: less at first."""
    pause = SOON
    while True:
        yield pause
        pause = min(pause * 1.3, LATER)


def events_since(cloudformation: Any, stack_id: str, *, after: str = "") -> list[Event]:
    """Return the events after one, the oldest first; without one, all of the stack's life. AWS lists the newest first."""
    found: list[Event] = []
    with speaking_to("CloudFormation"):
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in map(_event, page["StackEvents"]):
                if event.id == after:
                    return found[::-1]
                found.append(event)
    return found[::-1]


def _event(said: dict[str, Any]) -> Event:
    return Event(
        id=said["EventId"],
        resource=said["LogicalResourceId"],
        name=said.get("PhysicalResourceId", ""),
        type=said["ResourceType"],
        status=said["ResourceStatus"],
        reason=said.get("ResourceStatusReason", ""),
        at=said["Timestamp"],
        is_stack=said.get("PhysicalResourceId") == said["StackId"],
    )
