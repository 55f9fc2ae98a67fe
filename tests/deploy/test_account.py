"""The account and region of a deployment: each mistake is reported before any other request."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from tests.support.stubbed_account import client

from offpoll import ConfigurationError
from offpoll.deploy import account
from offpoll.deploy.account import Account, speaking_to
from offpoll.errors import DependencyRefused, DependencyUnavailable


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Remove this machine's credentials and region, and its metadata service."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def answering(monkeypatch: pytest.MonkeyPatch) -> Any:
    sts, script = client("sts")
    monkeypatch.setattr(account, "_client", lambda session, service, region: sts)
    return script


def test_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """STS names the account, in the given region."""
    answering(monkeypatch).add_response("get_caller_identity", {"Account": "123456789012"})
    found = Account.find(region="eu-west-1")
    assert (found.id, found.region) == ("123456789012", "eu-west-1")


def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region comes from the environment, as in every SDK, and also from AWS_REGION, which not every SDK reads."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        with monkeypatch.context() as here:
            here.setenv(name, "eu-north-1")
            answering(here).add_response("get_caller_identity", {"Account": "123456789012"})
            assert Account.find().region == "eu-north-1"


def test_no_region() -> None:
    """The error gives an example."""
    with pytest.raises(ConfigurationError, match="no region is set: pass --region, for example --region eu-west-1"):
        Account.find()


def test_no_such_region() -> None:
    """An unknown region is refused before its host name is looked up."""
    with pytest.raises(ConfigurationError, match="there is no region 'europe'"):
        Account.find(region="europe")


def test_a_region_without_credentials() -> None:
    """The error says where credentials are looked for; no request is sent."""
    with pytest.raises(ConfigurationError, match="no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID"):
        Account.find(region="eu-west-1")


def test_no_such_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the profile."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match=r"\(nobody\).*AWS_PROFILE"):
        Account.find(region="eu-west-1")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("InvalidClientTokenId", r"does not know these credentials in ap-east-1 .* has enabled that region"),
        ("SignatureDoesNotMatch", "does not know these credentials"),
        ("ExpiredToken", "have expired"),
    ],
)
def test_credentials_that_aws_refuses(monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    """Wrong keys, a region that the account has not enabled, or an old session."""
    answering(monkeypatch).add_client_error("get_caller_identity", code, "no", http_status_code=403)
    with pytest.raises(ConfigurationError, match=why):
        Account.find(region="ap-east-1")


@pytest.mark.parametrize(("status", "error"), [(403, DependencyRefused), (503, DependencyUnavailable)])
def test_awss_words_are_passed_on(status: int, error: type[Exception]) -> None:
    """A refusal and an outage are reported in AWS's own words."""
    sqs, script = client("sqs")
    script.add_client_error("list_queues", "Code", "in its own words", http_status_code=status)
    with pytest.raises(error, match="SQS: Code: in its own words"), speaking_to("SQS"):
        sqs.list_queues()


def test_no_response() -> None:
    """An endpoint where nothing listens is an outage, not a traceback."""
    from botocore.exceptions import EndpointConnectionError

    with pytest.raises(DependencyUnavailable, match="Could not connect"), speaking_to("S3"):
        raise EndpointConnectionError(endpoint_url="https://s3")


@pytest.mark.parametrize("command", ["/nonexistent/helper", "/bin/echo log in again", "/bin/true", "/bin/echo []", "/bin/false"])
def test_a_broken_credential_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, command: str) -> None:
    """A profile whose credentials cannot be had is the operator's to correct; nothing that botocore's libraries raise gets out."""
    (tmp_path / "profiles").write_text(f"[profile a]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "profiles"))
    monkeypatch.setenv("AWS_PROFILE", "a")
    with pytest.raises(ConfigurationError, match="profile a gives no credentials"):
        Account.find(region="eu-west-1")


def test_nobody_can_type_a_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, a profile that needs a code of an MFA device is refused, and no code is asked for."""
    keys = "aws_access_key_id = a\naws_secret_access_key = b\n"
    role = "role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = b\nmfa_serial = arn:aws:iam::1:mfa/u\n"
    (tmp_path / "profiles").write_text(f"[profile a]\n{role}[profile b]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "profiles"))
    monkeypatch.setenv("AWS_PROFILE", "a")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(ConfigurationError, match="MFA device"):
        Account.find(region="eu-west-1")
    assert "MFA code" not in "".join(capfd.readouterr())
