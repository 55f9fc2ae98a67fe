"""The Dockerfile's steps, run in an empty file system, and the images, run as compose.yaml runs them.

This takes a minute on two cores, network and root, so it runs only if IMAGE is set, as in CI.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.compose_file import environment, interpolate, read_variables
from tests.support.container import Container, Network, network
from tests.support.dockerfile import parse
from tests.support.image import Image, build, can_build

ROOT = Path(__file__).parents[2]

#: Seconds for something to start, on a busy machine.
PATIENCE = 60.0

#: A deployment whose stores do not respond: nothing listens there.
ENVIRON = {
    "OFFPOLL_BUCKET": "documents",
    "OFFPOLL_QUEUE_URL": "http://127.0.0.1:9/1/operations",
    "OFFPOLL_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:9/1/dead",
    "OFFPOLL_PARKING_QUEUE_URL": "http://127.0.0.1:9/1/parking",
    "OFFPOLL_RECORDS_TABLE": "records",
    "OFFPOLL_SECRET": "s" * 32,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}

APP = 'from offpoll import Offpoll\napp = Offpoll()\n\n@app.operation("order")\ndef order(value: dict) -> dict:\n    return value\n'


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Image]:
    """Return a function that builds each stage once."""
    if not os.environ.get("IMAGE"):
        pytest.skip("IMAGE is not set: it takes a minute, network, and root")
    if not can_build():
        pytest.fail("building needs root, with unshare, mount and chroot")
    work = tmp_path_factory.mktemp("image")
    for folder in (work, *work.parents[:2]):
        folder.chmod(0o755)  # the container's user differs from this test's
    stages = parse((ROOT / "Dockerfile").read_text())
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    return partial(build, stages, images={}, context=ROOT, ignored=ignored, work=work)


@pytest.fixture
def image(stage: Callable[[str], Image]) -> Image:
    """The image of `docker build .`: the last stage."""
    return stage(list(parse((ROOT / "Dockerfile").read_text()))[-1])


@pytest.fixture
def net() -> Iterator[Network]:
    """A separate network."""
    with network() as made:
        yield made


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with an app, as a user mounts it."""
    (tmp_path / "shop.py").write_text(APP)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    return tmp_path


def ran(image: Image, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an unchanged image to its end: its own variables, user and folder."""
    return subprocess.run(
        image.arguments(command, environ=environ, access="ro"), check=False, capture_output=True, text=True, timeout=PATIENCE
    )


def until(true: Callable[[], bool], what: Container) -> None:
    """Wait until a condition holds; fail with the container's log if it never does."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what.log.read_text()
        assert what.process.poll() is None, what.log.read_text()
        time.sleep(0.1)


def test_the_image_is_the_command(image: Image) -> None:
    """Without arguments it shows the help. It runs as a user other than root, in /app, from a file system that it cannot write to."""
    helped = ran(image, *image.entrypoint, *image.command)
    assert (helped.returncode, "serve" in helped.stdout, "work" in helped.stdout) == (0, True, True), helped.stderr
    assert ran(image, "sh", "-c", "id -u; pwd; touch /app/x").stdout.split() == ["10001", "/app"]


def test_the_image_has_only_what_it_runs(image: Image) -> None:
    """Server and command line have the versions of constraints.txt. There is no pip, source, wheel, cache or SDK."""
    listed = ran(
        image, "python", "-c", "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    installed: dict[str, str] = json.loads(listed.stdout)
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert {"offpoll", "fastapi", "uvicorn", "uvloop", "typer"} <= set(installed)
    assert {name: version for name, version in installed.items() if pinned.get(name) != version} == {"offpoll": installed["offpoll"]}
    assert {"pip", "setuptools", "hatchling", "boto3", "botocore"} & set(installed) == set()
    assert [each for each in ("src", "wheels", "root/.cache") if any((image.root / each).rglob("*"))] == []


def test_a_derived_image_has_the_app_and_its_packages(image: Image, tmp_path: Path) -> None:
    """The Dockerfile of docs/containers.md installs beside offpoll, puts the app into /app, and returns to the user who is not root."""
    text = (ROOT / "docs/containers.md").read_text().partition("```dockerfile\n")[2].partition("```")[0]
    (stage,) = parse(text).values()
    context = {"requirements.txt": "iniconfig", "orders.py": "import order_table, iniconfig\n" + APP, "order_table.py": ""}
    for name, content in context.items():
        (tmp_path / name).write_text(content)
    ignored = ["*", *(f"!{name}" for name in context)]
    (tmp_path / "made").mkdir()
    made = build(parse(text), stage.name, images={stage.base: image}, context=tmp_path, ignored=ignored, work=tmp_path / "made")
    started = ran(made, *made.entrypoint, *made.command)
    assert (started.returncode, "OFFPOLL_BUCKET" in started.stderr) == (2, True), started.stderr  # the app loaded, but has no settings yet
    assert (made.command[:2], made.user) == (["serve", "orders:app"], "10001:10001")


def test_a_missing_setting_ends_it(image: Image, app: Path, net: Network) -> None:
    """Exit code 2, and the variable's name."""
    environ = {name: value for name, value in ENVIRON.items() if name != "OFFPOLL_BUCKET"}
    log = app / "log"
    with Container.run(image, ["offpoll", "work", "shop:app"], environ=environ, net=net, log=log, mounts=[(app, "/app", "ro")]) as worker:
        assert worker.process.wait(PATIENCE) == 2
    assert "OFFPOLL_BUCKET" in log.read_text()


def test_the_api_is_healthy_while_it_responds(image: Image, app: Path, net: Network) -> None:
    """HEALTHCHECK's command asks the served port and says why it fails when the API hangs. SIGTERM ends process 1 with 0."""
    serve = [*image.entrypoint, "serve", "shop:app", "--host", "0.0.0.0", "--port", "8080"]
    with Container.run(image, serve, environ=ENVIRON, net=net, log=app / "log", mounts=[(app, "/app", "ro")], access="ro") as api:
        until(lambda: api.execute(image.healthcheck).returncode == 0, api)
        os.kill(api.first, signal.SIGSTOP)
        sick = api.execute(image.healthcheck)
        assert (sick.returncode, sick.stderr) == (1, "GET /livez at port 8080: TimeoutError('timed out')\n")
        os.kill(api.first, signal.SIGCONT)
        os.kill(api.first, signal.SIGTERM)
        assert api.process.wait(PATIENCE) == 0


def test_a_worker_is_healthy_while_it_lives(image: Image, app: Path, net: Network) -> None:
    """The check asks a worker's port, and says why it fails when the worker hangs. SIGTERM drains process 1."""
    work = [*image.entrypoint, "work", "shop:app", "--health-port", "8001"]
    with Container.run(image, work, environ=ENVIRON, net=net, log=app / "log", mounts=[(app, "/app", "ro")], access="ro") as worker:
        until(lambda: "working on order" in worker.log.read_text(), worker)
        assert worker.execute(image.healthcheck).returncode == 0
        os.kill(worker.first, signal.SIGSTOP)
        sick = worker.execute(image.healthcheck)
        assert (sick.returncode, sick.stderr) == (1, "GET /livez at port 8001: TimeoutError('timed out')\n")
        os.kill(worker.first, signal.SIGCONT)
        os.kill(worker.first, signal.SIGTERM)
        assert worker.process.wait(PATIENCE) == 0


def test_the_trial_of_compose_works(stage: Callable[[str], Image], tmp_path: Path, net: Network) -> None:
    """Emulator, resources, API and worker run as compose.yaml says with try.env: an order goes in and comes out, polled from the store."""
    variables = read_variables((ROOT / "contrib/compose/try.env").read_text())
    services = interpolate((ROOT / "compose.yaml").read_text(), variables)["services"]
    image = stage(services["api"]["build"]["target"])
    hosts = image.root / "etc/hosts"
    hosts.write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *services)))

    def start(stack: ExitStack, name: str) -> Container:
        service: dict[str, Any] = services[name]
        command = [*service.get("entrypoint", image.entrypoint), *service.get("command", [])]
        parts = [volume.split(":") for volume in service.get("volumes", [])]
        mounts = [(ROOT / source, target, access) for source, target, access in parts]
        access = "ro" if service["read_only"] else "rw"
        given = environment(service, variables)
        running = Container.run(image, command, environ=given, net=net, log=tmp_path / name, mounts=mounts, access=access)
        return stack.enter_context(running)

    with ExitStack() as stack:
        aws = start(stack, "aws")
        until(lambda: aws.execute(services["aws"]["healthcheck"]["test"][1:]).returncode == 0, aws)
        for _again in range(2):
            resources = start(stack, "resources")
            assert resources.process.wait(PATIENCE) == 0, resources.log.read_text()
        api, worker = start(stack, "api"), start(stack, "worker")
        until(lambda: api.execute(image.healthcheck).returncode == 0, api)
        until(lambda: "working on order" in worker.log.read_text(), worker)
        host = "http://" + services["api"]["ports"][0].rpartition(":")[0]
        done = api.execute(["offpoll", "submit", host, "order", "-d", '{"sku": "A1", "quantity": 2}', "--wait"], timeout=PATIENCE)
        assert done.returncode == 0, done.stderr + api.log.read_text() + worker.log.read_text()
        assert json.loads(done.stdout)["total_cents"] == 2500
        until(lambda: "GET /order" in api.log.read_text(), api)  # the access log is written a moment later
        requests = re.findall(r'"(\w+ /order)', api.log.read_text())
        assert requests == ["POST /order", "GET /order"], "the client polled the API"
