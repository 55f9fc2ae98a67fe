"""`offpoll destroy`: removes a deployment. It keeps the data, unless the user wants that deleted too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.stacks import Region, StackName, Stage, Yes, agree, stage, watch, why
from offpoll.errors import OffpollError

if TYPE_CHECKING:
    from offpoll.cli.dev.display import Display
    from offpoll.deploy.account import Account
    from offpoll.deploy.removal import Kept
    from offpoll.deploy.stack import Stack

__all__ = ["destroy"]


def destroy(
    *,
    stack: StackName,
    region: Region = None,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Also delete documents, records, the secret and access logs. You cannot undo this.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove a deployment. The documents' bucket, the records' table and the secret stay, and the command names them at the end.

    Queues go with their messages: operations that wait or run will then never end. The command shows their number before it asks. Status
    links stop working, because the role that signed them goes too.

    `--delete-data` also deletes the data, now or when you repeat the command later (CloudFormation remembers a stack for 90 days), and
    empties buckets first. The functions' zips stay in their bucket.

    Exit codes: 0 removed, or there was nothing to remove; 1 something could not be removed (the message says why); 2 refused before any
    change; 130 interrupted: the message says what continues. You can safely repeat the command.

    Example: `offpoll destroy --stack orders --region eu-west-1`
    """
    from offpoll.cli.dev.display import Display
    from offpoll.deploy.account import Account
    from offpoll.deploy.removal import past_stacks
    from offpoll.deploy.stack import find_stack

    display = Display(sys.stderr)
    with stage(display) as reached:
        with display.step("asking AWS about the account and the stack"):
            account = Account.find(region=region)
            cloudformation = account.client("cloudformation")
            found = find_stack(cloudformation, stack)
            past = past_stacks(cloudformation, stack)
        if found is not None:
            found.check_ours()
            _remove(display, account, found, reached, delete_data=delete_data, yes=yes)
            past.append(found)
        if found is None:
            display.say(f"there is no stack {stack} in account {account.id}, {account.region}")
        _leave(display, account, past, reached, delete_data=delete_data, agreed=yes or found is not None)


def _remove(display: Display, account: Account, found: Stack, reached: Stage, *, delete_data: bool, yes: bool) -> None:
    """Ask, then let CloudFormation delete the stack."""
    from offpoll.deploy.account import speaking_to
    from offpoll.deploy.events import last_event
    from offpoll.deploy.removal import operations_left, stored_in
    from offpoll.deploy.stack import find_stack

    cloudformation = account.client("cloudformation")
    after = last_event(cloudformation, found.id)
    display.say(
        f"stack {found.name} in account {account.id}, {account.region}, goes with its API, functions, queues, roles, logs and alarms"
    )
    for each in stored_in(cloudformation, found.id):
        display.say_parts(
            (f"  {each.kind} {each.name} ", ""),
            ("goes with all its contents" if delete_data else "stays", "red" if delete_data else "green"),
        )
    left = operations_left(account, found.outputs)
    if left:
        display.say(f"about {left} operations wait or run: they would never end", style="red")
    if not agree("Go on?", yes=yes):
        raise OffpollError("nothing was changed")
    reached.left = f"CloudFormation goes on by itself. Repeat the command to see how it ends: offpoll destroy --stack {found.name}"
    now = find_stack(cloudformation, found.id)
    if now is None or now.status == "DELETE_COMPLETE":
        return  # another deletion has ended meanwhile
    with speaking_to("CloudFormation"):
        cloudformation.delete_stack(StackName=found.id)
    ending = watch(display, cloudformation, found.id, after=after)
    if not ending.is_success:
        raise OffpollError(f"stack {found.name} ended in {ending.status}:\n{why(ending)}\nRemove the cause, and repeat the command")


def _leave(display: Display, account: Account, stacks: list[Stack], reached: Stage, *, delete_data: bool, agreed: bool) -> None:
    """Name the remaining data, or delete it."""
    from offpoll.deploy.removal import kept_by

    cloudformation: Any = account.client("cloudformation")
    kept = [each for stack in stacks for each in kept_by(cloudformation, stack.id)]
    if not delete_data:
        for each in kept:
            print(f"{each.kind:<8} {each.name}")
        if kept:
            display.say("this data stays; --delete-data deletes it, now or later", style="dim")
        return
    if kept and not agreed:
        for each in kept:
            display.say(f"  {each.kind} {each.name} goes with all its contents", style="red")
        if not agree("Go on?", yes=False):
            raise OffpollError("nothing was changed")
    reached.left = "some of the data is still there. Repeat the command with --delete-data"
    for each in kept:
        _delete(display, account, each)


def _delete(display: Display, account: Account, kept: Kept) -> None:
    from offpoll.deploy.removal import delete_data

    def progress(count: int) -> None:
        display.say(f"  {count} objects deleted", style="dim")

    with display.step(f"deleting {kept.kind} {kept.name}"):
        was_there = delete_data(account, kept, show=progress)
    if not was_there:
        display.say("  it was already gone", style="dim")
