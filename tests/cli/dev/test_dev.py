"""`offpoll dev`, as a user runs it: every part in a process, and nothing left at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.process_watch import ProcessWatch, command_line
from tests.support.servers import free_port

pytestmark = pytest.mark.ministack

Start = Callable[..., subprocess.Popen[str]]

PATIENCE = 90.0


def test_once_shows_an_operation_and_leaves_nothing(start: Start, folder: Path) -> None:
    """Exit code 0, a two-line summary, every host that was asked, and neither a process nor a port left."""
    port = free_port()
    process = start("dev", "shop:app", "--once", "--port", str(port))
    group = ProcessWatch()
    output = group.read_to_end(process)
    assert process.returncode == 0, output
    assert len(re.findall("^API requests: 2$", output, re.MULTILINE)) == 1, output
    polls = re.findall("^Polls to the object store: ([0-9]+)$", output, re.MULTILINE)
    assert len(polls) == 1
    emulator = re.search("object store (http://127.0.0.1:([0-9]+))", output)
    assert emulator is not None
    asked = re.findall(r"GET +200 +object store +(127.0.0.1:\d+) ", output)
    assert asked == [f"127.0.0.1:{emulator[2]}"] * int(polls[0])
    assert len(re.findall(f"(POST +202|GET +200) +API +127.0.0.1:{port} ", output)) == 2
    assert '"sku": "A1"' in output
    assert "X-Amz-" not in output
    group.assert_gone(ports=[port, int(emulator[2])])
    assert (folder / ".offpoll" / "secret").stat().st_mode & 0o777 == 0o600
    assert (folder / ".offpoll" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_all_of_it(start: Start, number: int) -> None:
    """A terminate or kill signal leaves neither process nor port."""
    port = free_port()
    process = start("dev", "shop:app", "--no-example", "--port", str(port))
    group = ProcessWatch()
    group.read_until(process, "Ctrl-C ends everything")
    group.see(process.pid)
    assert len(group.pids) == 4  # itself, the embedded AWS, API, worker
    process.send_signal(number)
    process.wait(PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    group.assert_gone(ports=[port])


@pytest.mark.parametrize("name", ["serve", "work", "ministack"])
def test_a_child_that_dies_ends_all_of_it(start: Start, name: str) -> None:
    """The output names the child and its exit code; nothing is left, and the exit code is not 0."""
    port = free_port()
    process = start("dev", "shop:app", "--no-example", "--port", str(port))
    group = ProcessWatch()
    group.read_until(process, "Ctrl-C ends everything")
    group.see(process.pid)
    os.kill(next(pid for pid in group.pids if name in command_line(pid) and pid != process.pid), signal.SIGKILL)
    output = group.read_to_end(process)
    assert process.returncode == 1
    assert "ended by itself with exit code -9" in output
    group.assert_gone(ports=[port])


def test_an_app_without_an_example_is_told_how_to_add_one(start: Start, folder: Path) -> None:
    """Nothing is submitted, and with --once that is a failure, so that a script notices."""
    (folder / "shop.py").write_text(
        "from offpoll import Offpoll\napp = Offpoll()\n@app.operation('order')\ndef order(value: int) -> int:\n    return value\n"
    )
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1, output
    assert "No example to submit" in output
    assert "examples" in output


def test_an_example_that_fails_is_a_failure(start: Start, folder: Path) -> None:
    """`--once` exits with 1 if the operation did not succeed."""
    shop = folder / "shop.py"
    shop.write_text(shop.read_text().replace("return {", "from offpoll import Fail; raise Fail('sold_out', 'No.'); return {"))
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1
    assert "sold_out" in output


def test_a_lifespan_that_fails_ends_it(start: Start, folder: Path) -> None:
    """The output has the reason, and nothing hangs."""
    shop = folder / "shop.py"
    shop.write_text(
        shop.read_text().replace("app = Offpoll()", "def lifespan(app): raise RuntimeError('no table')\napp = Offpoll(lifespan=lifespan)")
    )
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1
    assert "no table" in output
    assert "ended by itself" in output


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("jq"), reason="needs curl and jq")
def test_the_printed_commands_work(start: Start) -> None:
    """The printed commands can be pasted, and need no client."""
    process = start("dev", "shop:app", "--port", "0")
    output = ProcessWatch().read_until(process, "Ctrl-C ends everything")
    lines = [line.strip() for line in output.splitlines() if re.match(r"  (API=|curl )", line)]
    assert len(lines) == 3
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    status, _, order = ran.stdout.partition("\n")
    assert status in ('"queued"', '"running"', '"succeeded"')
    assert json.loads(order) == {"sku": "A1"}
