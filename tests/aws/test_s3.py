"""How the document store reads S3's responses. The contract suite tests what the store does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.support.scripted_aws import DROP, Asked, Reply, Scripted, s3_error

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore, encryption_headers
from offpoll.aws.wire import Wire
from offpoll.errors import (
    ConfigurationError,
    DependencyRefused,
    DependencyUnavailable,
    DocumentChanged,
    DocumentExists,
    OffpollError,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CREDENTIALS = Credentials(access_key="AKIAEXAMPLE", secret_key="secret")
OK = Reply(200, b"{}", {"ETag": '"e1"'})


async def store(
    replies: Sequence[Reply], use: Callable[[S3DocumentStore], Coroutine[Any, Any, Any]], **options: Any
) -> tuple[Any, list[Asked]]:
    """Use a document store against a script. Return its result or error, and the requests."""
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(CREDENTIALS), random=lambda: 0.0)
        documents = S3DocumentStore(wire, endpoint=AwsEndpoint.parse(server.origin), bucket="b", region="eu-west-1", **options)
        try:
            return await use(documents), server.asked
        except OffpollError as error:
            return error, server.asked
        finally:
            await wire.close()


def test_hidden_key_reads_as_missing(run: Run) -> None:
    """Without s3:ListBucket AWS answers 403 AccessDenied for a missing key: the store returns None and raises nothing."""
    result, asked = run(store([s3_error(403, "AccessDenied")], lambda s: s.read("k")))
    assert result is None
    assert len(asked) == 1


def test_lost_response_of_a_create(run: Run) -> None:
    """If the response to a create is lost, its retry meets its own document: DocumentExists, which tells callers to read again."""
    result, asked = run(store([DROP, s3_error(412, "PreconditionFailed")], lambda s: s.create("k", b"1")))
    assert isinstance(result, DocumentExists)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (409, "ConcurrentModification"), (404, "NoSuchKey")],
)
def test_replace_that_met_another_state(run: Run, status: int, code: str) -> None:
    """Another etag, a concurrent write and a deleted document all raise DocumentChanged."""
    result, asked = run(store([s3_error(status, code)], lambda s: s.replace("k", b"1", etag="e0")))
    assert isinstance(result, DocumentChanged)
    assert asked[0].headers["if-match"] == "e0"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (s3_error(404, "NoSuchBucket"), "bucket b does not exist in region eu-west-1: set OFFPOLL_BUCKET"),
        (s3_error(403, "InvalidAccessKeyId"), "AWS_ACCESS_KEY_ID"),
        (s3_error(403, "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY"),
        (s3_error(403, "RequestTimeTooSkewed"), "clock of this machine"),
        (s3_error(403, "AccessDenied"), "grant s3:GetObject and s3:PutObject"),
        (s3_error(301, "PermanentRedirect", **{"x-amz-bucket-region": "us-west-2"}), "it is in region us-west-2, not eu-west-1"),
        (s3_error(400, "AuthorizationHeaderMalformed"), "another region"),
        (Reply(403, b"<html>a proxy's page</html>"), "a proxy's page"),
        (Reply(403, b'<!DOCTYPE x [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>'), "DOCTYPE"),
        (Reply(403), "HTTP status 403"),
    ],
)
def test_refusals_say_what_to_do(run: Run, reply: Reply, says: str) -> None:
    """A refusal is DependencyRefused, with the vendor's words and advice for the operator."""
    result, asked = run(store([reply], lambda s: s.create("k", b"1")))
    assert isinstance(result, DependencyRefused)
    assert says in str(result)
    assert len(asked) == 1


def test_a_response_without_etag(run: Run) -> None:
    """A response that S3 cannot have sent counts as an outage."""
    result, _ = run(store([Reply(200, b"welcome")], lambda s: s.create("k", b"1")))
    assert isinstance(result, DependencyUnavailable)
    assert "ETag" in str(result)


@pytest.mark.parametrize("key", ["a/../b", "./a", "a/."])
def test_keys_that_clients_would_rewrite(run: Run, key: str) -> None:
    """A key with a part that URL parsers remove is refused before anything is sent."""
    result, asked = run(store([OK], lambda s: s.create(key, b"1")))
    assert isinstance(result, ConfigurationError)
    assert asked == []


def test_etags_travel_without_quotes(run: Run) -> None:
    """Etags are returned without quotes, as Ceph needs them back."""
    result, asked = run(store([OK], lambda s: s.create("k", b"1")))
    assert result == "e1"
    assert asked[0].headers["if-none-match"] == "*"


KMS_DENIES = "User: arn:aws:sts::123456789012:assumed-role/api is not authorized to perform: kms:Decrypt on the resource"
KMS_REPLY = Reply(403, f"<Error><Code>AccessDenied</Code><Message>{KMS_DENIES}</Message></Error>".encode())


def test_a_key_that_may_not_be_used_is_no_missing_document(run: Run) -> None:
    """A read that KMS refuses is said; without kms:Decrypt a document would otherwise look as if it were not there."""
    result, _ = run(store([KMS_REPLY], lambda s: s.read("k")))
    assert isinstance(result, DependencyRefused)
    assert "grant kms:Decrypt" in str(result)


def test_every_put_asks_for_the_encryption(run: Run) -> None:
    """Creates and replaces name the encryption, reads do not, and all of them name the bucket's owner. Links name neither."""
    headers = encryption_headers("aws:kms", kms_key_id="alias/documents", bucket_key=True)

    async def use(documents: S3DocumentStore) -> str:
        await documents.create("k", b"1")
        await documents.replace("k", b"2", etag="e1")
        await documents.read("k")
        return documents.sign("k", lifetime=60.0).href

    href, (created, replaced, read) = run(store([OK], use, encryption=headers, owner="123456789012"))
    for asked in (created, replaced):
        assert {name: asked.headers[name] for name in headers} == headers
        assert set(headers) <= set(asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";"))
    assert not set(headers) & set(read.headers)
    assert {asked.headers["x-amz-expected-bucket-owner"] for asked in (created, replaced, read)} == {"123456789012"}
    assert "X-Amz-SignedHeaders=host&" in href


def test_without_encryption_no_header_is_sent(run: Run) -> None:
    """Stores that know no encryption see no trace of it."""
    _, (created,) = run(store([OK], lambda s: s.create("k", b"1"), encryption=encryption_headers("")))
    assert not [name for name in created.headers if name.startswith("x-amz-") and name not in {"x-amz-date", "x-amz-content-sha256"}]
