"""Runs the command line as users do, in a fresh folder and with only the given variables, in this process or in a separate one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.servers import Server
from tests.support.stub_api import StubApi, stub_api

#: The smallest possible app.
SERVICE = """
from pydantic import BaseModel, Field
from offpoll import Offpoll, Operation
app = Offpoll()
class Order(BaseModel):
    sku: str = Field(examples=["A1"])
@app.operation("order")
async def create_order(order: Order, operation: Operation) -> dict:
    operation.progress(0.5, "half")
    return {"sku": order.sku}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app in `shop.py`."""
    (tmp_path / "shop.py").write_text(SERVICE)
    return tmp_path


@pytest.fixture
def api() -> Iterator[StubApi]:
    """An API with its store, on this machine; the test sets its responses."""
    with stub_api() as running:
        yield running


@pytest.fixture
def resources(ministack_server: Server) -> dict[str, str]:
    """The variables of a working deployment."""
    from offpoll import Settings
    from offpoll.cli.dev.resources import make_resources

    made = make_resources(ministack_server.origin, settings=Settings(), attempts=3, name=f"t{uuid.uuid4().hex[:12]}")
    return {**made.environ(), "OFFPOLL_SECRET": "s" * 32}


@pytest.fixture
def offpoll(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """Run a command to its end, in this process."""
    from offpoll.cli.main import main

    modules, handlers = set(sys.modules), list(logging.getLogger("offpoll.access").handlers)

    def run(*arguments: str, **given: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["offpoll", *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(os, "environ", environment(**given))
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    logging.getLogger("offpoll.access").handlers = handlers
    for name in ("shop", "broken", "empty"):
        if name not in modules:
            sys.modules.pop(name, None)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process, and kill it if the test leaves it running."""
    with ExitStack() as stack:

        def begin(*arguments: str, **given: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "offpoll.cli.main", *arguments]
            env = environment(**given)
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            stack.callback(_end, process)
            return process

        yield begin


def environment(**given: str) -> dict[str, str]:
    """Return this environment without the variables of any account or setting, plus the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200", "NO_COLOR": "1", **given}


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    if process.stdout is not None and not process.stdout.closed:
        process.communicate()
