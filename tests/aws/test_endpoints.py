"""Endpoints and region, as the environment gives them. `test_configuration` and `test_partitions` compare them with botocore's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import trustme
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

from offpoll.aws.endpoints import AwsEndpoint, Endpoints, bucket_endpoint, ca_bundle, is_loopback
from offpoll.aws.profiles import find_region
from offpoll.errors import ConfigurationError
from offpoll.wiring import async_status_board


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's own profile is no part of the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))


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
    """If no variable gives the region, the profile does, as in every SDK."""
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
    """A service in a shell with a profile and no AWS_REGION finds its region, with or without botocore."""
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path), "OFFPOLL_BUCKET": "docs", "AWS_ACCESS_KEY_ID": "A"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "botocore", None)
        board = async_status_board(environ={**environ, "AWS_SECRET_ACCESS_KEY": "s"})
    assert "docs.s3.eu-north-1.amazonaws.com" in board.link("status/public/x").href


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


def test_an_invalid_endpoint_is_named() -> None:
    """The error says which settings may hold the URL."""
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        endpoints = Endpoints.from_environment({"AWS_REGION": "eu-west-1", variable: "127.0.0.1:4566"})
        with pytest.raises(ConfigurationError, match=rf"{variable}\b.*write it as"):
            endpoints.service("sqs")


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


@pytest.mark.parametrize(
    "bucket", ["offpoll", "off.poll", "Off-Poll", "off_poll", "a..b", "a.-b", "192.168.0.1", "o" * 63, "off-poll-1", "-ab", "ab-", "ab."]
)
@pytest.mark.parametrize("url", [None, "http://storage.example", "https://storage.example:9000"])
@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
def test_buckets_are_addressed_as_botocore_does(bucket: str, url: str | None, style: str) -> None:
    """A bucket is in the host only if botocore puts it there: a certificate for `*.s3.…` covers no dots, and http needs none."""
    endpoints = Endpoints(region="eu-west-1", overrides={"s3": url} if url else {})
    address, path = bucket_endpoint(endpoints.service("s3"), bucket=bucket, style=style)
    rules = EndpointProvider(Loader().load_service_model("s3", "endpoint-rule-set-1"), Loader().load_data("partitions"))
    force = style != "virtual" if url else style == "path"
    endpoint = {"Endpoint": url} if url else {}
    found = rules.resolve_endpoint(
        Region="eu-west-1", Bucket=bucket, ForcePathStyle=force, Accelerate=False, UseGlobalEndpoint=False, **endpoint
    )
    assert f"{address.origin}{path}".rstrip("/") == found.url


@pytest.mark.parametrize(
    "bucket", ["docs--use1-az4--x-s3", "docs--ol-s3", "docs--op-s3", "arn:aws:s3:eu-west-1:123456789012:accesspoint:docs"]
)
def test_buckets_of_other_kinds(bucket: str) -> None:
    """Directory buckets, aliases and ARNs have other hosts, which would be missed silently."""
    with pytest.raises(ConfigurationError, match=re.escape(bucket)):
        bucket_endpoint(Endpoints(region="eu-west-1", overrides={}).service("s3"), bucket=bucket)


def test_loopback() -> None:
    """This machine is reached directly, never through a proxy."""
    assert all(is_loopback(host) for host in ("127.0.0.1:4566", "localhost", "b.s3.localhost:80", "[::1]:80", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("169.254.169.254", "s3.amazonaws.com", "localhost.example.com", "10.0.0.1:80"))


def test_certificates(tmp_path: Path) -> None:
    """Certificates come from the file that the variable names. An unreadable file gives an error with its name, not a traceback."""
    file = tmp_path / "ca.pem"
    pem = trustme.CA().cert_pem.bytes()
    file.write_bytes(pem)
    assert ca_bundle({}) is None
    assert ca_bundle({"AWS_CA_BUNDLE": str(file)}) == pem
    assert ca_bundle({"AWS_CA_BUNDLE": "~/ca.pem", "HOME": str(tmp_path)}) == pem
    assert ca_bundle({"REQUESTS_CA_BUNDLE": "$HOME/ca.pem", "HOME": str(tmp_path)}) == pem
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {file}\n")
    assert ca_bundle({"AWS_CONFIG_FILE": str(tmp_path / "config"), "REQUESTS_CA_BUNDLE": "/none"}) == pem
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE=.*No such file"):
        ca_bundle({"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE=.*Is a directory"):
        ca_bundle({"AWS_CA_BUNDLE": str(tmp_path)})


BROKEN = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("written", ["", "\n", BROKEN, "<html>sign in</html>", "\x00\x80\xff", "KEY", "GOOD" + BROKEN])
def test_a_bundle_without_certificates(tmp_path: Path, written: str) -> None:
    """A file that holds no certificate, or a broken one, is refused before the first request, and named."""
    authority = trustme.CA()
    text = written.replace("KEY", authority.private_key_pem.bytes().decode()).replace("GOOD", authority.cert_pem.bytes().decode())
    (tmp_path / "ca.pem").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE=.*ca\.pem cannot be used"):
        ca_bundle({"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")})


@pytest.mark.parametrize("region", ["eu-west-1a", "Ireland", "eu_west_1", "euw1", "eu-west", "auto", "default"])
def test_regions_that_aws_has_not(region: str) -> None:
    """What is no region of AWS is refused at the start, but not where another store is set, whose regions have any names."""
    with pytest.raises(ConfigurationError, match=r"AWS_REGION.*not a region"):
        Endpoints.from_environment({"AWS_REGION": region}).service("s3")
    if region.replace("-", "").isalnum() and region.islower():
        store = {"AWS_REGION": region, "AWS_ENDPOINT_URL": "http://store:9000"}
        assert Endpoints.from_environment(store).service("s3").host == "store:9000"
