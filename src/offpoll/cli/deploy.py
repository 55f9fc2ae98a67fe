"""`offpoll deploy`: deploys an app to AWS. It reports and asks; the package `offpoll.deploy` does the work."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.options import Reference
from offpoll.cli.stacks import Region, StackName, Stage, Yes, agree, stage, watch, why
from offpoll.errors import OffpollError

if TYPE_CHECKING:
    from offpoll.cli.dev.display import Display
    from offpoll.deploy.account import Account
    from offpoll.deploy.archive import Archive
    from offpoll.deploy.changes import Change, Proposal
    from offpoll.deploy.code_bucket import CodeBucket
    from offpoll.deploy.parameters import Template
    from offpoll.deploy.stack import Stack
    from offpoll.kind import Kind

__all__ = ["deploy"]

_MARKS = {"Add": ("+", "green"), "Modify": ("~", "yellow"), "Remove": ("-", "red")}


def deploy(
    app: Reference,
    *,
    stack: StackName,
    region: Region = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME=VALUE",
            help="A template parameter, such as `WorkerTimeout=300`. Repeatable.",
            show_default=False,
        ),
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The app's requirements besides offpoll; by default `requirements.txt`, if there is one.",
            show_default=False,
        ),
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Bucket for the zip; by default one per account and region, created if missing.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change without changing it.")] = False,
    yes: Yes = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON object: stack, region, account, status, changes, outputs, zip.")
    ] = False,
) -> None:
    """Deploy to AWS, or update a deployment: API Gateway, three Lambda functions, SQS, DynamoDB and the documents' bucket.

    Run it in the app's folder. The functions' zip gets the app's files, this offpoll and the packages in `requirements.txt`, as wheels for
    Lambda's Python and architecture: 3.13 and arm64, unless you pass `-p Runtime=python3.12 -p Architecture=x86_64`. The command
    shows all changes before it makes any, and updates workers before the API. If nothing is new, it changes nothing.

    docs/deploy.md lists the parameters. A parameter that you do not pass keeps the stack's value. The command finds credentials as every
    AWS tool does: AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION.

    The outputs go to stdout, everything else to stderr. Exit codes: 0 deployed, or nothing to do; 1 failed (the message names the resource
    and the cause), you said no, or another process is changing the stack; 2 refused before any change: a parameter, an app, credentials, a
    stack that is stuck; 6 AWS does not respond; 130 interrupted: the message says what continues.

    Example: `offpoll deploy orders:app --stack orders --region eu-west-1`
    """
    from offpoll.cli.dev.display import Display

    display = Display(sys.stderr)
    with stage(display) as reached, tempfile.TemporaryDirectory(prefix="offpoll-") as scratch:
        plan = _plan(display, app, stack=stack, region=region, given=parameter or [], bucket=bucket)
        archive = _packed(display, plan, requirements=requirements, into=Path(scratch))
        proposal = _proposed(display, plan, archive)
        outputs: Mapping[str, str] = {}
        if not proposal.changes:
            display.say(f"stack {stack} is up to date")
            status, outputs = "unchanged", plan.stack.outputs if plan.stack else {}
        elif dry_run:
            proposal.discard(plan.cloudformation)
            display.say("nothing was changed")
            status = "planned"
        else:
            _agree(plan, proposal, yes=yes)
            status, outputs = "deployed", _applied(display, plan, archive, proposal, reached)
    if json_:
        _print_json(plan, archive, proposal, status=status, outputs=outputs)
    else:
        _report(display, plan, outputs)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A checked deployment."""

    name: str
    module: str
    kinds: Mapping[str, Kind]
    template: Template
    account: Account
    cloudformation: Any
    stack: Stack | None
    given: Mapping[str, str]
    bucket: CodeBucket

    def value(self, parameter: str) -> str:
        """Return a parameter's value after the deployment."""
        before = self.stack.parameters if self.stack else {}
        return self.template.value(parameter, given=self.given, before=before)


def _plan(display: Display, reference: str, *, stack: str, region: str | None, given: list[str], bucket: str | None) -> _Plan:
    """Check everything that can be checked before anything is created."""
    from offpoll.deploy.parameters import Template, check_limits, read_assignments
    from offpoll.settings import Settings
    from offpoll.wiring import load_app

    template, values = Template(), read_assignments(given)
    template.check(values)
    kinds = load_app(reference).kinds(Settings())
    with display.step("asking AWS about the account and the stack"):
        account, cloudformation, found, code = _existing(stack, region=region, bucket=bucket)
    plan = _Plan(
        name=stack,
        module=reference.partition(":")[0],
        kinds=kinds,
        template=template,
        account=account,
        cloudformation=cloudformation,
        stack=found,
        given={**values, "App": reference, "CodeBucket": code.name},
        bucket=code,
    )
    check_limits(kinds.values(), worker_timeout=int(plan.value("WorkerTimeout")), most_attempts=int(plan.value("MostAttempts")))
    return plan


def _existing(stack: str, *, region: str | None, bucket: str | None) -> tuple[Account, Any, Stack | None, CodeBucket]:
    """Find the account, the stack and the bucket. Refuse a stack or bucket that a deployment could not use."""
    from offpoll.deploy.account import Account
    from offpoll.deploy.code_bucket import CodeBucket
    from offpoll.deploy.stack import find_stack

    account = Account.find(region=region)
    cloudformation = account.client("cloudformation")
    found = find_stack(cloudformation, stack)
    if found is not None:
        found.check_deployable()
    code = CodeBucket.named(bucket or (found.parameters.get("CodeBucket") if found else None), account=account)
    code.exists()
    return account, cloudformation, found, code


def _packed(display: Display, plan: _Plan, *, requirements: Path | None, into: Path) -> Archive:
    from offpoll.deploy.package import build
    from offpoll.deploy.target import Target

    target, beside = Target(runtime=plan.value("Runtime"), architecture=plan.value("Architecture")), Path("requirements.txt")
    with display.step(f"packing for {target.runtime} on {target.architecture}"):
        named = requirements or (beside if beside.is_file() else None)
        package = build(Path.cwd(), module=plan.module, target=target, requirements=named, into=into)
    archive = package.archive
    display.say(f"  {archive.files} files, {archive.size / 1e6:.1f} MB; {archive.unzipped / 1e6:.1f} MB unzipped", style="dim")
    if not package.compiled:
        display.say(f"  without bytecode, which would halve a cold start: no {target.runtime} is here to compile it", style="dim")
    for name in package.missing:
        display.say(f"  {name} is imported but missing in the zip: add its package to {named or beside}", style="yellow")
    return archive


def _proposed(display: Display, plan: _Plan, archive: Archive) -> Proposal:
    from offpoll.deploy.changes import propose

    given = {**plan.given, "CodeKey": plan.bucket.key(archive, stack=plan.name)}
    with display.step("asking CloudFormation what would change"):
        proposal = propose(plan.cloudformation, plan.name, template=plan.template, stack=plan.stack, given=given)
    where = f"stack {plan.name} in account {plan.account.id}, {plan.account.region}"
    if proposal.changes:
        display.say(f"{where}, {'to create' if proposal.is_new else 'to change'}:")
    for change in proposal.changes:
        _show(display, change, keeps_data=change.resource in plan.template.retained())
    return proposal


def _show(display: Display, change: Change, *, keeps_data: bool) -> None:
    mark, style = _MARKS.get(change.action, ("?", ""))
    because = f"  ({', '.join(change.because)})" if change.because else ""
    replaced = {"True": "  will be replaced by a new one", "Conditional": "  may be replaced by a new one"}.get(change.replaces, "")
    display.say_parts((f"  {mark} ", style), (change.resource, ""), (f"  {change.type}{because}", "dim"), (replaced, "bold red"))
    if keeps_data and (replaced or change.action == "Remove"):
        display.say("      its data stays where it is, but this deployment will no longer find it", style="red")


def _agree(plan: _Plan, proposal: Proposal, *, yes: bool) -> None:
    """Ask, and discard the proposal unless the user agrees."""
    agreed = False
    try:
        agreed = agree("Go on?", yes=yes)
    finally:
        if not agreed:
            proposal.discard(plan.cloudformation)
    if not agreed:
        raise OffpollError("nothing was changed")


def _applied(display: Display, plan: _Plan, archive: Archive, proposal: Proposal, reached: Stage) -> Mapping[str, str]:
    """Upload the zip, apply the changes, and return the outputs."""
    from offpoll.deploy.events import last_event
    from offpoll.deploy.stack import find_stack

    key, cloudformation = plan.bucket.key(archive, stack=plan.name), plan.cloudformation
    reached.left = "the stack was not changed; the zip may be in its bucket"
    try:
        with display.step(f"uploading the zip to s3://{plan.bucket.name}/{key}"):
            plan.bucket.upload(archive, key=key)
        after = last_event(cloudformation, proposal.stack_id)
    except BaseException:
        proposal.discard(cloudformation)
        raise
    reached.left = (
        f"CloudFormation goes on with stack {plan.name} by itself. See how it ends with "
        f"aws cloudformation describe-stack-events --stack-name {plan.name} --region {plan.account.region}, and then deploy again"
    )
    proposal.apply(cloudformation)
    ending = watch(display, cloudformation, proposal.stack_id, after=after)
    if not ending.is_success:
        raise OffpollError(f"stack {plan.name} ended in {ending.status}:\n{why(ending)}\n{_what_now(plan.name, ending.status, proposal)}")
    found = find_stack(cloudformation, proposal.stack_id)
    return found.outputs if found else {}


def _what_now(name: str, status: str, proposal: Proposal) -> str:
    if proposal.is_new:
        return f"The deployment does not work. Remove the cause, then: offpoll destroy --stack {name}, and deploy again"
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "The deployment is as before. Remove the cause, and deploy again"
    return f"Its rollback failed too: aws cloudformation continue-update-rollback --stack-name {name}"


def _print_json(plan: _Plan, archive: Archive, proposal: Proposal, *, status: str, outputs: Mapping[str, str]) -> None:
    key = plan.bucket.key(archive, stack=plan.name)
    zip_ = {"bucket": plan.bucket.name, "key": key, "size": archive.size, "unzipped": archive.unzipped}
    names = ("action", "resource", "type", "replaces")
    changes = [{name: getattr(change, name) for name in names} for change in proposal.changes]
    fields = {"stack": plan.name, "region": plan.account.region, "account": plan.account.id, "status": status}
    print(json.dumps({**fields, "changes": changes, "outputs": dict(outputs), "zip": zip_}, indent=2))


def _report(display: Display, plan: _Plan, outputs: Mapping[str, str]) -> None:
    for name, value in sorted(outputs.items()):
        print(f"{name:<20} {value}")
    if "ApiUrl" in outputs:
        _show_call(display, plan, outputs["ApiUrl"])


def _show_call(display: Display, plan: _Plan, url: str) -> None:
    """Show how to try the deployment, with the first kind that has an example."""
    from offpoll.example_input import example_input

    for name, kind in plan.kinds.items():
        value = example_input(kind)
        if value is not None:
            display.say(f"try it: offpoll submit {url} {name} -d '{json.dumps(value)}' --wait")
            return
