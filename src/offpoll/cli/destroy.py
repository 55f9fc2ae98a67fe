"""`offpoll destroy`: removes a deployment. It keeps the data unless the user wants that deleted too, and deletes only what it has shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.stacks import Region, StackName, Stage, Yes, agree, agree_by_name, stage, watch, why
from offpoll.errors import OffpollError

if TYPE_CHECKING:
    from offpoll.cli.dev.display import Display
    from offpoll.deploy.account import Account
    from offpoll.deploy.inventory import Holding
    from offpoll.deploy.removal import Kept
    from offpoll.deploy.stack import Stack

__all__ = ["destroy"]


def destroy(
    *,
    stack: StackName,
    region: Region = None,
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Also delete the stack's documents, records, secret and access logs. You cannot undo this."),
    ] = False,
    delete_earlier_data: Annotated[
        bool, typer.Option("--delete-earlier-data", help="Also delete what earlier stacks with this name left. You cannot undo this.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted and what would stay; change nothing.")] = False,
    yes: Yes = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON object: stack, region, account, status, deleted, kept, earlier.")
    ] = False,
) -> None:
    """Remove a deployment. The documents' bucket, the records' table and the secret stay, and the command names them at the end.

    Queues go with their messages: operations that wait or run will then never end. The command shows their number before it asks. Status
    links stop working, because the role that signed them goes too.

    `--delete-data` also deletes the data, now or when you repeat the command later (CloudFormation remembers a stack for 90 days). It shows
    each bucket, table and secret with its size and last write, and asks you to type the stack's name. It leaves alone what earlier stacks
    with the same name left: `--delete-earlier-data` shows that separately, and asks separately. The functions' zips stay in their bucket.

    `--yes` answers both questions, but deletes no data unless the option for it is there too.

    Exit codes: 0 removed, or there was nothing to remove; 1 something could not be removed (the message says why), or you said no; 2
    refused before any change; 6 AWS does not respond; 130 interrupted: the message says what continues. You can safely repeat the command.

    Example: `offpoll destroy --stack orders --region eu-west-1`
    """
    from offpoll.cli.dev.display import Display

    display = Display(sys.stderr)
    with stage(display) as reached:
        sight = _look(display, stack, region=region)
        _show(display, sight, own=delete_data, earlier=delete_earlier_data)
        if dry_run:
            display.say("nothing was changed")
            status, deleted = "planned", []
        else:
            _agree(sight, display, own=delete_data, earlier=delete_earlier_data, yes=yes)
            status = _remove(display, sight, reached)
            sight = _after(sight)
            chosen = [*(sight.own if delete_data else ()), *(sight.earlier if delete_earlier_data else ())]
            deleted = _delete_all(display, sight, chosen, reached)
    _report(display, sight, deleted, status=status, json_=json_)


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What there is.

    Attributes:
        live: the stack; None if there is none.
        last: the stack whose data is `own`: the live one, else the last deleted one.
        own, earlier: data of that stack, and of those before it.
        left: how many operations wait or run.
    """

    name: str
    account: Account
    cloudformation: Any
    live: Stack | None
    last: Stack | None
    own: Sequence[Holding]
    earlier: Sequence[Holding]
    left: int


def _look(display: Display, name: str, *, region: str | None) -> _Sight:
    from offpoll.deploy.account import Account
    from offpoll.deploy.inventory import holdings
    from offpoll.deploy.removal import kept_by, operations_left, past_stacks, stored_in
    from offpoll.deploy.stack import find_stack

    with display.step("asking AWS about the account, the stack and its data"):
        account = Account.find(region=region)
        cloudformation = account.client("cloudformation")
        live = find_stack(cloudformation, name)
        if live is not None:
            live.check_ours()
        stacks = [*([live] if live else []), *past_stacks(cloudformation, name)]
        last = stacks[0] if stacks else None
        mine = [] if last is None else [*(stored_in(cloudformation, last.id) if live else []), *kept_by(cloudformation, last.id)]
        others = [each for stack in stacks[1:] for each in kept_by(cloudformation, stack.id)]
        own = {each.name: each for each in mine}
        return _Sight(
            name=name,
            account=account,
            cloudformation=cloudformation,
            live=live,
            last=last,
            own=holdings(account, own.values()),
            earlier=holdings(account, {each.name: each for each in others if each.name not in own}.values()),
            left=0 if live is None else operations_left(account, live.outputs),
        )


def _show(display: Display, sight: _Sight, *, own: bool, earlier: bool) -> None:
    """Show what goes and what stays."""
    where = f"in account {sight.account.id}, {sight.account.region}"
    if sight.live is None:
        display.say(f"there is no stack {sight.name} {where}")
    else:
        display.say(f"stack {sight.name} {where}, goes with its API, functions, queues, roles, logs and alarms")
    if sight.own:
        deleted = None if sight.last is None or sight.live else sight.last.deleted_at
        display.say("its data:" if deleted is None else f"data of the stack that was deleted on {deleted:%Y-%m-%d}:")
        _list(display, sight.own, goes=own)
    if sight.earlier:
        display.say(f"data of earlier stacks with the name {sight.name}:")
        _list(display, sight.earlier, goes=earlier)
    if sight.left:
        display.say(f"about {sight.left} operations wait or run: they would never end", style="red")


def _list(display: Display, data: Sequence[Holding], *, goes: bool) -> None:
    for each in data:
        display.say_parts((f"  {each.text()}  ", ""), ("goes with all its contents" if goes else "stays", "red" if goes else "green"))


def _agree(sight: _Sight, display: Display, *, own: bool, earlier: bool, yes: bool) -> None:
    """Ask for everything before anything is changed.

    Raises:
        OffpollError: the user said no.
    """
    agreed = True
    if own and sight.own:
        agreed = agree_by_name(sight.name, yes=yes)
    elif sight.live is not None:
        agreed = agree("Go on?", yes=yes)
    if agreed and earlier and sight.earlier:
        display.say("and the data of earlier stacks, as listed above:")
        agreed = agree_by_name(sight.name, yes=yes)
    if not agreed:
        raise OffpollError("nothing was changed")


def _remove(display: Display, sight: _Sight, reached: Stage) -> str:
    """Let CloudFormation delete the stack."""
    from offpoll.deploy.account import speaking_to
    from offpoll.deploy.events import last_event
    from offpoll.deploy.stack import find_stack

    if sight.live is None:
        return "absent"
    found, cloudformation = sight.live, sight.cloudformation
    after = last_event(cloudformation, found.id)
    reached.left = f"CloudFormation goes on by itself. Repeat the command to see how it ends: offpoll destroy --stack {found.name}"
    now = find_stack(cloudformation, found.id)
    if now is None or now.status == "DELETE_COMPLETE":
        return "removed"  # another deletion has ended meanwhile
    with speaking_to("CloudFormation"):
        cloudformation.delete_stack(StackName=found.id)
    ending = watch(display, cloudformation, found.id, after=after)
    if not ending.is_success:
        raise OffpollError(f"stack {found.name} ended in {ending.status}:\n{why(ending)}\nRemove the cause, and repeat the command")
    return "removed"


def _after(sight: _Sight) -> _Sight:
    """Leave out the data that went with the stack: CloudFormation keeps none of a stack whose creation failed."""
    from offpoll.deploy.removal import kept_by

    if sight.live is None:
        return sight
    kept = {each.name for each in kept_by(sight.cloudformation, sight.live.id)}
    return replace(sight, own=[each for each in sight.own if each.kept.name in kept])


def _delete_all(display: Display, sight: _Sight, chosen: Sequence[Holding], reached: Stage) -> list[Holding]:
    """Delete the data that was shown and agreed to, and nothing else."""
    if chosen:
        reached.left = "some of the data is still there. Repeat the command with the same options"
    for each in chosen:
        _delete(display, sight.account, each.kept)
    return list(chosen)


def _delete(display: Display, account: Account, kept: Kept) -> None:
    from offpoll.deploy.removal import delete_data

    def progress(count: int) -> None:
        display.say(f"  {count} objects deleted", style="dim")

    with display.step(f"deleting {kept.kind} {kept.name}"):
        was_there = delete_data(account, kept, show=progress)
    if not was_there:
        display.say("  it was already gone", style="dim")


def _report(display: Display, sight: _Sight, deleted: Sequence[Holding], *, status: str, json_: bool) -> None:
    """Name the remaining data on stdout."""
    kept, earlier = ([each for each in data if each not in deleted] for data in (sight.own, sight.earlier))
    if json_:
        fields: dict[str, Any] = {"stack": sight.name, "region": sight.account.region, "account": sight.account.id, "status": status}
        lists = {"deleted": deleted, "kept": kept, "earlier": earlier}
        print(json.dumps({**fields, **{name: [each.fields() for each in data] for name, data in lists.items()}}, indent=2))
        return
    for each in (*kept, *earlier):
        print(f"{each.kept.kind:<8} {each.kept.name}")
    if kept:
        display.say("this data stays; --delete-data deletes it, now or later", style="dim")
    if earlier:
        display.say("what earlier stacks left stays; --delete-earlier-data deletes it", style="dim")
