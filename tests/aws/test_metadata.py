"""The platform's credentials: what its metadata services answer, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.utils
import pytest
from tests.support.scripted_aws import DROP, HANG, Asked, Reply, Scripted

from offpoll.aws import metadata
from offpoll.aws.credentials import Credentials
from offpoll.aws.metadata import from_container, from_instance
from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

LATER = (datetime.now(UTC) + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
FIELDS = {"Code": "Success", "AccessKeyId": "AK", "SecretAccessKey": "SK", "Token": "T", "Expiration": LATER}
SESSION, ROLE, KEYS = Reply(200, b"session"), Reply(200, b"role1"), Reply(200, json.dumps(FIELDS).encode())
DENIED = Reply(200, json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role role1"}).encode())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "PAUSE", 0.0)


async def instance(replies: list[Reply], **environ: str) -> tuple[Any, list[Asked]]:
    """Ask a service that follows a script. Return an access key, None or the error, and the requests."""
    async with Scripted(replies) as server:
        patience = "1" if HANG in replies else "10"
        given = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.origin, "AWS_METADATA_SERVICE_TIMEOUT": patience, **environ}
        try:
            found = await from_instance(given)
        except OffpollError as error:
            return error, server.asked
        return found and found.access_key, server.asked


@pytest.mark.parametrize(
    ("replies", "attempts", "found"),
    [
        ([SESSION, ROLE, KEYS], 1, "AK"),
        ([Reply(404), ROLE, KEYS], 1, "AK"),
        ([Reply(403), ROLE, KEYS], 1, "AK"),
        ([Reply(405), ROLE, KEYS], 1, "AK"),
        ([HANG, ROLE, KEYS], 1, "AK"),
        ([Reply(500), SESSION, ROLE, KEYS], 2, "AK"),
        ([SESSION, Reply(503), ROLE, KEYS], 2, "AK"),
        ([SESSION, ROLE, Reply(200, b"{half"), KEYS], 2, "AK"),
        ([SESSION, ROLE, Reply(200, b""), DROP, KEYS], 3, "AK"),
        ([DROP, DROP, SESSION, ROLE, KEYS], 3, "AK"),
        ([Reply(400)], 1, None),
        ([Reply(403)], 1, None),
        ([DROP], 2, None),
        ([Reply(200, b"<html>\nsign in")], 1, None),
        ([SESSION, Reply(404)], 1, None),
        ([Reply(500)], 2, "answered HTTP status 500"),
        ([SESSION, Reply(401)], 1, "answered HTTP status 401"),
        ([SESSION, ROLE, Reply(500)], 2, "answered HTTP status 500"),
        ([SESSION, ROLE, DROP], 1, "gave no answer"),
        ([SESSION, ROLE, Reply(200, b"{half")], 2, "answered HTTP status 200: {half"),
        ([SESSION, ROLE, Reply(200, b"[]")], 1, "cannot be read"),
        ([SESSION, ROLE, Reply(200, b"[" * 100_000)], 1, "gave|answered"),
        ([SESSION, ROLE, Reply(200, b"{}")], 1, "without an access key"),
        ([SESSION, ROLE, DENIED], 1, "AssumeRoleUnauthorizedAccess: EC2 cannot"),
        ([SESSION, ROLE, Reply(200, json.dumps({**FIELDS, "Expiration": 7}).encode())], 1, "cannot be read"),
        ([SESSION, ROLE, Reply(200, json.dumps({**FIELDS, "Token": "a\r\nb"}).encode())], 1, "line break"),
    ],
)
def test_instance_metadata(run: Run, replies: list[Reply], attempts: int, found: str | None) -> None:
    """Each request is tried as often as the variable says; what finds credentials in botocore finds them here, and the rest is told."""
    got, _ = run(instance(replies, AWS_METADATA_SERVICE_NUM_ATTEMPTS=str(attempts)))
    if found is None or found == "AK":
        assert got == found
        return
    assert isinstance(got, DependencyUnavailable | ConfigurationError)
    assert any(part in str(got) for part in found.split("|"))


@pytest.mark.parametrize(
    "replies", [[SESSION, ROLE, KEYS], [Reply(404), ROLE, KEYS], [Reply(500), SESSION, ROLE, KEYS], [SESSION, Reply(404)]]
)
@pytest.mark.parametrize("attempts", [1, 2])
def test_botocore_finds_the_same(run: Run, replies: list[Reply], attempts: int) -> None:
    """Where botocore finds credentials, they are found with the same requests."""

    async def theirs() -> tuple[Any, list[Asked]]:
        import asyncio

        async with Scripted(replies) as server:
            fetcher = botocore.utils.InstanceMetadataFetcher(
                num_attempts=attempts, config={"ec2_metadata_service_endpoint": server.origin}, env={}
            )
            found = await asyncio.to_thread(fetcher.retrieve_iam_role_credentials)
            return found.get("access_key"), server.asked

    expected, their_requests = run(theirs())
    got, our_requests = run(instance(replies, AWS_METADATA_SERVICE_NUM_ATTEMPTS=str(attempts)))
    if expected:
        assert got == expected
        assert [(each.method, each.target) for each in our_requests] == [(each.method, each.target) for each in their_requests]
    else:
        assert got is None or isinstance(got, OffpollError)


def test_version_1_can_be_forbidden(run: Run) -> None:
    """With AWS_EC2_METADATA_V1_DISABLED no request goes without a session."""
    got, asked = run(instance([Reply(404), ROLE, KEYS], AWS_EC2_METADATA_V1_DISABLED="true"))
    assert (got, len(asked)) == (None, 1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_METADATA_SERVICE_TIMEOUT", "soon"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "-1"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "nan"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "0"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1.5"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "many"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[::1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://host:99999"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5"),
    ],
)
def test_wrong_variables_of_the_instance(run: Run, variable: str, value: str) -> None:
    """A wrong value of a variable is refused by its name."""
    got, asked = run(instance([SESSION], **{variable: value}))
    assert isinstance(got, ConfigurationError)
    assert variable in str(got)
    assert asked == []


async def container(replies: list[Reply], environ: Mapping[str, str] | None = None, path: str = "/creds") -> tuple[Any, list[Asked]]:
    async with Scripted(replies) as server:
        given = {"HOME": "/nonexistent", "AWS_CONTAINER_CREDENTIALS_FULL_URI": server.origin + path, **(environ or {})}
        try:
            found = await from_container(given, host=server.origin)
        except OffpollError as error:
            return error, server.asked
        return found, server.asked


@pytest.mark.parametrize(
    ("replies", "said", "requests"),
    [
        ([Reply(503), DROP, KEYS], "AK", 3),
        ([Reply(429), KEYS], "AK", 2),
        ([Reply(500, b"no")], "HTTP status 500: no", 3),
        ([DROP], "gave no answer", 3),
        ([Reply(400, b"AccessDeniedException: no association")], "no association", 1),
        ([Reply(200, b"<html>")], "cannot be read", 1),
        ([Reply(200, b"null")], "cannot be read", 1),
        ([DENIED], "AssumeRoleUnauthorizedAccess", 1),
    ],
)
def test_container(run: Run, replies: list[Reply], said: str, requests: int) -> None:
    """A container endpoint that passes is asked three times; then the error has its status and its words."""
    got, asked = run(container(replies))
    assert len(asked) == requests
    if said == "AK":
        assert isinstance(got, Credentials)
        assert got.extensible
    else:
        assert isinstance(got, DependencyUnavailable)
        assert said in str(got)


@pytest.mark.parametrize(
    "value", ["http://[::1", "http://127.0.0.1:99999/x", "http://127.0.0.1/a b", "https:///x", "http://evil@127.0.0.1/", ""]
)
def test_addresses_that_are_none(run: Run, value: str) -> None:
    """A container endpoint's address that is no URL is refused by the variable's name."""
    full = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": value}
    relative = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": value or "@evil.example.com/x"}
    for environ in (full, relative) if value else (relative,):
        got, asked = run(container([KEYS], environ))
        assert isinstance(got, ConfigurationError)
        assert "_URI" in str(got)
        assert asked == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a\nb"])
def test_token_files_that_hold_none(run: Run, tmp_path: Path, content: bytes | None) -> None:
    """A token file that is missing, a folder or no text is the operator's to correct."""
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    for path in (tmp_path / "token", tmp_path):
        got, _ = run(container([KEYS], {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)}))
        assert isinstance(got, ConfigurationError)
