"""The signer's role: assumed through STS, and used for links only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.scripted_aws import Reply, Scripted, s3_error

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire
from offpoll.errors import OffpollError

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
STS = """<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><X><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2026-11-23T19:00:00Z</Expiration></Credentials></X></R>"""


def test_signer_role(run: Run) -> None:
    """The assumed role signs links, and a write fetches its credentials on the way; this process's own credentials sign writes."""

    async def use() -> None:
        async with Scripted([Reply(200, STS.encode())]) as sts, Scripted([Reply(200, b"", {"ETag": '"e"'})]) as server:
            own = StaticCredentials(Credentials(access_key="AKIAOWN", secret_key="s"))
            wire = Wire(own, clock=lambda: NOW)
            signer = assumed_role(wire, endpoint=AwsEndpoint.parse(sts.origin), region="eu-west-1", role_arn="arn:aws:iam::1:role/reader")
            store = S3DocumentStore(wire, endpoint=AwsEndpoint.parse(server.origin), bucket="b", region="eu-west-1", signer=signer)
            await store.create("k", b"{}")
            link = store.sign("k", lifetime=7200.0)
            await wire.close()
            assert "Credential=AKIAOWN/" in server.asked[0].headers["authorization"]
            assert "X-Amz-Credential=ASIA1%2F" in link.href
            assert link.expires_at == NOW + timedelta(minutes=59)

    run(use())


def test_signer_role_that_cannot_be_assumed(run: Run) -> None:
    """If the role cannot be assumed, signing fails but writing works; the error names the role."""

    async def use() -> None:
        async with Scripted([s3_error(403, "AccessDenied")]) as sts, Scripted([Reply(200, b"", {"ETag": '"e"'})]) as server:
            wire = Wire(StaticCredentials(Credentials(access_key="AKIAOWN", secret_key="s")), clock=lambda: NOW)
            signer = assumed_role(wire, endpoint=AwsEndpoint.parse(sts.origin), region="eu-west-1", role_arn="arn:aws:iam::1:role/reader")
            store = S3DocumentStore(wire, endpoint=AwsEndpoint.parse(server.origin), bucket="b", region="eu-west-1", signer=signer)
            assert await store.create("k", b"{}") == "e"
            with pytest.raises(OffpollError, match="role/reader"):
                store.sign("k", lifetime=60.0)
            await wire.close()

    run(use())
