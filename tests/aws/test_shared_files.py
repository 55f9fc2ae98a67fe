"""The shared files, their paths and the profile, as botocore reads them."""

from __future__ import annotations

import os
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offpoll.aws.configuration import Configuration, expanded, profile_name, shared_files
from offpoll.errors import ConfigurationError

NAMES = st.sampled_from(
    ["default", "profile a", 'profile "b c"', "profile default", "a", "services s", "sso-session x", "profile", "profile a b"]
)
LINES = st.sampled_from(
    [
        "region = eu-west-1",
        "Endpoint_URL=http://x",
        "services = s",
        "s3 =\n  endpoint_url = http://y\n  a=b",
        "# no",
        "x: y",
        "s3 = z",
        "b =",
    ]
)
SECTIONS = st.lists(st.tuples(NAMES, st.lists(LINES, max_size=4)), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(config=SECTIONS, credentials=SECTIONS, name=st.sampled_from(["", "a", "b c", "default", "c"]))
def test_files_are_read_as_botocore_reads_them(
    tmp_path: Path, config: list[tuple[str, list[str]]], credentials: list[tuple[str, list[str]]], name: str
) -> None:
    """Whatever the files hold, the profile's keys and its services are botocore's, or both refuse."""
    environ = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": "~/config", "AWS_SHARED_CREDENTIALS_FILE": f"{tmp_path}/credentials"}
    for file, sections in (("config", config), ("credentials", credentials)):
        (tmp_path / file).write_text("".join(f"[{title}]\n" + "".join(f"{line}\n" for line in lines) for title, lines in sections))
    session = botocore.session.Session(profile=name or None)
    session.set_config_variable("config_file", f"{tmp_path}/config")
    session.set_config_variable("credentials_file", f"{tmp_path}/credentials")
    try:
        profile = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(profile["services"]) if "services" in profile else {}
    except BotoCoreError:
        services = None
    if not services and services != {}:
        with pytest.raises(ConfigurationError):
            Configuration.load(environ | ({"AWS_PROFILE": name} if name else {}))
        return
    found = Configuration.load(environ | ({"AWS_PROFILE": name} if name else {}))
    assert (found.profile, found.services) == (profile, services)


@pytest.mark.parametrize(
    "path",
    ["~/a", "$HOME/a", "${HOME}/a", "~", "/a/~", "$MISSING/a", "${MISSING}", "$HOME$HOME", "~nobody-here/a", "a", "~/$NAME", "$", "%HOME%"],
)
def test_paths_are_expanded_as_botocore_does(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables first, then `~`; what is unknown stays."""
    environ = {"HOME": "/home/me", "NAME": "x"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert expanded(path, environ) == os.path.expanduser(os.path.expandvars(path))


def test_without_home_the_system_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without HOME, as cron and some containers start it, has the home of its user's entry."""
    monkeypatch.delenv("HOME", raising=False)
    assert shared_files({})[1] == os.path.expanduser("~/.aws/config")
    assert shared_files({"HOME": "/"})[1] == "/.aws/config"


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is named and broken is an error with its path; a missing one, or a home that may not be entered, is none."""
    for content in ("[default\n", "[default]\ns3 =\n  endpoint_url\n", "no section\n", "[a]\n[a]\n"):
        (tmp_path / "config").write_text(content)
        with pytest.raises(ConfigurationError, match=f"{tmp_path}/config cannot be read"):
            Configuration.load({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")})
    (tmp_path / "config").write_bytes(b"[default]\nregion = \xff\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Configuration.load({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")})
    assert Configuration.load({"HOME": str(tmp_path / "config"), "AWS_CONFIG_FILE": str(tmp_path)}).profile == {}


def test_the_profiles_order_is_botocores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two names botocore takes AWS_DEFAULT_PROFILE's."""
    for name, value in (both := {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"}).items():
        monkeypatch.setenv(name, value)
    assert profile_name(both) == botocore.session.Session().profile
