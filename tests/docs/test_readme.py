"""A reader who has only the README gets to a polled order of a handler of their own, with the commands that stand in it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support.pages import ROOT, Block, blocks, page

import offpoll
from offpoll.deploy import package

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
@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("jq"), reason="needs curl and jq, as the README says")
def test_the_readme_works_from_an_empty_directory(tmp_path: Path) -> None:
    """Each block verbatim, in the order in which it is read, in the two terminals that the README names.

    Three things differ. What needs a clone is left out. The network is out of reach of tests: `pip` finds offpoll's wheel in a folder, and
    what offpoll needs is this interpreter's own. If somebody else has port 8000, the reader takes the one that `dev` says.
    """
    with reader(tmp_path) as reading:
        for block in README:
            reading.play(block)
    assert reading.played == ["make", "pip", "orders.py", "dev", "curl", "client.py"]
    status, order = reading.said["curl"].split("\n", 1)
    assert (status, json.loads(order)) == ('"succeeded"', {"sku": "A1", "quantity": 2})
    *statuses, order = reading.said["client.py"].splitlines()
    assert (statuses[-1], ast.literal_eval(order)) == ("succeeded", {"sku": "A1", "quantity": 2})


class Terminal:
    """A shell that keeps what is typed into it: variables, an activated environment."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._limit = threading.Timer(PATIENCE, os.killpg, [self._shell.pid, signal.SIGKILL])
        self._limit.start()

    def type(self, line: str) -> str:
        """Type a line, and return what it prints. It must succeed."""
        said = self.type_until(f"{line}\nprintf '\\n<%d>\\n' $?", re.compile(r"<\d+>"))
        assert said.endswith("<0>\n"), (line, said)
        return said.removesuffix("<0>\n").strip()

    def type_until(self, line: str, text: re.Pattern[str]) -> str:
        """Type a line, and return what is printed up to the line with this text."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()
        said = ""
        for printed in self._shell.stdout:
            said += printed
            if text.search(printed):
                return said
        raise AssertionError(f"the terminal was closed:\n{said}")

    def close(self) -> None:
        """Press Ctrl-C, and close it."""
        self._limit.cancel()
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGINT)
        self._shell.communicate(timeout=PATIENCE)


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """Give a reader an empty directory and two terminals, and close them at the end."""
    keep = {"HOME", "LANG", "PATH", "PYTHONWARNINGS", "TMPDIR"}
    environ = {name: value for name, value in os.environ.items() if name in keep}
    environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(_wheels(folder.with_name("wheels"))), "PIP_NO_DEPS": "1"}
    with ExitStack() as stack:
        terminals = [Terminal(folder, environ) for _ in range(2)]
        for each in terminals:
            stack.callback(each.close)
        yield Reader(folder, *terminals)


class Reader:
    """Does with each block what the README says: saves it, or types it into one of the terminals."""

    def __init__(self, folder: Path, first: Terminal, second: Terminal) -> None:
        self._folder, self._first, self._second = folder, first, second
        self._port = "8000"
        self.played: list[str] = []
        self.said: dict[str, str] = {}

    def play(self, block: Block) -> None:
        """Play the next block."""
        code = block.code.replace(":8000", f":{self._port}")
        if block.file:
            (self._folder / block.file).write_text(code)
            self.played.append(block.file)
        elif block.how == "run":
            (named,) = re.findall(r"run\s+`([^`]+ (\S+\.py))`", page("README.md"))
            (self._folder / named[1]).write_text(code)
            self.said[named[1]] = self._second.type(named[0])
            self.played.append(named[1])
        elif code.startswith("make "):
            self.played.append("make")  # from a clone, which this folder is not
        elif code.startswith("offpoll dev"):
            said = self._first.type_until(code.strip(), re.compile("Ctrl-C ends everything"))
            (self._port,) = re.findall(r"  API http://127\.0\.0\.1:(\d+) ", said)
            self.played.append("dev")
        else:
            name = "pip" if "pip install" in code else "curl"
            terminal = self._first if name == "pip" else self._second
            self.said[name] = "\n".join(filter(None, (self._type(terminal, line) for line in code.strip().splitlines())))
            if name == "pip":
                _borrow(self._folder / ".venv")
            self.played.append(name)

    def _type(self, terminal: Terminal, line: str) -> str:
        """Type a line, again and again if it says until when."""
        until = re.search(r'# repeat until (".*")', line)
        end = time.monotonic() + PATIENCE
        while (said := terminal.type(line)) != (until[1] if until else said):
            assert time.monotonic() < end, (line, said)
            time.sleep(0.2)
        return said


def _wheels(folder: Path) -> Path:
    """Put offpoll's wheel into a folder. The one that functions get lacks what they do not run, such as the command line."""
    folder.mkdir()
    wheel = package._own_wheel(folder)
    (information,) = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" in name}
    source = Path(offpoll.__file__).parent
    with zipfile.ZipFile(wheel, "a") as archive:
        there = set(archive.namelist())
        for each in source.rglob("*"):
            name = Path("offpoll", each.relative_to(source)).as_posix()
            if each.is_file() and "__pycache__" not in each.parts and name not in there:
                archive.write(each, name)
        archive.writestr(f"{information}/entry_points.txt", "[console_scripts]\noffpoll = offpoll.cli.main:run\n")
    return folder


def _borrow(venv: Path) -> None:
    """Let an environment find the packages of this one, behind its own."""
    (ours,) = venv.glob("lib/python*/site-packages")
    (ours / "of_the_tests.pth").write_text("\n".join(each for each in sys.path if each.endswith("-packages")))
