"""A deployment from beginning to end by offpoll's commands: on the embedded AWS, which enforces its policies, over TLS only.

All tests share one deployment and run in this order. docs/deploy.md says what the embedded AWS cannot show. Its functions run on
its own Python and find its packages. It drops lifecycle rules and TTL, and only a `Host` header reaches its API by name.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.servers import Server, ministack

pytestmark = pytest.mark.ministack

#: This interpreter and this machine, because the embedded AWS has no others.
HERE = ("-p", f"Runtime=python3.{sys.version_info.minor}", "-p", f"Architecture={'arm64' if os.uname().machine == 'aarch64' else 'x86_64'}")

#: A kind whose first attempt kills its function, as Lambda does when memory runs out.
CRASH = '''

@app.operation("crash", timeout=5)
def crash(order: Order, operation: Operation) -> int:
    """Ends the process silently the first time."""
    if operation.attempt == 1:
        import os

        os._exit(1)
    return operation.attempt
'''


@dataclass(frozen=True)
class Shop:
    """A project, and the server that it is deployed to."""

    folder: Path
    server: Server

    def offpoll(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
        command = [sys.executable, "-m", "offpoll.cli.main", *arguments]
        env = {**kept, **self.server.environment(), "NO_COLOR": "1"}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False)

    def deploy(self, *arguments: str) -> dict[str, Any]:
        """Deploy, and return the command's JSON."""
        done = self.offpoll("deploy", "orders:app", "--stack", "shop", *HERE, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def client(self, service: str) -> Any:
        """Return a boto3 client with all permissions."""
        session = boto3.Session("test", "test", region_name=self.server.region)
        return session.client(service, endpoint_url=self.server.origin, verify=str(self.server.certificates))  # type: ignore[call-overload]

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName="shop")["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def zips(self) -> list[dict[str, Any]]:
        """Return the contents of the bucket for zips."""
        contents: list[dict[str, Any]] = self.client("s3").list_objects_v2(Bucket=f"offpoll-000000000000-{self.server.region}")["Contents"]
        return contents

    def proposals(self) -> list[str]:
        """Return the ids of the stack's change sets."""
        return [each["ChangeSetId"] for each in self.client("cloudformation").list_change_sets(StackName="shop")["Summaries"]]

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, dict[str, Any]]:
        """Send the API a request, by its own host name."""
        host = self.outputs()["ApiUrl"].partition("//")[2]
        body = None if value is None else json.dumps(value).encode()
        return self._open(urllib.request.Request(self.server.origin + path, method=method, data=body, headers={"Host": host}))

    def follow(self, ticket: dict[str, Any], *, within: float) -> dict[str, Any]:
        """Read a status document, only by its link, until it is done."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            status, document = self._open(urllib.request.Request(ticket["status_link"]["href"]))
            assert status == 200, document
            if document["done"]:
                return document
            time.sleep(0.3)
        raise AssertionError(f"not done within {within:g} s: {document}")

    def submit(self, kind: str, value: Any) -> dict[str, Any]:
        """Submit an operation."""
        status, ticket = self.ask("POST", f"/{kind}", value)
        assert status == 202, ticket
        return ticket

    def _open(self, request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
        trust = ssl.create_default_context(cafile=self.server.certificates)
        try:
            with urllib.request.urlopen(request, timeout=60, context=trust) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A new project with one more kind, deployed."""
    folder = tmp_path_factory.mktemp("deploy")
    with ministack(folder, tls=True) as server:
        made = Shop(folder / "shop", server)
        made.folder.parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "offpoll.cli.main", "new", str(made.folder)], check=True, capture_output=True)
        with (made.folder / "orders.py").open("a") as file:
            file.write(CRASH)
        made.deploy("-p", "WorkerTimeout=60", "-p", "MostAttempts=3", "--yes")
        yield made


@pytest.fixture(scope="module")
def crashed(shop: Shop) -> dict[str, Any]:
    """An operation whose function is killed. Its message comes back 30 s after the function's deadline; other tests run meanwhile."""
    return shop.submit("crash", {"sku": "A1", "quantity": 1})


def test_an_order_goes_through(shop: Shop, crashed: dict[str, Any]) -> None:
    """The API's function accepts an order, the worker's does it, its link shows the document, and GET returns the result."""
    ticket = shop.submit("order", {"sku": "A1", "quantity": 2})
    assert ticket["status_link"]["href"].startswith(f"{shop.server.origin}/{shop.outputs()['Bucket']}/status/public/{ticket['id']}?")
    document = shop.follow(ticket, within=30)
    assert (document["status"], document["attempt"]) == ("succeeded", 1)
    assert shop.ask("GET", f"/order/{ticket['id']}") == (200, {"order_id": ticket["id"], "total_cents": 2500})


def test_a_poison_order_fails(shop: Shop) -> None:
    """An order that its handler fails ends `failed` with the handler's code, after one attempt."""
    ticket = shop.submit("order", {"sku": "Z9", "quantity": 1})
    document = shop.follow(ticket, within=30)
    assert (document["status"], document["attempt"], document["error"]["code"]) == ("failed", 1, "unknown_sku")
    status, problem = shop.ask("GET", f"/order/{ticket['id']}")
    assert (status, problem["error"]["code"]) == (404, "unknown_sku")


def test_workers_come_before_the_api(shop: Shop) -> None:
    """Both queue functions are created before the API's, so that workers know whatever a new API accepts."""
    events = shop.client("cloudformation").describe_stack_events(StackName="shop")["StackEvents"][::-1]
    seen = [(each["LogicalResourceId"], each["ResourceStatus"]) for each in events]
    begun = seen.index(("ApiFunction", "CREATE_IN_PROGRESS"))
    assert {("WorkerFunction", "CREATE_COMPLETE"), ("DeadLettersFunction", "CREATE_COMPLETE")} <= set(seen[:begun])


def test_deploying_again_changes_nothing(shop: Shop) -> None:
    """The same project always makes the same zip: deploying it again uploads and changes nothing, and succeeds."""
    before = shop.zips()
    said = shop.deploy("--yes")
    assert (said["status"], said["changes"], said["outputs"]) == ("unchanged", [], shop.outputs())
    assert shop.zips() == before
    assert [each["Key"] for each in before] == [said["zip"]["key"]]


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    """A dry run says what would change, and leaves neither a zip nor a change set."""
    (shop.folder / "price_list.json").write_text("{}")
    before, outputs, proposals = shop.zips(), shop.outputs(), shop.proposals()
    said = shop.deploy("--dry-run", "-p", "WorkerMemory=256")
    assert said["status"] == "planned"
    assert {each["resource"] for each in said["changes"]} >= {"WorkerFunction", "DeadLettersFunction", "ApiFunction"}
    assert {each["action"] for each in said["changes"]} == {"Modify"}
    assert (shop.zips(), shop.outputs(), shop.proposals()) == (before, outputs, proposals)
    fresh = shop.offpoll("deploy", "orders:app", "--stack", "other", *HERE, "-p", "WorkerTimeout=60", "--dry-run")
    assert fresh.returncode == 0, fresh.stderr
    assert "+ Documents  AWS::S3::Bucket" in fresh.stderr
    names = {each["StackName"] for each in shop.client("cloudformation").describe_stacks()["Stacks"]}
    assert names == {"shop"}


def test_an_update(shop: Shop) -> None:
    """An update deploys new code and a new parameter, workers first, and keeps parameters that were not given again."""
    said = shop.deploy("--yes", "-p", "WorkerMemory=256")
    assert said["status"] == "deployed"
    assert len(shop.zips()) == 2
    outputs, functions = shop.outputs(), shop.client("lambda").list_functions()["Functions"]
    assert said["outputs"] == outputs
    (worker,) = (each for each in functions if "Worker" in each["FunctionName"])
    assert (worker["MemorySize"], worker["Timeout"]) == (256, 60)
    events = shop.client("cloudformation").describe_stack_events(StackName="shop")["StackEvents"][::-1]
    updated = [each["LogicalResourceId"] for each in events if each["ResourceStatus"] == "UPDATE_COMPLETE"]
    assert max(updated.index("WorkerFunction"), updated.index("DeadLettersFunction")) < updated.index("ApiFunction")


def test_no_confirmation(shop: Shop) -> None:
    """Without --yes and without a terminal, neither `deploy` nor `destroy` changes anything."""
    proposals = shop.proposals()
    done = shop.offpoll("deploy", "orders:app", "--stack", "shop", *HERE, "-p", "WorkerMemory=1024")
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert shop.proposals() == proposals
    done = shop.offpoll("destroy", "--stack", "shop")
    assert done.returncode == 2
    assert shop.outputs()


def test_a_killed_function_is_taken_over(shop: Shop, crashed: dict[str, Any]) -> None:
    """After a function dies in mid-operation, another takes over when the lease and the visibility timeout have ended."""
    document = shop.follow(crashed, within=120)
    assert (document["status"], document["attempt"]) == ("succeeded", 2)
    assert shop.ask("GET", f"/crash/{crashed['id']}") == (200, 2)


def test_destroy(shop: Shop) -> None:
    """`destroy` deletes the stack and names the data that stays; with --delete-data that goes too; a third time finds nothing."""
    outputs = shop.outputs()
    held = {outputs[name] for name in ("Bucket", "RecordsTable", "SecretArn")}
    done = shop.offpoll("destroy", "--stack", "shop", "--yes")
    assert done.returncode == 0, done.stderr
    assert {line.split()[1] for line in done.stdout.splitlines()} == held
    assert shop.client("s3").list_objects_v2(Bucket=outputs["Bucket"])["KeyCount"] == 3
    assert shop.client("lambda").list_functions()["Functions"] == []
    done = shop.offpoll("destroy", "--stack", "shop", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    assert outputs["Bucket"] not in {each["Name"] for each in shop.client("s3").list_buckets()["Buckets"]}
    assert shop.client("dynamodb").list_tables()["TableNames"] == []
    assert shop.client("secretsmanager").list_secrets()["SecretList"] == []
    done = shop.offpoll("destroy", "--stack", "shop", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    assert "there is no stack shop" in done.stderr
    assert "deleting" not in done.stderr
