"""A reader who has only the README gets to a polled order of a handler of their own, with the commands that stand in it."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import metadata
from pathlib import Path

import pytest
from tests.support.pages import ROOT, Block, blocks, page
from tests.support.servers import free_port

README = [block for block in blocks("bash", "python") if block.page == ROOT / "README.md"]

#: Words of the whole file, code and tables included: five minutes.
MOST_WORDS = 900

#: What the README says of its first screen: 40 lines of a terminal.
SCREEN = 40

PATIENCE = 90.0


def test_it_is_short() -> None:
    """`wc -w README.md` is at most 900."""
    assert len(page("README.md").split()) <= MOST_WORDS


def test_the_two_commands_are_in_the_first_screen() -> None:
    """With what a fresh Debian needs for them, and the Makefile has both."""
    first = "\n".join(page("README.md").splitlines()[:SCREEN])
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", page("Makefile"), re.MULTILINE) for target in targets)
    assert "apt install" in first


def test_service_and_client_are_as_short_as_they_are_said_to_be() -> None:
    """Ten lines of service, five of client; blank lines are not counted."""
    lengths = [len([line for line in block.code.splitlines() if line.strip()]) for block in README if block.language == "python"]
    assert lengths == [10, 5]


@pytest.mark.ministack
def test_the_readme_works_from_an_empty_directory(tmp_path: Path) -> None:
    """Each block in the order in which it is read. Only the port is another, and the polls are repeated with a pause, as the README says.

    The network is out of reach of tests: what `pip install` would bring is this interpreter's own environment.
    """
    port = free_port()
    with Terminals(tmp_path, port).ended() as reader:
        for block in README:
            reader.play(block)
    assert reader.played == ["make", "pip", "orders.py", "dev", "curl", "client.py"]
    ordered, status, order = reader.said["curl"]
    assert (ordered, status, json.loads(order)) == ("", '"succeeded"', {"sku": "A1", "quantity": 2})
    *statuses, order = reader.said["client.py"]
    assert (statuses[-1], ast.literal_eval(order)) == ("succeeded", {"sku": "A1", "quantity": 2})


class Terminals:
    """The reader's terminals: one for what runs until Ctrl-C, one for all else, both in one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.played: list[str] = []
        self.said: dict[str, list[str]] = {}
        self._running: subprocess.Popen[bytes] | None = None
        keep = {"HOME", "LANG", "PYTHONWARNINGS", "TMPDIR"}
        self._environ = {name: value for name, value in os.environ.items() if name in keep}
        self._environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    @contextmanager
    def ended(self) -> Iterator[Terminals]:
        """Press Ctrl-C at the end."""
        try:
            yield self
        finally:
            if self._running is not None:
                self._running.send_signal(signal.SIGINT)
                self._running.wait(PATIENCE)

    def play(self, block: Block) -> None:
        """Do what the reader does with a block: save it, install, start, or type it line by line."""
        code = block.code.replace(":8000", f":{self.port}")
        if block.file == "orders.py":
            (self.folder / block.file).write_text(code)
            self.played.append(block.file)
        elif block.how == "run":
            (self.folder / "client.py").write_text(code)
            self.played.append("client.py")
            self.said["client.py"] = self._type("python client.py").splitlines()
        elif code.startswith("make "):
            self.played.append("make")  # from a clone, which this folder is not
        elif "pip install" in code:
            self.played.append("pip")
            extras = re.findall(r"(?:offpoll|\.)\[(\w+)\]", code)
            assert set(extras) <= set(metadata("offpoll").get_all("Provides-Extra") or [])
        elif code.startswith("offpoll dev"):
            self.played.append("dev")
            self._start(f"{code.strip()} --port {self.port}")
        else:
            self.played.append("curl")
            self.said["curl"] = list(self._curl(code))

    def _curl(self, code: str) -> Iterator[str]:
        address, *lines = code.strip().splitlines()
        for line in lines:
            until = re.search(r'# repeat until (".*")', line)
            yield self._type(f"{address}\n{line}", until=until[1] if until else "")

    def _type(self, command: str, *, until: str = "") -> str:
        """Return what a command prints, repeated until it prints what was told."""
        end = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", command],
                check=False,
                cwd=self.folder,
                env=self._environ,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            if not until or done.stdout.strip() == until:
                return done.stdout.strip()
            assert time.monotonic() < end, (command, done.stdout)
            time.sleep(0.2)

    def _start(self, command: str) -> None:
        with (self.folder / "dev.log").open("wb") as log:
            self._running = subprocess.Popen(command.split(), cwd=self.folder, env=self._environ, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._running.poll() is None, (self.folder / "dev.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False
