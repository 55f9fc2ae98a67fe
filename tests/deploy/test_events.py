"""CloudFormation's events during a deployment: their order, its end, and the reason of a failure."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

from tests.support.stubbed_account import STACK_ID, client, event

from offpoll.deploy.events import LATER, Event, events_since, follow, last_event, pauses


def pages(*looks: list[dict[str, Any]], tokens: bool = False) -> tuple[Any, Any]:
    cloudformation, script = client("cloudformation")
    for number, events in enumerate(looks):
        more = {"NextToken": "more"} if tokens and number + 1 < len(looks) else {}
        asked = {"StackName": STACK_ID, **({"NextToken": "more"} if tokens and number else {})}
        script.add_response("describe_stack_events", {"StackEvents": events[::-1], **more}, asked)
    return cloudformation, script


def test_each_event_is_shown_once_and_in_order() -> None:
    """AWS lists the newest event first, with all earlier ones. A look returns the new ones; the stack's own end comes last."""
    before = [event(0, "shop", "CREATE_COMPLETE")]
    first = [*before, event(1, "shop", "UPDATE_IN_PROGRESS"), event(2, "Documents", "UPDATE_IN_PROGRESS")]
    second = [*first, event(3, "Documents", "UPDATE_COMPLETE"), event(4, "shop", "UPDATE_COMPLETE")]
    cloudformation, script = pages(before, first, first, second)
    shown: list[Event] = []
    slept: list[float] = []
    after = last_event(cloudformation, STACK_ID)
    ending = follow(cloudformation, STACK_ID, after=after, show=shown.append, sleep=slept.append)
    assert [each.id for each in shown] == ["e1", "e2", "e3", "e4"]
    assert (ending.status, ending.is_success, ending.failures) == ("UPDATE_COMPLETE", True, [])
    assert len(slept) == 2
    script.assert_no_pending_responses()


def test_the_failure_is_the_original_one() -> None:
    """CloudFormation cancels other work after a failure, and calls those failures too."""
    events = [
        event(1, "Queue", "CREATE_FAILED", "Resource creation cancelled"),
        event(2, "Role", "CREATE_FAILED", "not authorized to perform: iam:CreateRole", type_="AWS::IAM::Role"),
        event(3, "shop", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Role]."),
        event(4, "shop", "ROLLBACK_COMPLETE"),
    ]
    ending = follow(pages(events)[0], STACK_ID, after="", show=lambda _: None, sleep=lambda _: None)
    assert not ending.is_success
    assert [(each.resource, each.reason) for each in ending.failures] == [("Role", "not authorized to perform: iam:CreateRole")]


def test_old_pages_are_read_only_as_far_as_needed() -> None:
    """A stack of a year has thousands of events. A nested resource with the stack's name does not end it."""
    older, newer = [event(1, "A", "CREATE_COMPLETE"), event(2, "B", "CREATE_COMPLETE")], [event(3, "C", "CREATE_COMPLETE")]
    cloudformation, script = pages(newer, older, tokens=True)
    assert [each.id for each in events_since(cloudformation, STACK_ID, after="e2")] == ["e3"]
    script.assert_no_pending_responses()


def test_looks_become_rarer() -> None:
    """Looks are frequent at first, for a quick stack; later no more frequent than the account's other tools can bear."""
    first = list(islice(pauses(), 30))
    assert all(one <= other for one, other in pairwise(first))
    assert (first[0], first[-1]) == (0.3, LATER)
