"""Shared by the commands that change stacks: options, progress lines, and the end after an interruption."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from offpoll.cli.exit_codes import INTERRUPTED
from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from offpoll.cli.dev.display import Display
    from offpoll.deploy.events import Ending, Event

__all__ = ["Region", "StackName", "Stage", "Yes", "agree", "agree_by_name", "stage", "watch", "why"]


def _stack_name(value: str) -> str:
    from offpoll.deploy.stack import is_stack_name

    if not is_stack_name(value):
        raise typer.BadParameter("a stack's name is a letter, then letters, digits and hyphens, at most 128")
    return value


StackName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--stack", metavar="NAME", callback=_stack_name, help="The stack's name: this deployment's name in the account.", show_default=False
    ),
]
Region: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="REGION", help="AWS region, such as `eu-west-1`; by default AWS_REGION, or the profile's.", show_default=False),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Stage:
    """How far a command has come. `left` says what an interruption would leave behind now."""

    def __init__(self) -> None:
        self.left = "nothing was changed"


@contextmanager
def stage(display: Display) -> Iterator[Stage]:
    """Run a command's steps. Ctrl-C, also at a question, ends the command and prints what it leaves behind."""
    reached = Stage()
    try:
        yield reached
    except (KeyboardInterrupt, typer.Abort):
        display.say()
        display.say(f"offpoll: interrupted; {reached.left}", style="yellow")
        raise typer.Exit(INTERRUPTED) from None


def agree(question: str, *, yes: bool) -> bool:
    """Ask the user, unless `--yes` already answers.

    Raises:
        ConfigurationError: standard input is no terminal.
    """
    return yes or _answer(f"{question} [y/N]: ").lower() in ("y", "yes")


def agree_by_name(name: str, *, yes: bool) -> bool:
    """Let the user type the stack's name, because what follows cannot be undone; `--yes` already answers.

    Raises:
        ConfigurationError: standard input is no terminal.
    """
    return yes or _answer(f"You cannot undo this. Type the stack's name, {name}, to go on: ") == name


def _answer(question: str) -> str:
    """Ask on stderr, because stdout is for results."""
    if not sys.stdin.isatty():
        raise ConfigurationError("nothing was changed, because no terminal is there to ask: add --yes")
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort  # Ctrl-D
    return line.strip()


def watch(display: Display, cloudformation: Any, stack_id: str, *, after: str) -> Ending:
    """Show CloudFormation's progress until it ends: a line when it begins with a resource and one when it has finished."""
    from offpoll.deploy.events import follow

    return follow(cloudformation, stack_id, after=after, show=lambda event: _show(display, event))


def why(ending: Ending) -> str:
    """Describe which resources failed, and why, in CloudFormation's words."""
    lines = [f"{each.resource} ({each.type}): {each.reason or each.status}" for each in ending.failures]
    return "\n".join(f"  {line}" for line in lines or [f"CloudFormation names no resource: {ending.status}"])


def _show(display: Display, event: Event) -> None:
    if event.status.endswith("_IN_PROGRESS") and event.reason.startswith(("Resource creation Initiated", "Eventual consistency")):
        return  # repeats an earlier event
    style = (
        "red"
        if event.status.endswith("_FAILED") or "ROLLBACK" in event.status
        else "green"
        if event.status.endswith("_COMPLETE")
        else "dim"
    )
    reason = f"  {event.reason}" if event.reason else ""
    display.say_parts((f"  {event.status:<28}", style), (event.resource, ""), (f"  {event.type}{reason}", "dim"))
