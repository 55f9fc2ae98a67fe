"""Dockerfile, compose.yaml and systemd units pass their linters and agree with the settings and the code.

`test_image` builds and runs them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tests.support.compose_file import environment, interpolate, read_variables
from tests.support.dockerfile import Stage, parse

from offpoll import Settings
from offpoll.cli.api_processes import GRACE
from offpoll.cli.health import INTERVAL
from offpoll.cli.work import STOPPING
from offpoll.wiring import NEEDED

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
TRY = read_variables((ROOT / "contrib/compose/try.env").read_text())
STAGES = parse((ROOT / "Dockerfile").read_text())
SYSTEMD = ROOT / "contrib/systemd"
UNITS = ("offpoll-api.service", "offpoll-worker@.service")

#: Every setting's variable.
VARIABLES = {each.variable for each in Settings().describe(environ={})}

#: The settings without which both processes refuse to start; the API also needs the secret.
REQUIRED = {f"OFFPOLL_{name.upper()}" for name in NEEDED}
SECRET = "OFFPOLL_SECRET"

#: The highest score allowed from `systemd-analyze security`. 0: may do nothing; 10: may do everything; 9.6: an unrestricted unit.
MOST_EXPOSURE = 2.0


# The Dockerfile


@pytest.mark.parametrize("page", ["Dockerfile", "docs/containers.md"])
def test_dockerfiles_are_linted(page: str) -> None:
    """hadolint, which also checks the shell in RUN, has not even an informational finding in our Dockerfile or the one for users."""
    own = Path(sys.executable).with_name("hadolint")
    program = str(own) if own.exists() else shutil.which("hadolint")
    assert program, "hadolint is not installed: make setup"
    text = (ROOT / page).read_text()
    text = text.partition("```dockerfile\n")[2].partition("```")[0] if page.endswith(".md") else text
    linted = subprocess.run(
        [program, "--no-color", "--failure-threshold", "style", "-"], check=False, input=text, cwd=ROOT, capture_output=True, text=True
    )
    assert (linted.returncode, linted.stdout) == (0, "")
    assert "FROM" in text
    assert "hadolint ignore" not in text


@pytest.mark.parametrize("target", ["offpoll", "try"])
def test_a_running_image_is_not_root_and_reports_its_health(target: str) -> None:
    """The image has a user by number, a health check and an entry point, in exec form: signals reach the process and not a shell."""
    instructions = {name: _inherited(target, name) for name in ("USER", "HEALTHCHECK", "ENTRYPOINT", "CMD")}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions["USER"])
    assert instructions["HEALTHCHECK"].startswith("CMD [")
    assert (instructions["ENTRYPOINT"], instructions["CMD"]) == ('["offpoll"]', '["--help"]')


def test_the_default_image_is_the_plain_one() -> None:
    """`docker build .` makes the last stage: without the emulator, and with only the virtual environment from the build."""
    last = list(STAGES)[-1]
    assert (last, STAGES[last].base) == ("offpoll", "runtime")
    copied = [(each.option("from"), each.words[0]) for each in STAGES["runtime"].instructions if each.name == "COPY"]
    assert copied == [("build", "/opt/offpoll"), (None, "contrib/container/healthcheck.py")]


def test_bases_are_slim_and_of_one_tested_version() -> None:
    """All stages share one tag, never `latest`, with a Python that the package supports."""
    bases = {stage.base for stage in STAGES.values() if stage.base not in STAGES}
    assert len(bases) == 1
    version = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", bases.pop())
    assert version
    assert f"Programming Language :: Python :: {version[1]}" in (ROOT / "pyproject.toml").read_text()


def test_packages_are_pinned_and_never_compiled() -> None:
    """Each `pip install` takes only wheels, in the versions of constraints.txt, and leaves no cache in a layer."""
    installs = [each for stage in STAGES.values() for each in stage.instructions if each.name == "RUN" and "install" in each.text]
    assert len(installs) == 2
    for each in installs:
        assert "--only-binary :all:" in each.text
        assert re.search(r"--constraint \S*constraints\.txt", each.text)
        assert any(value.startswith("type=cache,") for name, value in each.options if name == "mount")


def _inherited(target: str, name: str) -> str:
    """Return an instruction's value in a stage, or in the nearest stage that it starts from."""
    stage: Stage | None = STAGES[target]
    while stage:
        if found := stage.last(name):
            return found.text
        stage = STAGES.get(stage.base)
    raise AssertionError(f"{target} has no {name}")


# HEALTHCHECK


def _healthcheck() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", ROOT / "contrib/container/healthcheck.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("python /opt/offpoll/bin/offpoll serve orders:app --host 0.0.0.0", 8000),
        ("python /opt/offpoll/bin/offpoll serve orders:app --port 9000", 9000),
        ("/sbin/docker-init -- offpoll serve --port=9001 orders:app", 9001),
        ("python /opt/offpoll/bin/offpoll work orders:app", None),
        ("python /opt/offpoll/bin/offpoll work orders:app --health-port 8001", 8001),
        ("python /opt/offpoll/bin/offpoll work orders:app --health-port=8002 --health-host 0.0.0.0", 8002),
        ("python /opt/offpoll/bin/offpoll work orders:app --health-port 0", None),
        ("python -m ministack", None),
    ],
)
def test_the_check_finds_the_served_port(command: str, port: int | None) -> None:
    """The check asks the API's port, wherever it listens, and a worker's, if it has one; any other command has none."""
    assert _healthcheck().port_of(command.split()) == port


def test_the_check_looks_at_the_age_of_a_workers_file(tmp_path: Path) -> None:
    """A file that the worker has just written is well; an old or a missing one is not, and the check says which."""
    check, file = _healthcheck(), tmp_path / "health"
    with pytest.raises(SystemExit, match="No such file"):
        check.check_file(file)
    file.touch()
    check.check_file(file)
    os.utime(file, (time.time() - 60, time.time() - 60))
    with pytest.raises(SystemExit, match="was last written 60 s ago"):
        check.check_file(file)


def test_compose_asks_the_worker() -> None:
    """The image's check finds the worker's port in compose's command."""
    command = interpolate(COMPOSE, TRY)["services"]["worker"]["command"]
    assert _healthcheck().port_of(command) is not None


# compose.yaml


def test_each_setting_reaches_the_container() -> None:
    """compose passes every setting to API and worker, the secret to the API alone, and nothing that is no setting."""
    given = {name: f"value of {name}" for name in VARIABLES | {"AWS_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"}}
    services = interpolate(COMPOSE, given)["services"]
    api, worker = environment(services["api"], given), environment(services["worker"], given)
    assert {name for name in api if name.startswith("OFFPOLL_")} == VARIABLES
    assert {name for name in worker if name.startswith("OFFPOLL_")} == VARIABLES - {SECRET}
    assert {name: api[name] for name in given} == given
    assert api["AWS_DEFAULT_REGION"] == given["AWS_REGION"]


def test_an_unset_setting_keeps_its_default() -> None:
    """An optional setting that is not set is not passed as an empty text, which would be refused."""
    given = dict.fromkeys(REQUIRED | {SECRET, "AWS_REGION"}, "x")
    services = interpolate(COMPOSE, given)["services"]
    assert {name for name in environment(services["api"], given) if name.startswith("OFFPOLL_")} == REQUIRED | {SECRET}
    assert services["api"]["build"]["target"] == "offpoll"


@pytest.mark.parametrize("name", sorted(REQUIRED | {SECRET, "AWS_REGION"}))
def test_a_missing_setting_is_named(name: str) -> None:
    """compose ends before anything starts, with the variable's name and meaning."""
    with pytest.raises(KeyError, match=name):
        interpolate(COMPOSE, {each: "x" for each in REQUIRED | {SECRET, "AWS_REGION"} if each != name})


def test_the_trial_is_a_valid_deployment() -> None:
    """Both processes start with the trial's variables, and its services belong to its profile only."""
    services = interpolate(COMPOSE, TRY)["services"]
    for name, needed in (("api", ("secret", *NEEDED)), ("worker", NEEDED)):
        Settings.load(environ=environment(services[name], TRY)).need(*needed)
    assert TRY["COMPOSE_PROFILES"] == "try"
    assert {name for name, service in services.items() if "profiles" not in service} == {"api", "worker"}
    assert {profile for service in services.values() for profile in service.get("profiles", [])} == {"try"}
    assert services["api"]["depends_on"]["resources"]["required"] is False


def test_each_container_may_do_little() -> None:
    """Each container has a read-only file system, no capabilities, no new privileges, and no port beyond this machine."""
    for service in interpolate(COMPOSE, TRY)["services"].values():
        assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_containers_get_the_time_to_stop() -> None:
    """A worker gets a handler's default timeout, the API the time that open requests get."""
    services = interpolate(COMPOSE, TRY)["services"]
    assert _seconds(services["worker"]["stop_grace_period"]) >= Settings().timeout + STOPPING
    assert _seconds(services["api"]["stop_grace_period"]) > GRACE


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


# Kubernetes


def test_the_deployment_for_kubernetes() -> None:
    """The Deployment of docs/containers.md asks the port that the worker opens, at an address that the kubelet reaches."""
    text = (ROOT / "docs/containers.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    command, app, *options = worker["args"]
    given = dict(zip(options[::2], options[1::2], strict=True))
    (port,) = worker["ports"]
    assert (command, app, given) == ("work", "orders:app", {"--health-port": str(port["containerPort"]), "--health-host": "0.0.0.0"})
    probes = {name: worker[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"
    }  # fmt: skip
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert pod["terminationGracePeriodSeconds"] >= Settings().timeout + STOPPING
    Settings.load(environ={each["name"]: each["value"] for each in worker["env"]})


# systemd


def _unit(name: str) -> Mapping[str, list[str]]:
    """Return the values of each key of a unit."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    return subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_in_a_unit(name: str, tmp_path: Path) -> None:
    """A unit has no unknown key and no ignored value. The program is looked for here, because offpoll is not in /opt."""
    unit = tmp_path / name
    unit.write_text((SYSTEMD / name).read_text().replace("/opt/offpoll/bin/offpoll", sys.executable))
    verified = _analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_may_do_little(name: str) -> None:
    """systemd's own score of a compromised unit stays low."""
    rated = _analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(SYSTEMD / name))
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr
    assert "Overall exposure level" in rated.stdout


@pytest.mark.parametrize(("name", "command"), [("offpoll-api.service", "serve"), ("offpoll-worker@.service", "work")])
def test_a_unit_starts_with_its_files(name: str, command: str) -> None:
    """The unit's files set all that its process needs, and nothing that is no setting; the worker's have no secret."""
    unit = _unit(name)
    given: dict[str, str] = {}
    for path in unit["EnvironmentFile"]:
        given |= read_variables((SYSTEMD / Path(path).name).read_text())
    assert (SECRET in given) == (command == "serve")
    given |= {SECRET: "s" * 32} if command == "serve" else {}  # where the file says how to make one
    Settings.load(environ=given).need(*NEEDED, *(["secret"] if command == "serve" else []))
    assert given["AWS_REGION"] == given["AWS_DEFAULT_REGION"]
    program, said, app, *_ = unit["ExecStart"][0].split()
    assert (program, said, app) == ("/opt/offpoll/bin/offpoll", command, "${OFFPOLL_APP}")
    assert given["OFFPOLL_APP"]


@pytest.mark.parametrize("name", ["offpoll.env", "api.env"])
def test_commented_settings_exist(name: str) -> None:
    """Removing a comment sign gives a known setting."""
    offered = set(re.findall(r"^#?(OFFPOLL_\w+)=", (SYSTEMD / name).read_text(), re.MULTILINE))
    assert offered
    assert offered <= VARIABLES


def test_units_give_the_time_to_stop_and_stay_down_for_a_reason() -> None:
    """A worker may drain for as long as a handler may take. Exit code 2 needs an operator; anything else restarts for ever."""
    api, worker = map(_unit, UNITS)
    assert float(worker["TimeoutStopSec"][0]) >= Settings().timeout + STOPPING
    assert float(api["TimeoutStopSec"][0]) > GRACE
    assert (worker["Type"], float(worker["WatchdogSec"][0]) > 4 * INTERVAL) == (["notify"], True)
    for unit in (api, worker):
        assert (unit["Restart"], unit["RestartPreventExitStatus"], unit["StartLimitIntervalSec"]) == (["on-failure"], ["2"], ["0"])
        assert unit["KillMode"] == ["mixed"]
