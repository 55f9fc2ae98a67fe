"""Profiles that give no credentials, in every way that they can: each is told in words, and nobody is asked for anything."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from offpoll.aws import profiles
from offpoll.aws.credentials import Credentials
from offpoll.aws.profiles import find_region, from_profile
from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

KEYS = {"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK", "SessionToken": "T"}
ROLE = "role_arn = arn:aws:iam::123456789012:role/x"


@pytest.fixture
def ask(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return the credentials, or the error, of the profile `a` of a config file."""

    def ask_for(config: str) -> Any:
        (tmp_path / "config").write_text(config)
        environ = {
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_PROFILE": "a",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        }
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {**environ, "AWS_MAX_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, value)
        try:
            return run(from_profile(environ))
        except OffpollError as error:
            return error

    return ask_for


def process(tmp_path: Path, code: str) -> str:
    """Return a profile whose credentials come from a program."""
    (tmp_path / "helper.py").write_text(f"import json, os, sys, time\n{code}\n")
    return f"[profile a]\nregion = eu-west-1\ncredential_process = {sys.executable} {tmp_path / 'helper.py'}\n"


@pytest.mark.parametrize(
    "code",
    [
        "print('token expired, log in again')",
        "pass",
        "print('[]')",
        "print('null')",
        "print('7')",
        "sys.stdout.buffer.write(bytes([255, 254]))",
        "sys.exit(3)",
        "sys.stderr.buffer.write(bytes([255])); sys.exit(1)",
        "os.kill(os.getpid(), 9)",
        *(
            f"print({json.dumps({**KEYS, name: value})!r})"
            for name, value in [("Version", 2), ("AccessKeyId", None), ("SecretAccessKey", "")]
        ),
        *(f"print({json.dumps({**KEYS, 'Expiration': value})!r})" for value in ("soon", "7", "2020-01-01T00:00:00Z")),
        *(
            f"print({json.dumps({key: value for key, value in KEYS.items() if key != name})!r})"
            for name in ("Version", "AccessKeyId", "SecretAccessKey")
        ),
        f"print({json.dumps({**KEYS, 'AccessKeyId': 'A K'})!r})",
    ],
)
def test_processes_that_fail(ask: Callable[[str], Any], tmp_path: Path, code: str) -> None:
    """Whatever a credential_process does instead of printing credentials, the error names the profile and its process."""
    got = ask(process(tmp_path, code))
    assert isinstance(got, ConfigurationError)
    assert "profile a" in str(got)
    assert "credential_process" in str(got)


@pytest.mark.parametrize("command", ["/nonexistent/helper", "/etc", "'unbalanced", "/etc/hostname"])
def test_processes_that_do_not_start(ask: Callable[[str], Any], command: str) -> None:
    """A command that cannot be started is named."""
    got = ask(f"[profile a]\ncredential_process = {command}\n")
    assert isinstance(got, ConfigurationError)
    assert "profile a" in str(got)


def test_a_process_without_a_terminal(ask: Callable[[str], Any], tmp_path: Path) -> None:
    """A credential_process gets no input and no terminal: it cannot ask for anything."""
    code = f"assert sys.stdin.read() == '' and os.getsid(0) == os.getpid()\nprint({json.dumps(KEYS)!r})"
    assert ask(process(tmp_path, code)) == Credentials(access_key="AK", secret_key="SK", session_token="T")


@pytest.mark.parametrize("below", ["", "[profile a]\n" + ROLE + "\nsource_profile = b\n"])
def test_a_process_that_hangs(ask: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    """A credential_process that hangs is ended with all that it started, also one that another profile is based on."""
    monkeypatch.setattr(profiles, "PROCESS_LIMIT", 0.5)
    code = "if os.fork() == 0:\n    time.sleep(600)\nopen('%s', 'w').write(str(os.getpid()))\ntime.sleep(600)" % (tmp_path / "pid")
    config = process(tmp_path, code)
    got = ask(below + config.replace("[profile a]", "[profile b]") if below else config)
    assert isinstance(got, DependencyUnavailable)
    assert "credential_process" in str(got)
    if (tmp_path / "pid").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_caller_that_gives_up(tmp_path: Path) -> None:
    """A program ends at once although a credential_process hangs, and the process ends with it."""

    async def give_up() -> None:
        environ = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "a"}
        (tmp_path / "config").write_text(process(tmp_path, "time.sleep(600)"))
        async with asyncio.timeout(2):
            await from_profile(environ)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            f"[profile a]\n{ROLE}\nsource_profile = b\nmfa_serial = arn:aws:iam::1:mfa/u\n"
            "[profile b]\naws_access_key_id = a\naws_secret_access_key = b\n",
            "MFA",
        ),
        (
            f"[profile a]\n{ROLE}\nsource_profile = b\n[profile b]\n{ROLE}\nsource_profile = c\nmfa_serial = arn:aws:iam::1:mfa/u\n"
            "[profile c]\naws_access_key_id = a\naws_secret_access_key = b\n",
            "MFA",
        ),
        (f"[profile a]\n{ROLE}\nsource_profile = b\n[profile b]\n{ROLE}\nsource_profile = a\n", "oop"),
        (f"[profile a]\n{ROLE}\nsource_profile = missing\n", "missing"),
        (f"[profile a]\n{ROLE}\n", "source_profile"),
        (f"[profile a]\n{ROLE}\ncredential_source = Nowhere\n", "Nowhere"),
        (f"[profile a]\n{ROLE}\nweb_identity_token_file = /nonexistent/token\n", "/nonexistent/token"),
        (
            "[profile a]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n[sso-session x]\n"
            "sso_region = eu-west-1\nsso_start_url = http://h\n",
            "aws sso login",
        ),
        ("[profile a]\nsso_start_url = http://h\nsso_account_id = 1\nsso_role_name = r\nsso_region = eu-west-1\n", "sso"),
        ("[profile a]\nsso_session = none\nsso_account_id = 1\nsso_role_name = r\n", "none"),
        ("[profile a]\naws_access_key_id = a\n", "aws_secret_access_key"),
        ("[profile b]\nregion = eu-west-1\n", "a"),
        ("no header\n", "pars"),
        ("[profile a]\nregion = x\n[profile a]\nregion = y\n", "pars"),
        ("[profile a\n", "pars"),
    ],
)
def test_profiles_that_cannot_be_used(
    ask: Callable[[str], Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, config: str, said: str
) -> None:
    """Each mistake in the files is the operator's, told with the profile's name; a code of an MFA device is never asked for."""
    got = ask(config)
    assert isinstance(got, ConfigurationError), got
    assert "profile a" in str(got)
    assert said in str(got)
    assert "MFA code" not in "".join(capfd.readouterr())
    assert "Traceback" not in caplog.text


def test_the_network_is_down(ask: Callable[[str], Any]) -> None:
    """A service that botocore cannot reach is an outage, not the operator's mistake."""
    got = ask(
        f"[profile a]\n{ROLE}\nregion = eu-west-1\nsource_profile = b\n[profile b]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    assert isinstance(got, DependencyUnavailable)


@pytest.mark.parametrize("kind", ["folder", "bytes", "secret"])
def test_files_that_cannot_be_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A shared file that is a folder, no text, or out of reach gives an error of ours, for credentials and for the region."""
    file = tmp_path / "config"
    if kind == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"[profile a]\nregion = \xff\n" if kind == "bytes" else b"[profile a]\nregion = x\n")
    if kind == "secret":
        file.chmod(0)
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
    for name, value in (environ := {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file), "AWS_PROFILE": "a"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError):
        run(from_profile(environ))
    with pytest.raises(ConfigurationError):
        find_region(environ)
