"""`offpoll deploy` and `offpoll destroy`: what is refused before anything is changed, and what is told of a failure."""

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

#: Credentials that no server sees: what is wrong has to be found without one.
NOBODY = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_REGION": "eu-west-1",
}


@pytest.fixture(autouse=True)
def _no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched: what is in the zip is another test's."""
    monkeypatch.setattr(package, "_install", lambda *_, **__: None)


@pytest.fixture
def stack() -> str:
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


class TestBeforeAnythingIsAsked:
    """No request is sent: nobody listens at the endpoint."""

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("shop:app", "-p", "WorkerTimout=60"), "no parameter 'WorkerTimout'; did you mean WorkerTimeout?"),
            (("shop:app", "-p", "AllowedCidrs=10.0.0.0"), "parameter AllowedCidrs cannot be '10.0.0.0': CIDR blocks"),
            (("shop:app", "-p", "AllowedCidrs=10.0.0.1/8"), "write 10.0.0.0/8 or 10.0.0.1/32"),
            (("shop:app", "-p", "WorkerTimeout=61"), "parameter WorkerTimeout cannot be '61': one of 60,"),
            (("shop",), "'shop' does not name a service: write module:attribute"),
            (("nowhere:app",), "there is no module 'nowhere'"),
            (("shop:Order",), "shop:Order is a ModelMetaclass, not an Offpoll"),
            (("broken:app",), "broken cannot be imported: ZeroDivisionError: division by zero"),
            (("shop:app", "--region", "europe"), "there is no region 'europe'"),
        ],
    )
    def test_what_is_wrong_is_said(self, offpoll: Run, folder: Path, arguments: tuple[str, ...], why: str) -> None:
        """Exit code 2 and one paragraph: a parameter, a service that cannot be imported, a region."""
        (folder / "broken.py").write_text("1 / 0")
        ended = offpoll("deploy", *arguments, "--stack", "shop", "--yes", **NOBODY)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
        assert "Traceback" not in ended.err

    def test_no_credentials(self, offpoll: Run, folder: Path) -> None:
        """Both commands say where they look for them."""
        nobody = {"AWS_REGION": "eu-west-1", "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"), "AWS_CONFIG_FILE": str(folder / "none")}
        for command in (("deploy", "shop:app"), ("destroy",)):
            ended = offpoll(*command, "--stack", "shop", "--yes", **nobody)
            assert ended.code == 2
            assert "no AWS credentials: set AWS_PROFILE" in ended.err

    @pytest.mark.parametrize("name", ["my_shop", "2shop", ""])
    def test_a_name_that_is_none(self, offpoll: Run, name: str) -> None:
        """CloudFormation's rule, before CloudFormation is asked."""
        ended = offpoll("destroy", "--stack", name, **NOBODY)
        assert ended.code == 2
        assert "a stack's name is a letter" in ended.err

    def test_no_answer(self, offpoll: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """An endpoint that nobody listens at is a failure that may pass: exit code 1."""
        monkeypatch.setattr(account, "CALLS", 1)
        ended = offpoll("destroy", "--stack", "shop", **NOBODY)
        assert ended.code == 1
        assert "Could not connect to the endpoint" in ended.err


@pytest.mark.ministack
class TestOnTheEmbeddedAws:
    """States that CloudFormation itself has brought about."""

    @pytest.fixture
    def aws(self, ministack_server: Server) -> Callable[[str], Any]:
        """Make clients that may do everything."""
        session = boto3.Session("test", "test", region_name="us-east-1")
        return lambda service: session.client(service, endpoint_url=ministack_server.origin)  # type: ignore[call-overload]

    @pytest.fixture
    def here(self, ministack_server: Server) -> dict[str, str]:
        """The variables by which it is found."""
        return ministack_server.environment()

    def test_a_timeout_that_the_function_has_no_time_for(
        self, offpoll: Run, folder: Path, here: dict[str, str], stack: str, aws: Any
    ) -> None:
        """The kind's own timeout, over the function's less 30 s: nothing is built, and nothing is made."""
        (folder / "shop.py").write_text((folder / "shop.py").read_text().replace('("order")', '("order", timeout=300)'))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "-p", "WorkerTimeout=300", "--yes", **here)
        assert ended.code == 2
        assert "the timeout of 'order' is 300 s, but the worker function ends after 300 s" in ended.err
        assert "packing" not in ended.err
        assert stack not in {each["StackName"] for each in aws("cloudformation").describe_stacks()["Stacks"]}

    def test_a_failure_names_its_resource(self, offpoll: Run, here: dict[str, str], stack: str, aws: Any) -> None:
        """It says why, in AWS's words, and what to do. Until that is done the stack is refused; destroying it makes way for another try."""
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
        """What CloudFormation refuses while it reckons leaves no stack, and its own words are told."""
        ended = offpoll("deploy", "shop:app", "--stack", stack, "-p", "DomainName=api.example.com", "--yes", **here)
        assert ended.code == 2
        assert "DomainName needs CertificateArn" in ended.err
        assert stack not in {each["StackName"] for each in aws("cloudformation").describe_stacks()["Stacks"]}

    def test_somebody_else_s_stack_is_left_alone(self, offpoll: Run, here: dict[str, str], stack: str, aws: Any) -> None:
        """Neither command touches it."""
        template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
        cloudformation = aws("cloudformation")
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
        for command in (("deploy", "shop:app"), ("destroy", "--delete-data")):
            ended = offpoll(*command, "--stack", stack, "--yes", **here)
            assert ended.code == 2
            assert f"stack {stack} was not made by offpoll, and is left alone" in ended.err
        assert cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"

    def test_interrupted_while_it_is_built(self, offpoll: Run, here: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C: exit code 130, and what is so."""
        monkeypatch.setattr(package, "_install", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "--yes", **here)
        assert ended.code == 130
        assert "offpoll: interrupted; nothing was changed" in ended.err

    def test_interrupted_while_it_is_made(self, offpoll: Run, here: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """CloudFormation goes on by itself. That is said, with how to see its end."""
        from offpoll.cli import deploy

        monkeypatch.setattr(deploy, "watch", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        ended = offpoll("deploy", "shop:app", "--stack", stack, "--yes", **here)
        assert ended.code == 130
        assert f"CloudFormation goes on with stack {stack} by itself" in ended.err
