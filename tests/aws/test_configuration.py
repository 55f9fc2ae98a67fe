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

from offpoll.aws.configuration import Configuration
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
    assert LOADER.load_data("_retry")["retry"]["__default__"]["max_attempts"] == 5


@pytest.mark.parametrize("written", ["0", "-1", "three", "1.5", "²"])
def test_attempts_that_cannot_be_used(written: str) -> None:
    """A number that makes no sense is named."""
    with pytest.raises(ConfigurationError, match="AWS_MAX_ATTEMPTS"):
        _ = Configuration(environ={"AWS_MAX_ATTEMPTS": written}).attempts
