"""The benches run and print what they measured.

No test asserts a speed, because CI's machines are shared. The cost of the poll plan is the same on every machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench import work
from tests.support.pages import page, rows

ROOT = Path(__file__).parents[2]


def last_line(name: str, *options: str) -> dict[str, Any]:
    """Run a bench, and return its last line: one JSON object that names the bench and gives a positive ratio for each peer."""
    command = [sys.executable, "-m", f"bench.{name}", "--quick", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said["bench"] == name
    assert said["ratios"]
    assert all(isinstance(ratio, int | float) and ratio > 0 for ratio in said["ratios"].values())
    return said


@pytest.mark.parametrize("name", ["presign", "wire", "accept", "imports", "cold_start"])
def test_it_ends_with_ratios(name: str) -> None:
    """Each bench ends with one JSON object of ratios."""
    last_line(name)


def test_workers_are_compared() -> None:
    """Each worker that is installed, and only those, has a ratio, a peak of memory, and a share of a core that it takes while idle."""
    said = last_line("work")
    installed = {name for name, module in (("Celery", "celery"), ("Dramatiq", "dramatiq_sqs")) if find_spec(module)}
    assert set(said["ratios"]) == {"boto3", *installed}
    for measured in (said["memory_mib"], said["idle_percent"]):
        assert set(measured) == {"offpoll", *said["ratios"]}
        assert all(value >= 0 for value in measured.values())


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The bench says so, and how to install it."""
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "bench.workers.with_celery", raising=False)
    assert work.installed("celery") is None
    assert "celery is not measured" in capsys.readouterr().out


def test_the_poll_plan_is_nearly_the_best(tmp_path: Path) -> None:
    """For λ up to 3, the plan costs at most 1.05 times the optimum on average, 1.10 at worst, and less than any named client.

    With right estimates and all mixes together, a mean delay of 9 % at load 85 % takes at most 3.7 polls and has a p95 of at most 22 %.
    The real client polls as often, and is as late, as the formula says.
    """
    said = last_line("polling", "--plot", str(tmp_path / "polls.svg"))
    costs = said["over_optimum"]
    assert 1.0 <= costs["offpoll"] <= 1.05
    assert said["worst_over_optimum"]["offpoll"] <= 1.10
    peers = {"fixed 1 s", "fixed 2 s", "fixed 5 s", "fixed", "exponential", "google-api-core", "azure-core", "boto3 waiter"}
    assert set(costs) == {"offpoll", *peers}
    assert all(costs[peer] > costs["offpoll"] for peer in peers)
    for client, average, worst in rows(page("docs/protocol.md"), "<!-- over the optimum -->"):
        assert costs[client] == pytest.approx(float(average), rel=0.03)
        assert said["worst_over_optimum"][client] == pytest.approx(float(worst), rel=0.03)
    goal = said["goal"]["4 servers, all three, error 0 %"]
    assert goal["delay"] <= 0.09
    assert goal["polls"] <= 3.7
    assert goal["p95"] <= 0.22
    formula, counted = (said["end_to_end"][f"mixed, {name}"] for name in ("formula", "estimates right"))
    assert counted["polls"] == pytest.approx(formula["polls"], rel=0.15)
    assert counted["delay"] == pytest.approx(formula["delay"], rel=0.2)
    assert ElementTree.parse(tmp_path / "polls.svg").getroot().tag.endswith("svg")


def test_many_waits_are_counted() -> None:
    """The bench of `wait_all` reports the cost of a ticket, the requests in flight, and that no ticket was forgotten."""
    said = last_line("wait_all")
    assert 0 < said["in_flight"] <= said["cap"] < said["tickets"]
    assert said["forgotten"] == 0
    assert 0 < said["kib_per_wait"] < 64
    assert said["cpu_us_per_ticket"] > 0
