"""Endpoints, region and proxy, as the environment gives them."""

from __future__ import annotations

import sys
from pathlib import Path

import botocore.session
import pytest
from botocore.config import Config

from offpoll.aws.endpoints import AwsEndpoint, Endpoints, bucket_endpoint, ca_bundle, is_loopback, names_a_proxy
from offpoll.aws.profiles import find_region
from offpoll.errors import ConfigurationError
from offpoll.wiring import async_status_board


@pytest.mark.parametrize("service", ["s3", "sqs", "dynamodb", "sts"])
@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1", "ap-southeast-3"])
def test_standard_hosts_equal_botocores(service: str, region: str) -> None:
    """Without settings every service is where botocore would look for it."""
    config = Config(s3={"us_east_1_regional_endpoint": "regional"})
    client = botocore.session.Session().create_client(
        service, region_name=region, aws_access_key_id="a", aws_secret_access_key="b", config=config
    )
    assert Endpoints(region=region, overrides={}).service(service).origin == client.meta.endpoint_url


def test_region_variables() -> None:
    """An argument beats AWS_REGION, which beats AWS_DEFAULT_REGION. Without any, the error says what to set."""
    both = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    assert Endpoints.from_environment(both).region == "eu-west-1"
    assert Endpoints.from_environment({"AWS_DEFAULT_REGION": "us-east-1"}).region == "us-east-1"
    assert Endpoints.from_environment(both, region="eu-north-1").region == "eu-north-1"
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        Endpoints.from_environment({})
    with pytest.raises(ConfigurationError, match="not a region"):
        Endpoints.from_environment({"AWS_REGION": "evil.example.com/"})


def test_the_profiles_region(tmp_path: Path) -> None:
    """If no variable gives the region, the profile does, as in every SDK; without a file botocore is not asked."""
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n[profile dev]\nregion = sa-east-1\n[profile bare]\noutput = json\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    assert find_region(files) == "eu-north-1"
    assert find_region({**files, "AWS_PROFILE": "dev"}) == "sa-east-1"
    assert find_region({**files, "AWS_PROFILE": "dev", "AWS_DEFAULT_REGION": "us-east-1"}) == "us-east-1"
    assert find_region({**files, "AWS_PROFILE": "bare"}) is None
    assert find_region({"HOME": str(tmp_path)}) is None
    with pytest.raises(ConfigurationError, match="nope"):
        find_region({**files, "AWS_PROFILE": "nope"})


def test_connecting_reads_the_profiles_region(tmp_path: Path) -> None:
    """A service in a shell with a profile and no AWS_REGION finds its region; without botocore the error says what to set."""
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path), "OFFPOLL_BUCKET": "docs", "AWS_ACCESS_KEY_ID": "A"}
    board = async_status_board(environ={**environ, "AWS_SECRET_ACCESS_KEY": "s"})
    assert "docs.s3.eu-north-1.amazonaws.com" in board.link("status/public/x").href
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "botocore.session", None)
        with pytest.raises(ConfigurationError, match="set AWS_REGION"):
            async_status_board(environ={**environ, "AWS_SECRET_ACCESS_KEY": "s"})


def test_endpoint_variables() -> None:
    """A service's own variable beats the general one, and both can be switched off."""
    environ = {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9324/"}
    endpoints = Endpoints.from_environment(environ)
    assert endpoints.service("sqs").origin == "http://127.0.0.1:9324"
    assert endpoints.service("dynamodb").origin == "http://127.0.0.1:4566"
    ignoring = Endpoints.from_environment({**environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"})
    assert ignoring.service("sqs").origin == "https://sqs.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:4566", "ftp://host", "http://", "http://user:pw@host", "http://host?x=1", "http://host:nan"]
)
def test_invalid_endpoints(url: str) -> None:
    """An unusable endpoint is refused when it is read."""
    with pytest.raises(ConfigurationError):
        AwsEndpoint.parse(url)


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://s3.example.com", "https://s3.example.com", "s3.example.com"),
        ("http://localhost:80/", "http://localhost:80", "localhost"),
        ("http://localhost:443", "http://localhost:443", "localhost:443"),
        ("http://[::1]:4566", "http://[::1]:4566", "[::1]:4566"),
    ],
)
def test_host_header(url: str, origin: str, host: str) -> None:
    """The Host header has a port unless it is the scheme's default, as HTTP clients send it."""
    endpoint = AwsEndpoint.parse(url)
    assert (endpoint.origin, endpoint.host) == (origin, host)


def test_addressing_styles() -> None:
    """Virtual-host style is used on AWS; path style for custom endpoints and names that a wildcard certificate does not cover."""
    aws, custom = Endpoints(region="eu-west-1", overrides={}).service("s3"), AwsEndpoint.parse("http://127.0.0.1:4566")
    assert bucket_endpoint(aws, bucket="offpoll")[0].origin == "https://offpoll.s3.eu-west-1.amazonaws.com"
    assert bucket_endpoint(aws, bucket="off.poll") == (aws, "/off.poll/")
    assert bucket_endpoint(aws, bucket="offpoll", style="path") == (aws, "/offpoll/")
    assert bucket_endpoint(custom, bucket="offpoll") == (custom, "/offpoll/")
    named = bucket_endpoint(AwsEndpoint.parse("http://s3.localhost:8000"), bucket="offpoll", style="virtual")[0]
    assert (named.origin, named.host) == ("http://offpoll.s3.localhost:8000", "offpoll.s3.localhost:8000")
    for endpoint, bucket, style in ((custom, "offpoll", "virtual"), (aws, "", "auto"), (aws, "a/b", "auto"), (aws, "offpoll", "odd")):
        with pytest.raises(ConfigurationError):
            bucket_endpoint(endpoint, bucket=bucket, style=style)


def test_loopback() -> None:
    """This machine is reached directly, never through a proxy."""
    assert all(is_loopback(host) for host in ("127.0.0.1:4566", "localhost", "b.s3.localhost:80", "[::1]:80", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("169.254.169.254", "s3.amazonaws.com", "localhost.example.com", "10.0.0.1:80"))


def test_names_a_proxy() -> None:
    """Any of the three variables names a proxy, in either case, unless it is empty."""
    assert names_a_proxy({"https_proxy": "http://p"})
    assert names_a_proxy({"ALL_PROXY": "http://p"})
    assert not names_a_proxy({"HTTP_PROXY": "", "NO_PROXY": "x"})


def test_certificates(tmp_path: Path) -> None:
    """Certificates come from the file that the variable names. An unreadable file gives an error with its name, not a traceback."""
    file = tmp_path / "ca.pem"
    file.write_bytes(b"pem")
    assert ca_bundle({}) is None
    assert ca_bundle({"AWS_CA_BUNDLE": str(file)}) == b"pem"
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE=.*No such file"):
        ca_bundle({"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
