"""Who deploys and where: each way in which that can be wrong is told before anything else is asked."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.deploy_stubs import client

from offpoll import ConfigurationError
from offpoll.deploy import account
from offpoll.deploy.account import Account, speaking_to
from offpoll.errors import DependencyRefused, DependencyUnavailable


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No credentials and no region from this machine, nor from a metadata service."""
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


def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """STS says, in the region that was given."""
    answering(monkeypatch).add_response("get_caller_identity", {"Account": "123456789012"})
    found = Account.find(region="eu-west-1")
    assert (found.id, found.region) == ("123456789012", "eu-west-1")


def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every SDK reads it; AWS_REGION too, which not every one does."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        with monkeypatch.context() as here:
            here.setenv(name, "eu-north-1")
            answering(here).add_response("get_caller_identity", {"Account": "123456789012"})
            assert Account.find().region == "eu-north-1"


def test_no_region() -> None:
    """Said with an example."""
    with pytest.raises(ConfigurationError, match="no region: give --region, for example --region eu-west-1"):
        Account.find()


def test_no_such_region() -> None:
    """Before a name is looked up that nobody has."""
    with pytest.raises(ConfigurationError, match="there is no region 'europe'"):
        Account.find(region="europe")


def test_a_region_without_credentials() -> None:
    """Said with where they are looked for; no request is sent."""
    with pytest.raises(ConfigurationError, match="no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID"):
        Account.find(region="eu-west-1")


def test_no_such_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is told."""
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
def test_credentials_that_aws_does_not_take(monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    """Wrong keys, a region that the account has not enabled, an old session."""
    answering(monkeypatch).add_client_error("get_caller_identity", code, "no", http_status_code=403)
    with pytest.raises(ConfigurationError, match=why):
        Account.find(region="ap-east-1")


@pytest.mark.parametrize(("status", "error"), [(403, DependencyRefused), (503, DependencyUnavailable)])
def test_what_aws_says_is_passed_on(status: int, error: type[Exception]) -> None:
    """In its own words: a refusal, and an outage."""
    sqs, script = client("sqs")
    script.add_client_error("list_queues", "Code", "in its own words", http_status_code=status)
    with pytest.raises(error, match="SQS: Code: in its own words"), speaking_to("SQS"):
        sqs.list_queues()


def test_no_answer() -> None:
    """An endpoint that nobody listens at is an outage, not a traceback."""
    from botocore.exceptions import EndpointConnectionError

    with pytest.raises(DependencyUnavailable, match="Could not connect"), speaking_to("S3"):
        raise EndpointConnectionError(endpoint_url="https://s3")
