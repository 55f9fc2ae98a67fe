"""Where credentials come from: the chain of sources."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import EnvProvider
from tests.support.scripted_aws import DROP, Asked, Reply, Scripted, s3_error

from offpoll.aws.chain import find_credentials
from offpoll.aws.credentials import Credentials
from offpoll.aws.endpoints import Endpoints
from offpoll.aws.metadata import from_container
from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}
ANSWER = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-11-23T19:00:00Z"}
FOUND = Credentials(access_key="ASIA1", secret_key="s", session_token="t", expires_at=NOW + timedelta(hours=1))
STS = """<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><X><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2026-11-23T19:00:00Z</Expiration></Credentials></X></R>"""


async def chain(environ: Mapping[str, str], *replies: Reply, variable: str = "", path: str = "") -> tuple[Any, list[Asked]]:
    """Run the chain against a script at the URL in `variable`. Return the credentials or the error, and the requests."""
    async with Scripted(replies or [Reply(500)]) as server:
        given = {**environ, **({variable: server.origin + path} if variable else {})}
        endpoints = Endpoints(region="eu-west-1", overrides={"sts": server.origin})
        try:
            return await find_credentials(given, endpoints=endpoints, clock=lambda: NOW).get(), server.asked
        except OffpollError as error:
            return error, server.asked


def test_environment_variables(run: Run) -> None:
    """Keys in the environment beat every other source, and nothing is requested."""
    environ = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    found, asked = run(chain(environ, variable="AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    assert found == Credentials(access_key="AKIA", secret_key="s", session_token="t")
    assert asked == []


def test_the_old_name_of_the_session_token() -> None:
    """AWS_SECURITY_TOKEN is read too, in botocore's order."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}
    for tokens in ({"AWS_SECURITY_TOKEN": "old"}, {"AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"}, {"AWS_SESSION_TOKEN": "new"}):
        found = find_credentials({**keys, **tokens}, endpoints=Endpoints(region="eu-west-1", overrides={})).current()
        theirs = EnvProvider(environ={**keys, **tokens}).load()
        assert theirs is not None
        assert found.session_token == theirs.token


def test_environment_variables_can_be_used_at_once() -> None:
    """Keys in the environment can sign links before anything is awaited."""
    environ = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": "2026-11-23T19:00:00Z"}
    provider = find_credentials(environ, endpoints=Endpoints(region="eu-west-1", overrides={}))
    assert provider.current().expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_a_key(name: str) -> None:
    """One key without the other is a mistake, not a reason to try the next source."""
    with pytest.raises(ConfigurationError, match="only one is set"):
        find_credentials({name: "x"}, endpoints=Endpoints(region="eu-west-1", overrides={}))


def test_web_identity(run: Run, tmp_path: Path) -> None:
    """STS exchanges a token file and a role for credentials, in an unsigned request."""
    (tmp_path / "token").write_text("eyJ.token+/=\n")
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": "~/token", "HOME": str(tmp_path), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", **NO_METADATA}
    found, [asked] = run(chain(environ, Reply(200, STS.encode())))
    assert found == FOUND
    assert "authorization" not in asked.headers
    assert b"Action=AssumeRoleWithWebIdentity" in asked.body
    assert b"WebIdentityToken=eyJ.token%2B%2F%3D" in asked.body


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (s3_error(403, "AccessDenied"), ConfigurationError),
        (s3_error(503, "ServiceUnavailable"), DependencyUnavailable),
        (DROP, DependencyUnavailable),
    ],
)
def test_web_identity_refused(run: Run, tmp_path: Path, reply: Reply, error: type[OffpollError]) -> None:
    """A refusal by STS is for the operator to fix; no response is an outage."""
    (tmp_path / "token").write_text("x")
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", **NO_METADATA}
    found, _ = run(chain(environ, reply))
    assert isinstance(found, error)


def test_container_endpoint(run: Run, tmp_path: Path) -> None:
    """The container endpoint gets its token; a token file beats the variable."""
    (tmp_path / "token").write_text("from the file\n")
    environ = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "from the variable", **NO_METADATA}
    reply = Reply(200, json.dumps(ANSWER).encode())
    found, [asked] = run(chain(environ, reply, variable="AWS_CONTAINER_CREDENTIALS_FULL_URI", path="/v2/credentials"))
    assert found == FOUND
    assert (asked.target, asked.headers["authorization"]) == ("/v2/credentials", "from the variable")
    environ |= {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "$HOME/token", "HOME": str(tmp_path)}
    _, [asked] = run(chain(environ, reply, variable="AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    assert asked.headers["authorization"] == "from the file"


def test_container_relative_uri(run: Run) -> None:
    """A relative URI is relative to the container host."""

    async def ask() -> tuple[Credentials | None, str]:
        async with Scripted([Reply(200, json.dumps(ANSWER).encode())]) as server:
            found = await from_container({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}, host=server.origin)
            return found, server.asked[0].target

    assert run(ask()) == (FOUND, "/v2/x")


def test_container_endpoint_is_asked_again(run: Run) -> None:
    """A container endpoint that fails once, as while a task starts, is asked again."""
    found, asked = run(
        chain(NO_METADATA, Reply(500), DROP, Reply(200, json.dumps(ANSWER).encode()), variable="AWS_CONTAINER_CREDENTIALS_FULL_URI")
    )
    assert found == FOUND
    assert len(asked) == 3


@pytest.mark.parametrize("url", ["http://example.com/x", "http://169.254.169.254/x", "ftp://127.0.0.1/x", "http://10.0.0.1/x", "nonsense"])
def test_container_endpoint_elsewhere(run: Run, url: str) -> None:
    """Credentials are never fetched over plain HTTP from another machine."""
    found, _ = run(chain({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, **NO_METADATA}))
    assert isinstance(found, ConfigurationError)
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in str(found)


def test_container_token_with_a_line_break(run: Run) -> None:
    """A token with a line break cannot add another header."""
    environ = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nx: y", **NO_METADATA}
    found, asked = run(chain(environ, variable="AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    assert isinstance(found, ConfigurationError)
    assert asked == []


def test_instance_metadata(run: Run) -> None:
    """On EC2 the chain first opens a session (version 2), then reads the role and its credentials."""
    replies = [Reply(200, b"session"), Reply(200, b"my-role\n"), Reply(200, json.dumps({"Code": "Success", **ANSWER}).encode())]
    found, asked = run(chain({}, *replies, variable="AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    assert found == FOUND
    assert [(each.method, each.target) for each in asked] == [
        ("PUT", "/latest/api/token"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("GET", "/latest/meta-data/iam/security-credentials/my-role"),
    ]
    assert asked[0].headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
    assert [each.headers["x-aws-ec2-metadata-token"] for each in asked[1:]] == ["session", "session"]


@pytest.mark.parametrize("replies", [[Reply(403)], [DROP], [Reply(200, b"session"), Reply(404)]])
def test_nothing_found(run: Run, replies: list[Reply]) -> None:
    """If no source has credentials, the error says what to set."""
    found, _ = run(chain({}, *replies, variable="AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    assert isinstance(found, ConfigurationError)
    assert "AWS_ACCESS_KEY_ID" in str(found)
    assert "AWS_PROFILE" in str(found)


def test_metadata_can_be_disabled(run: Run) -> None:
    """With AWS_EC2_METADATA_DISABLED=true nothing asks the metadata service."""
    found, asked = run(chain(NO_METADATA, Reply(200, b"session"), variable="AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    assert isinstance(found, ConfigurationError)
    assert asked == []


def test_profile(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore reads a named profile."""
    (tmp_path / "credentials").write_text("[dev]\naws_access_key_id = AKIADEV\naws_secret_access_key = s\n")
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    environ = {"AWS_PROFILE": "dev", **files}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found, _ = run(chain({**environ, **NO_METADATA}))
    assert found == Credentials(access_key="AKIADEV", secret_key="s")


def test_profile_that_does_not_exist(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named profile that does not exist is a mistake, not a reason to try the next source."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    found, _ = run(chain({"AWS_PROFILE": "nope", **NO_METADATA}))
    assert isinstance(found, ConfigurationError)
    assert "nope" in str(found)
