"""AWS's variables and shared files lead to botocore's hosts, or to an error that names the setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offpoll.aws.configuration import Configuration, expanded, profile_name, shared_files
from offpoll.aws.endpoints import Endpoints, bucket_endpoint
from offpoll.errors import ConfigurationError

LOADER = Loader()
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}
CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "s3": ("get_object", {"Bucket": "docs", "Key": "k"}),
    "sqs": ("get_queue_attributes", {"QueueUrl": "https://elsewhere.example/1/q"}),
    "dynamodb": ("get_item", {"TableName": "t", "Key": {"id": {"S": "x"}}}),
    "sts": ("assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "offpoll"}),
}

CONFIG = """
[default]
region = eu-central-1

[profile urls]
region = eu-west-1
endpoint_url = http://127.0.0.1:4566

[profile services]
region = eu-west-1
endpoint_url = http://127.0.0.1:4566
services = mine

[services mine]
s3 =
  endpoint_url = http://127.0.0.1:9000
dynamodb =
  endpoint_url = http://127.0.0.1:8000

[profile nothing]
region = eu-west-1
services = missing

[profile "two words"]
region = sa-east-1

[profile ignoring]
region = eu-west-1
endpoint_url = http://127.0.0.1:4566
ignore_configured_endpoint_urls = true

[profile fips]
region = us-gov-west-1
use_fips_endpoint = true

[profile dual]
region = us-east-2
use_dualstack_endpoint = true

[profile s3dual]
region = us-east-2
s3 =
  use_dualstack_endpoint = true

[profile path]
region = eu-west-1
s3 =
    addressing_style = path
    payload_signing_enabled = false
    max_concurrent_requests = 20

[profile virtual]
region = eu-west-1
endpoint_url = http://storage.example
s3 =
    addressing_style = virtual

[profile account]
region = eu-west-1
aws_access_key_id = AKIA
aws_secret_access_key = s
aws_account_id = 123456789012

[profile regional]
region = us-east-1
sts_regional_endpoints = regional
s3 =
    us_east_1_regional_endpoint = regional

[profile global]
region = us-east-1
s3_us_east_1_regional_endpoint = legacy

[profile nestedglobal]
region = us-east-1
s3 =
    us_east_1_regional_endpoint = legacy

[profile accelerate]
region = eu-west-1
s3 =
    use_accelerate_endpoint = true
"""
PROFILES = (
    "urls",
    "services",
    "nothing",
    "two words",
    "ignoring",
    "fips",
    "dual",
    "s3dual",
    "path",
    "virtual",
    "regional",
    "global",
    "nestedglobal",
    "accelerate",
    "shared",
)
CREDENTIALS = "".join(f"[{name}]\naws_access_key_id = AKIA\naws_secret_access_key = s\n" for name in ("default", *PROFILES))
CREDENTIALS += "region = ap-south-1\n"
HERE = "http://127.0.0.1:7000"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the shared files, and an environment without AWS's variables."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    (tmp_path / ".aws" / "credentials").write_text(CREDENTIALS)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class CaughtError(Exception):
    """Ends a botocore call before anything is sent."""


def botocores(service: str) -> str:
    """Return the URL of botocore's request in this process's environment, without its query."""
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    client = session.create_client(service)
    caught: list[str] = []

    def catch(request: Any, **_: Any) -> None:
        caught.append(request.url)
        raise CaughtError

    client.meta.events.register_first("before-send", catch)
    verb, parameters = CALLS[service]
    with pytest.raises(CaughtError):
        getattr(client, verb)(**parameters)
    parts = urlsplit(caught[0])
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def ours(service: str, environ: Mapping[str, str]) -> str:
    endpoints = Endpoints.from_environment(environ)
    found = endpoints.service(service)
    if service != "s3":
        return f"{found.origin}{found.path or '/'}"
    address, path = bucket_endpoint(found, bucket="docs", style=endpoints.bucket_style)
    return f"{address.origin}{path}k"


#: Variables on top of the files, and whether we may refuse instead (botocore follows settings that offpoll does not).
SITUATIONS: list[Mapping[str, str]] = [
    {},
    {"AWS_DEFAULT_REGION": "us-west-2"},
    *({"AWS_PROFILE": name} for name in (*PROFILES, "missing")),
    {"AWS_DEFAULT_PROFILE": "dual"},
    {"AWS_PROFILE": "urls", "AWS_DEFAULT_PROFILE": "dual"},
    {"AWS_PROFILE": "services", "AWS_ENDPOINT_URL": HERE},
    {"AWS_PROFILE": "services", "AWS_ENDPOINT_URL_S3": HERE},
    {"AWS_PROFILE": "services", "AWS_ENDPOINT_URL_SQS": HERE},
    {"AWS_PROFILE": "urls", "AWS_ENDPOINT_URL_DYNAMODB": HERE},
    {"AWS_PROFILE": "urls", "AWS_ENDPOINT_URL_STS": f"{HERE}/prefix"},
    {"AWS_PROFILE": "urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_PROFILE": "ignoring", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
    {"AWS_ENDPOINT_URL": HERE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-1"},
    {"AWS_USE_FIPS_ENDPOINT": "True", "AWS_DEFAULT_REGION": "ca-central-1"},
    {"AWS_USE_FIPS_ENDPOINT": "false", "AWS_PROFILE": "fips"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-1"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": HERE},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "cn-north-1"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_ENDPOINT_URL_S3": HERE},
    {"AWS_USE_DUALSTACK_ENDPOINT": "false", "AWS_PROFILE": "dual"},
    {"AWS_DEFAULT_REGION": "us-east-1", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"},
    {"AWS_DEFAULT_REGION": "us-east-1", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"},
    {"AWS_DEFAULT_REGION": "us-east-2", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"},
    {"AWS_DEFAULT_REGION": "us-east-2", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "odd"},
    {"AWS_STS_REGIONAL_ENDPOINTS": "regional"},
    {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"},
    {"AWS_STS_REGIONAL_ENDPOINTS": "odd"},
    {**KEYS, "AWS_ACCOUNT_ID": "123456789012"},
    {**KEYS, "AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
    {**KEYS, "AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"},
    {**KEYS, "AWS_ACCOUNT_ID": "123456789012", "AWS_DEFAULT_REGION": "us-gov-west-1"},
    {**KEYS, "AWS_ACCOUNT_ID": "123456789012", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {**KEYS, "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"},
    {**KEYS, "AWS_ACCOUNT_ID_ENDPOINT_MODE": "odd"},
    {"AWS_ACCOUNT_ID": "123456789012"},
    {"AWS_PROFILE": "account"},
    {**KEYS, "AWS_PROFILE": "account"},
    {"AWS_ENDPOINT_DISCOVERY_ENABLED": "true"},
    {"AWS_ENDPOINT_DISCOVERY_ENABLED": "false"},
    {"AWS_RETRY_MODE": "adaptive"},
    {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "7", "AWS_DEFAULTS_MODE": "standard"},
    {"AWS_DEFAULT_REGION": "fips-us-east-1"},
    {"AWS_DEFAULT_REGION": "us-east-1-fips"},
    {"AWS_DEFAULT_REGION": "aws-global"},
    {"AWS_DEFAULT_REGION": "not a region"},
]


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda given: ",".join(f"{k[4:]}={v}" for k, v in given.items()) or "none")
@pytest.mark.filterwarnings("ignore")
def test_each_service_is_where_botocore_looks(
    service: str, situation: Mapping[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes to botocore's URL, or the error names a setting of this situation. What botocore refuses, we refuse."""
    for name, value in situation.items():
        monkeypatch.setenv(name, value)
    refusal, got = None, ""
    try:
        got = ours(service, {**situation, "HOME": str(home)})
    except ConfigurationError as error:
        refusal = str(error)
    if refusal is not None:
        assert any(name in refusal for name in (*situation, *situation.values(), "AWS_REGION"))
        return
    if "us-east-1" in got and service == "s3" and "legacy" not in situation.values() and "global" not in str(situation):
        monkeypatch.setenv("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT", "regional")  # offpoll's one deviation: no global host unless asked for
    try:
        want = botocores(service)
    except BotoCoreError as error:
        pytest.fail(f"botocore refuses ({error}), but we take {got}")
    assert got == want


@pytest.mark.parametrize(
    ("situation", "named"),
    [
        ({"AWS_PROFILE": "accelerate"}, "use_accelerate_endpoint = true in the profile accelerate"),
        ({"AWS_PROFILE": "missing"}, "missing"),
        ({"AWS_PROFILE": "nothing"}, r"\[services missing\]"),
        ({"AWS_USE_FIPS_ENDPOINT": "yes"}, "AWS_USE_FIPS_ENDPOINT=yes"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "1"}, "AWS_USE_DUALSTACK_ENDPOINT=1"),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "on"}, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=on"),
        ({"AWS_ENDPOINT_DISCOVERY_ENABLED": "true"}, "AWS_ENDPOINT_DISCOVERY_ENABLED=true"),
        ({"AWS_RETRY_MODE": "adaptive"}, "AWS_RETRY_MODE=adaptive"),
        ({**KEYS, "AWS_ACCOUNT_ID": "x/y"}, "AWS_ACCOUNT_ID"),
        ({**KEYS, "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, "AWS_ACCOUNT_ID_ENDPOINT_MODE=required"),
        ({"AWS_DEFAULT_REGION": "fips-us-east-1"}, "AWS_USE_FIPS_ENDPOINT=true"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_named(home: Path, situation: Mapping[str, str], named: str) -> None:
    """Nothing that changes where requests go is ignored: the error quotes it as its user wrote it."""
    with pytest.raises(ConfigurationError, match=named):
        Endpoints.from_environment({**situation, "HOME": str(home)})


def test_the_old_global_host_of_sts_is_refused_where_it_is_needed(home: Path) -> None:
    """Only a process that asks STS minds the setting."""
    endpoints = Endpoints.from_environment({"HOME": str(home), "AWS_STS_REGIONAL_ENDPOINTS": "legacy"})
    assert endpoints.service("s3").host == "s3.eu-central-1.amazonaws.com"
    with pytest.raises(ConfigurationError, match="AWS_STS_REGIONAL_ENDPOINTS=legacy"):
        endpoints.service("sts")


@pytest.mark.parametrize(
    ("variables", "attempts"),
    [({}, None), ({"AWS_MAX_ATTEMPTS": "7"}, 7), ({"AWS_RETRY_MODE": "legacy"}, 5), ({"AWS_RETRY_MODE": "standard"}, None)],
)
def test_attempts(variables: Mapping[str, str], attempts: int | None) -> None:
    """AWS_MAX_ATTEMPTS counts the first try too; the mode `legacy` has botocore's five."""
    assert Configuration(environ=variables).attempts == attempts


@pytest.mark.parametrize("written", ["0", "-1", "three", "1.5", "²"])
def test_attempts_that_cannot_be_used(written: str) -> None:
    """A number that makes no sense is named."""
    with pytest.raises(ConfigurationError, match="AWS_MAX_ATTEMPTS"):
        _ = Configuration(environ={"AWS_MAX_ATTEMPTS": written}).attempts


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
