"""`offpoll deploy` and `offpoll destroy`: what they refuse before changing anything, and how they report a failure."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.servers import Server

from offpoll.deploy import account, package

Run = Callable[..., Any]

#: Credentials that no server sees: each mistake must be found without a server.
NOBODY = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_REGION": "eu-west-1",
}


@pytest.fixture(autouse=True)
def _no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch nothing: test_package tests the contents of the zip."""
    monkeypatch.setattr(package, "_install", lambda *_, **__: None)


@pytest.fixture
def stack() -> str:
    """Return a name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


class TestBeforeAnythingIsAsked:
    """No request is sent: nothing listens at the endpoint."""

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("shop:app", "-p", "WorkerTimout=60"), "no parameter 'WorkerTimout'; did you mean WorkerTimeout?"),
            (("shop:app", "-p", "AllowedCidrs=10.0.0.0"), "parameter AllowedCidrs cannot be '10.0.0.0': CIDR blocks"),
            (("shop:app", "-p", "AllowedCidrs=10.0.0.1/8"), "write 10.0.0.0/8 or 10.0.0.1/32"),
            (("shop:app", "-p", "WorkerTimeout=61"), "parameter WorkerTimeout cannot be '61': one of 60,"),
            (("shop",), "'shop' does not name an app: write module:attribute"),
            (("nowhere:app",), "there is no module 'nowhere'"),
            (("shop:Order",), "shop:Order is a ModelMetaclass, not an Offpoll"),
            (("broken:app",), "broken cannot be imported: ZeroDivisionError: division by zero"),
            (("shop:app", "--region", "europe"), "there is no region 'europe'"),
        ],
    )
    def test_the_error_says_what_is_wrong(self, offpoll: Run, folder: Path, arguments: tuple[str, ...], why: str) -> None:
        """A wrong parameter, an app that cannot be imported, or a missing region: exit code 2 and one paragraph."""
        (folder / "broken.py").write_text("1 / 0")
        ended = offpoll("deploy", *arguments, "--stack", "shop", "--yes", **NOBODY)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
        assert "Traceback" not in ended.err

    def test_no_credentials(self, offpoll: Run, folder: Path) -> None:
        """Both commands say where they look for credentials."""
        nobody = {"AWS_REGION": "eu-west-1", "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"), "AWS_CONFIG_FILE": str(folder / "none")}
        for command in (("deploy", "shop:app"), ("destroy",)):
            ended = offpoll(*command, "--stack", "shop", "--yes", **nobody)
            assert ended.code == 2
            assert "no AWS credentials: set AWS_PROFILE" in ended.err

    @pytest.mark.parametrize("name", ["my_shop", "2shop", ""])
    def test_an_invalid_name(self, offpoll: Run, name: str) -> None:
        """A name that breaks CloudFormation's rule is refused before any request."""
        ended = offpoll("destroy", "--stack", name, **NOBODY)
        assert ended.code == 2
        assert "a stack's name is a letter" in ended.err

    def test_no_response(self, offpoll: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """A silent endpoint is a failure that may pass: exit code 6."""
        monkeypatch.setattr(account, "CALLS", 1)
        ended = offpoll("destroy", "--stack", "shop", **NOBODY)
        assert ended.code == 6
        assert "Could not connect to the endpoint" in ended.err


@pytest.mark.ministack
class TestOnTheEmbeddedAws:
    """States that CloudFormation itself has produced."""

    @pytest.fixture
    def aws(self, ministack_server: Server) -> Callable[[str], Any]:
        """Return clients that may do everything."""
        session = boto3.Session("test", "test", region_name="us-east-1")
        return lambda service: session.client(service, endpoint_url=ministack_server.origin)  # type: ignore[call-overload]

    @pytest.fixture
    def here(self, ministack_server: Server) -> dict[str, str]:
        """The variables that lead to the emulator."""
        return ministack_server.environment()

    def test_a_timeout_beyond_the_function(self, offpoll: Run, folder: Path, here: dict[str, str], stack: str, aws: Any) -> None:
        """If a kind's timeout exceeds the function's less 30 s, nothing is built or created."""
        (folder / "shop.py").write_text((folder / "shop.py").read_text().replace('("order")', '("order", timeout=300)'))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "-p", "WorkerTimeout=300", "--yes", **here)
        assert ended.code == 2
        assert "the timeout of 'order' is 300 s, but the worker function ends after 300 s" in ended.err
        assert "packing" not in ended.err
        assert stack not in {each["StackName"] for each in aws("cloudformation").describe_stacks()["Stacks"]}

    def test_a_failure_names_its_resource(self, offpoll: Run, here: dict[str, str], stack: str, aws: Any) -> None:
        """The error gives AWS's reason and the remedy. Until then the stack is refused; destroying it makes room for another try."""
        zone = (
            "-p",
            "DomainName=api.example.com",
            "-p",
            "HostedZoneId=Z0NOWHERE",
            "-p",
            f"CertificateArn=arn:aws:acm:us-east-1:000000000000:certificate/{uuid.uuid4()}",
        )
        ended = offpoll("deploy", "shop:app", "--stack", stack, *zone, "--yes", **here)
        assert ended.code == 1, ended.err
        assert f"stack {stack} ended in ROLLBACK_COMPLETE:" in ended.err
        assert "DomainRecord (AWS::Route53::RecordSet): " in ended.err
        assert f"offpoll destroy --stack {stack}, and deploy again" in ended.err
        zips = aws("s3").list_objects_v2(Bucket="offpoll-000000000000-us-east-1")["KeyCount"]
        again = offpoll("deploy", "shop:app", "--stack", stack, "--yes", **here)
        assert again.code == 2
        assert f"stack {stack} is in ROLLBACK_COMPLETE" in again.err
        assert "packing" not in again.err
        assert aws("s3").list_objects_v2(Bucket="offpoll-000000000000-us-east-1")["KeyCount"] == zips
        gone = offpoll("destroy", "--stack", stack, "--yes", **here)
        assert gone.code == 0, gone.err
        planned = offpoll("deploy", "shop:app", "--stack", stack, "--dry-run", "--json", **here)
        assert planned.code == 0, planned.err
        assert json.loads(planned.out)["status"] == "planned"

    def test_a_rule_of_the_template(self, offpoll: Run, here: dict[str, str], stack: str, aws: Any) -> None:
        """If CloudFormation refuses the change set, no stack is left, and its own words are shown."""
        ended = offpoll("deploy", "shop:app", "--stack", stack, "-p", "DomainName=api.example.com", "--yes", **here)
        assert ended.code == 2
        assert "DomainName needs CertificateArn" in ended.err
        assert stack not in {each["StackName"] for each in aws("cloudformation").describe_stacks()["Stacks"]}

    def test_another_owners_stack_is_left_alone(self, offpoll: Run, here: dict[str, str], stack: str, aws: Any) -> None:
        """Neither command touches a stack that is not ours."""
        template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
        cloudformation = aws("cloudformation")
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
        for command in (("deploy", "shop:app"), ("destroy", "--delete-data")):
            ended = offpoll(*command, "--stack", stack, "--yes", **here)
            assert ended.code == 2
            assert f"stack {stack} was not made by offpoll, so offpoll leaves it alone" in ended.err
        assert cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"

    def test_interrupted_while_building(self, offpoll: Run, here: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """After Ctrl-C the command reports the state of things: exit code 130."""
        monkeypatch.setattr(package, "_install", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "--yes", **here)
        assert ended.code == 130
        assert "offpoll: interrupted; nothing was changed" in ended.err

    def test_interrupted_while_creating(self, offpoll: Run, here: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """CloudFormation continues on its own. The command says so, and how to follow it."""
        from offpoll.cli import deploy

        monkeypatch.setattr(deploy, "watch", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "--yes", **here)
        assert ended.code == 130
        assert f"CloudFormation goes on with stack {stack} by itself" in ended.err
