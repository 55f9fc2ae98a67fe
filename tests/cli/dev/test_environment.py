"""The environment that `offpoll dev` writes: who can use it, who holds it, and which commands take it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offpoll.cli.dev.environment import EnvironmentFile, Ports, adopt, running_api
from offpoll.errors import ConfigurationError

Run = Callable[..., Any]

VARIABLES = {
    "OFFPOLL_BUCKET": "offpoll-documents",
    "OFFPOLL_QUEUE_URL": "http://127.0.0.1:4566/000000000000/offpoll-operations",
    "AWS_ACCESS_KEY_ID": "AKIA5",
    "AWS_SECRET_ACCESS_KEY": "a/b+c=",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_REGION": "eu-west-1",
}

ABOUT = "offpoll dev shop:app: process 1, http://127.0.0.1:8123"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and `.offpoll` in it."""
    (tmp_path / ".offpoll").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".offpoll"


def test_a_shell_and_docker_read_the_same(here: Path) -> None:
    """Values need no quotes, which docker would keep; a value that does is left out, and said."""
    file = EnvironmentFile.hold(here)
    try:
        assert file.write({**VARIABLES, "OFFPOLL_PUBLIC_URL": "http://x/$HOME a'b"}, about=ABOUT) == ["OFFPOLL_PUBLIC_URL"]
        assert file.path.stat().st_mode & 0o777 == 0o600
        shell = subprocess.run(
            ["env", "-i", "/bin/sh", "-c", "set -a; . .offpoll/env; set +a; exec env"], capture_output=True, text=True, check=True
        )
        assert VARIABLES.items() <= dict(line.split("=", 1) for line in shell.stdout.splitlines()).items()
        docker = dict(line.split("=", 1) for line in file.path.read_text().splitlines() if not line.startswith("#"))
        assert docker == VARIABLES
    finally:
        file.remove()
    assert list(here.iterdir()) == []


def test_one_at_a_time(here: Path) -> None:
    """A second `dev` in the folder is refused while the first one runs, and a file that is left over is taken over."""
    (here / "env").write_text("OFFPOLL_BUCKET=old\n")
    (here / "env").chmod(0o644)
    file = EnvironmentFile.hold(here)
    assert file.path.read_text() == ""
    assert file.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match=r"already runs with the folder .*--data"):
        EnvironmentFile.hold(here)
    file.remove()
    EnvironmentFile.hold(here).remove()


def adopted(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], str]:
    """Return what is added to an environment, and what is said."""
    after = dict(environ)
    adopt(after)
    return {name: value for name, value in after.items() if environ.get(name) != value}, capsys.readouterr().err


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_REGION": "us-east-1", "AWS_PAGER": ""},
        {"OFFPOLL_LEASE": "30"},
        {"OFFPOLL_BUCKET": "offpoll-documents"},
        {"AWS_PROFILE": ""},
    ],
    ids=str,
)
def test_it_is_found(here: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """In its folder and below, unless variables choose another store or account; the command says so."""
    file = EnvironmentFile.hold(here)
    file.write(VARIABLES, about=ABOUT)
    added, said = adopted(environ, capsys)
    assert {**environ, **added} == {**environ, **VARIABLES}
    assert said == f"offpoll: using the offpoll dev that runs here ({here / 'env'})\n"
    (here.parent / "below").mkdir()
    os.chdir(here.parent / "below")
    assert adopted(environ, capsys)[0] == added
    assert running_api() == "http://127.0.0.1:8123"
    assert "using the offpoll dev that runs here (http://127.0.0.1:8123)" in capsys.readouterr().err
    file.remove()
    assert adopted(environ, capsys) == ({}, "")


@pytest.mark.parametrize(
    "name",
    ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN", "OFFPOLL_BUCKET", "OFFPOLL_QUEUE_URL"],
)
def test_it_is_not_used(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that chooses another store or account decides, and the command says why."""
    file = EnvironmentFile.hold(here)
    file.write(VARIABLES, about=ABOUT)
    assert adopted({name: "another"}, capsys) == ({}, f"offpoll: the offpoll dev that runs here is not used, because {name} is set\n")
    file.remove()


def test_what_is_left_over_or_not_ready(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file whose `dev` was killed is named and not used; one that is still empty neither."""
    program = (
        "import os, sys; from pathlib import Path; from offpoll.cli.dev.environment import EnvironmentFile\n"
        f"EnvironmentFile.hold(Path({str(here)!r})).write({VARIABLES!r}, about={ABOUT!r}); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert (here / "env").exists()
    added, said = adopted({}, capsys)
    assert (added, "is left over from an offpoll dev that no longer runs" in said) == ({}, True)
    assert running_api() is None
    file = EnvironmentFile.hold(here)
    added, said = adopted({}, capsys)
    assert (added, "is not ready yet" in said) == ({}, True)
    file.remove()


@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_what_is_no_file(here: Path, what: str) -> None:
    """A folder from elsewhere may hold anything in the file's place: it is neither emptied nor read."""
    target, path = here.with_name("precious"), here / "env"
    target.write_text("kept")
    {"link": lambda: path.symlink_to(target), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[what]()
    with pytest.raises(ConfigurationError, match="remove it, or choose another folder"):
        EnvironmentFile.hold(here)
    assert (target.read_text(), running_api()) == ("kept", None)


def test_ports_are_kept(here: Path) -> None:
    """From run to run; a file that nobody wrote so is as none."""
    assert Ports.of(here) == Ports(api=0, aws=0)
    Ports(api=8000, aws=4566).keep(here)
    assert Ports.of(here) == Ports(api=8000, aws=4566)
    for text in (
        "",
        "[]",
        '{"api": "x", "aws": 1}',
        '{"api": null}',
        '{"api": Infinity, "aws": 1}',
        '{"api": 65536, "aws": -1}',
        "[" * 99_999,
    ):
        (here / "ports.json").write_text(text)
        assert Ports.of(here) == Ports()


@pytest.mark.ministack
def test_commands_take_it(offpoll: Run, folder: Path, resources: dict[str, str]) -> None:
    """`inspect` and `stats` use it without any variable, and what is in their output for scripts stays clean."""
    (folder / ".offpoll").mkdir()
    file = EnvironmentFile.hold(folder / ".offpoll")
    file.write(resources, about=ABOUT)
    try:
        shown = offpoll("stats", "shop:app", "--json")
        assert (shown.code, shown.out[0], "using the offpoll dev" in shown.err) == (0, "{", True)
        assert offpoll("inspect", "a" * 32).code == 1
        refused = offpoll("resubmit", "a" * 32, "shop:app")
        assert (refused.code, "There is no operation" in refused.err) == (1, True)
        assert offpoll("stats", "shop:app", OFFPOLL_BUCKET="another").code == 2
    finally:
        file.remove()
    refused = offpoll("submit", "order", "-d", "{}")
    assert (refused.code, "no offpoll dev runs in this folder" in refused.err) == (2, True)
    assert "name the kind too" in offpoll("submit", "http://127.0.0.1:9", "-d", "{}").err
