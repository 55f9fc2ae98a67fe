"""Which errors pass and which are somebody's fault: every error that AWS models for our calls, and what other stores and queues answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any
from zlib import crc32

import botocore.session
import pytest
from botocore.loaders import Loader
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from tests.support.scripted_aws import Reply, Scripted, json_error, s3_error

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.dynamodb import DynamoRecords
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.faults import parse_fault
from offpoll.aws.retry import is_throttle, is_transient
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyRefused, OffpollError
from offpoll.queue import Delivery, Envelope

Run = Callable[[Coroutine[Any, Any, Any]], Any]

#: The calls that offpoll makes.
CALLS = {
    "s3": ["PutObject", "GetObject"],
    "sqs": [
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "GetQueueAttributes"),
    ],
    "dynamodb": ["GetItem", "UpdateItem", "Query"],
    "sts": ["AssumeRole", "AssumeRoleWithWebIdentity"],
}

#: Modelled errors that pass by themselves.
PASSING = {
    *("RequestThrottled", "KmsThrottled", "OverLimit"),
    *("ProvisionedThroughputExceededException", "RequestLimitExceeded", "InternalServerError", "ThrottlingException"),
    *("ReplicatedWriteConflictException", "TransactionConflictException", "IDPCommunicationError"),
}

#: Modelled errors that stay until somebody changes something.
LASTING = {
    *("InvalidRequest", "InvalidWriteOffset", "TooManyParts", "EncryptionTypeMismatch", "NoSuchKey", "InvalidObjectState"),
    *("InvalidMessageContents", "UnsupportedOperation", "QueueDoesNotExist", "InvalidSecurity", "InvalidAddress", "InvalidIdFormat"),
    *("KmsDisabled", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired", "KmsAccessDenied", "KmsInvalidKeyUsage"),
    *("TooManyEntriesInBatchRequest", "EmptyBatchRequest", "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "InvalidBatchEntryId"),
    *("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidAttributeName"),
    *("ResourceNotFoundException", "ConditionalCheckFailedException", "ItemCollectionSizeLimitExceededException"),
    *("MalformedPolicyDocument", "PackedPolicyTooLarge", "RegionDisabledException", "ExpiredTokenException"),
    *("IDPRejectedClaim", "InvalidIdentityToken"),
}


def modelled() -> Iterator[tuple[str, bool]]:
    """Yield each error that botocore's models list for our calls, and whether the model says that it can be retried."""
    session = botocore.session.Session()
    for service, calls in CALLS.items():
        model = session.get_service_model(service)
        for shape in (shape for call in calls for shape in model.operation_model(call).error_shapes):
            yield str(shape.metadata.get("error", {}).get("code", shape.name)), "retryable" in shape.metadata


def retried_by_botocore() -> Iterator[tuple[int, str]]:
    """Yield each status and code that botocore's retry modes repeat, for the services that we call."""
    data = Loader().load_data("_retry")
    policies = [data["retry"]["__default__"]["policies"], *(data["retry"][name]["__default__"]["policies"] for name in CALLS)]
    for policy in (policy for each in policies for policy in each.values()):
        applies = data["definitions"].get(policy.get("$ref"), policy)["applies_when"]
        if "http_status_code" in applies.get("response", {}):
            yield applies["response"]["http_status_code"], applies["response"].get("service_error_code", "")
    for code in (*ThrottledRetryableChecker()._throttled_error_codes, *TransientRetryableChecker()._transient_error_codes):
        yield 400, code
    for status in TransientRetryableChecker()._transient_status_codes:
        yield status, ""


def test_every_modelled_error_is_classified() -> None:
    """Each error passes or lasts. One that AWS adds makes this fail, and so does one that its model calls retryable."""
    found = dict(modelled())
    assert found.keys() == PASSING | LASTING
    assert not PASSING & LASTING
    assert {code for code in found if is_transient(400, code)} == PASSING
    assert {code for code, retryable in found.items() if retryable} <= PASSING


def test_what_botocore_retries_is_retried() -> None:
    """No status or code that any of botocore's retry modes repeats is taken for somebody's fault."""
    assert [each for each in retried_by_botocore() if not is_transient(*each)] == []
    assert all(is_throttle(400, code) for code in ThrottledRetryableChecker()._throttled_error_codes if "Transaction" not in code)


@pytest.mark.parametrize(
    ("status", "code", "passes", "throttled"),
    [
        # MinIO
        *((503, code, True, True) for code in ("SlowDown", "SlowDownRead", "SlowDownWrite")),
        *((503, code, True, False) for code in ("XMinioServerNotInitialized", "OperationTimedOut", "ServiceUnavailable")),
        (499, "ClientDisconnected", True, False),
        (507, "XMinioStorageFull", True, False),
        (400, "XMinioAdminBucketQuotaExceeded", False, False),
        # Ceph
        (503, "SlowDown", True, True),
        (500, "UnknownError", True, False),
        (403, "QuotaExceeded", False, False),
        # R2, and Cloudflare in front of it
        (429, "TooManyRequests", True, True),
        (400, "ClientDisconnect", True, False),
        *((status, "", True, False) for status in (520, 521, 522, 523, 524, 530)),
        # Google Cloud Storage's XML API
        (429, "rateLimitExceeded", True, True),
        (408, "RequestTimeout", True, False),
        (403, "UserProjectAccountProblem", False, False),
        # SeaweedFS, OSS, Wasabi
        (503, "ErrTooManyRequest", True, True),
        (503, "ErrRequestBytesExceed", True, True),
        (503, "DownloadTrafficRateLimitExceeded", True, True),
        (503, "TemporarilyUnavailable", True, False),
        # S3 with KMS, and KMS behind SQS and DynamoDB
        (400, "KMS.ThrottlingException", True, True),
        (500, "KMS.KMSInternalException", True, False),
        (400, "KMS.KeyUnavailableException", True, False),
        (400, "KMS.DisabledException", False, False),
        # queues: ElasticMQ, LocalStack, ministack
        (400, "AWS.SimpleQueueService.OverLimit", True, True),
        (400, "AWS.SimpleQueueService.NonExistentQueue", False, False),
        (501, "InternalFailure", False, False),
        (505, "", False, False),
        # DynamoDB's own and Alternator's limits
        (400, "LimitExceededException", True, True),
        (400, "RequestLimitExceeded", True, True),
        (400, "ValidationException", False, False),
        # damage on the way
        *((400, code, True, False) for code in ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody")),
        # a proxy's or load balancer's pages
        *((status, "", True, False) for status in (500, 502, 503, 504, 509, 408)),
        (429, "", True, True),
        *((status, "", False, False) for status in (400, 401, 403, 405, 411, 413, 414, 431)),
    ],
)
def test_what_others_answer(status: int, code: str, passes: bool, throttled: bool) -> None:
    """Stores and queues with AWS's protocols, and what stands before them, have limits and codes of their own."""
    assert (is_transient(status, code), is_throttle(status, code)) == (passes, throttled)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"m"}', {}, "ThrottlingException"),
        (b'\xef\xbb\xbf {"__type":"com.amazonaws.sqs#RequestThrottled"}', {}, "RequestThrottled"),
        (b'{"code":"ThrottlingException:http://internal/"}', {}, "ThrottlingException"),
        (b'{"message":"m"}', {"x-amzn-errortype": "ThrottlingException:http://internal/"}, "ThrottlingException"),
        (b"", {"x-amzn-errortype": "com.amazon.coral#RequestThrottled"}, "RequestThrottled"),
        (b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>', {}, "SlowDown"),
        (b'\r\n<?xml version="1.0"?>\n<Error><Code>SlowDown</Code></Error>', {}, "SlowDown"),
        (b"\xef\xbb\xbf<Error xmlns='http://s3'><Code> SlowDown </Code></Error>", {}, "SlowDown"),
        (b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>", {}, "Throttling"),
        (b"<html><body><h1>503 Service Unavailable</h1></body></html>", {}, ""),
        (b"<html><br></html>", {}, ""),
        (b"too many in-flight requests", {}, ""),
        (b"", {}, ""),
        (b'{"__type":7}', {}, ""),
    ],
)
def test_formats(body: bytes, headers: Mapping[str, str], code: str) -> None:
    """An error's code is found in JSON, XML and headers; a page has none, and its status decides."""
    assert parse_fault(503, headers, body).code == code


DELIVERY = Delivery(envelope=Envelope(body="", attributes={}), receipt="r")


async def ask(replies: list[Reply], use: Callable[[Wire, AwsEndpoint], Coroutine[Any, Any, Any]]) -> tuple[Any, int]:
    """Make a call against a script. Return its result or error, and how many requests it took. Backoffs last 0 s."""
    async with Scripted(replies) as server:
        wire = Wire(StaticCredentials(Credentials(access_key="AKIA", secret_key="s")), random=lambda: 0.0)
        try:
            return await use(wire, AwsEndpoint.parse(server.origin)), len(server.asked)
        except OffpollError as error:
            return error, len(server.asked)
        finally:
            await wire.close()


def _queue(wire: Wire, endpoint: AwsEndpoint) -> SqsQueue:
    return SqsQueue(wire, endpoint=endpoint, url=f"{endpoint.origin}/1/q", region="eu-west-1")


def _table(wire: Wire, endpoint: AwsEndpoint) -> DynamoRecords:
    return DynamoRecords(wire, endpoint=endpoint, table="records", region="eu-west-1")


def _store(wire: Wire, endpoint: AwsEndpoint) -> S3DocumentStore:
    return S3DocumentStore(wire, endpoint=endpoint, bucket="docs", region="eu-west-1")


def _role(wire: Wire, endpoint: AwsEndpoint) -> Coroutine[Any, Any, Any]:
    return assumed_role(wire, endpoint=endpoint, region="eu-west-1", role_arn="arn:aws:iam::123456789012:role/r").get()


LONE: Mapping[str, tuple[Callable[[Wire, AwsEndpoint], Coroutine[Any, Any, Any]], Reply]] = {
    "GetItem": (lambda w, e: _table(w, e).get("0" * 32), Reply(200, b"{}")),
    "SendMessage": (lambda w, e: _queue(w, e).send(Envelope(body="x", attributes={})), Reply(200, b'{"MessageId":"m"}')),
    "ReceiveMessage": (lambda w, e: _queue(w, e).receive(limit=1, wait=0.0), Reply(200, b"{}")),
    "DeleteMessage": (lambda w, e: _queue(w, e).delete(DELIVERY), Reply(200, b"{}")),
    "PutObject": (lambda w, e: _store(w, e).create("status/k", b"{}"), Reply(200, b"", {"ETag": '"e"'})),
    "GetObject": (lambda w, e: _store(w, e).read("status/k"), Reply(200, b"{}", {"ETag": '"e"'})),
    "AssumeRole": (
        _role,
        Reply(200, b"<x><AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration></x>"),
    ),
}


@pytest.mark.parametrize("verb", LONE)
@pytest.mark.parametrize("code", sorted(PASSING))
@pytest.mark.parametrize("status", [400, 403, 409])
def test_a_lone_call_repeats_what_passes(run: Run, verb: str, code: str, status: int) -> None:
    """A passing error costs a retry, whatever its status, and the call succeeds."""
    use, good = LONE[verb]
    error = s3_error(status, code) if verb in {"PutObject", "GetObject", "AssumeRole"} else json_error(status, code)
    result, requests = run(ask([error, good], use))
    assert not isinstance(result, Exception)
    assert requests == 2


@pytest.mark.parametrize("code", sorted(LASTING - {"ReceiptHandleIsInvalid", "MessageNotInflight"}))
def test_a_lone_call_says_what_lasts(run: Run, code: str) -> None:
    """A lasting error is said at once, and not repeated."""
    result, requests = run(ask([json_error(400, code)], LONE["DeleteMessage"][0]))
    assert isinstance(result, DependencyRefused)
    assert (result.code, requests) == (code, 1)


def batch(failed: Mapping[str, Any]) -> Reply:
    """A batch's response: the first of its three entries failed, the others succeeded."""
    good = [{"Id": number, "MessageId": "m"} for number in "12"]
    return Reply(200, json.dumps({"Successful": good, "Failed": [{"Id": "0", "Message": "m", **failed}]}).encode())


async def _batched(call: Callable[[SqsQueue], Coroutine[Any, Any, Any]], wire: Wire, endpoint: AwsEndpoint) -> list[Any]:
    """Make four calls at once: the first goes alone, the others as a batch."""
    queue = _queue(wire, endpoint)
    return await asyncio.gather(*(call(queue) for _ in range(4)), return_exceptions=True)


BATCHED: Mapping[str, Callable[[SqsQueue], Coroutine[Any, Any, Any]]] = {
    "SendMessageBatch": lambda queue: queue.send(Envelope(body="x", attributes={})),
    "DeleteMessageBatch": lambda queue: queue.delete(DELIVERY),
    "ChangeMessageVisibilityBatch": lambda queue: queue.hide(DELIVERY, seconds=1.0),
}


@pytest.mark.parametrize("verb", BATCHED)
@pytest.mark.parametrize("blamed", [True, False])
@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_batch_repeats_the_entries_that_pass(run: Run, verb: str, code: str, blamed: bool) -> None:
    """An entry's passing error costs a retry of that entry alone, whoever the queue blames, and every call succeeds."""
    replies = [Reply(200, b'{"MessageId":"m"}'), batch({"Code": code, "SenderFault": blamed}), Reply(200, b'{"Successful":[{"Id":"0"}]}')]
    results, requests = run(ask(replies, partial(_batched, BATCHED[verb])))
    assert (results, requests) == ([None] * 4, 3)


@pytest.mark.parametrize("verb", BATCHED)
@pytest.mark.parametrize("code", sorted(LASTING - {"ReceiptHandleIsInvalid", "MessageNotInflight"}))
def test_a_batch_says_what_lasts(run: Run, verb: str, code: str) -> None:
    """An entry's lasting error is that call's alone, and is not repeated."""
    replies = [Reply(200, b'{"MessageId":"m"}'), batch({"Code": code, "SenderFault": True})]
    results, requests = run(ask(replies, partial(_batched, BATCHED[verb])))
    assert isinstance(results[1], DependencyRefused)
    assert ([results[0], *results[2:]], requests) == ([None] * 3, 2)


@pytest.mark.parametrize("verb", BATCHED)
@pytest.mark.parametrize(
    "code", ["BatchRequestTooLong", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "UnknownOperationException"]
)
def test_a_batch_that_another_queue_cannot_take(run: Run, verb: str, code: str) -> None:
    """A queue with smaller limits, or without batches, gets the messages one by one: each of them alone is good."""
    replies = [Reply(200, b'{"MessageId":"m"}'), json_error(400, code), Reply(200, b'{"MessageId":"m"}')]
    results, requests = run(ask(replies, partial(_batched, BATCHED[verb])))
    assert (results, requests) == ([None] * 4, 5)


def test_an_entry_is_advised_as_a_lone_call_is(run: Run) -> None:
    """An entry's refusal says what to do, in the words of the lone call's."""
    denied = {"Code": "KmsAccessDenied", "SenderFault": True}
    (_, refused, *_), _ = run(ask([Reply(200, b'{"MessageId":"m"}'), batch(denied)], partial(_batched, BATCHED["SendMessageBatch"])))
    alone, _ = run(ask([json_error(400, "KmsAccessDenied")], LONE["SendMessage"][0]))
    assert "grant kms:Decrypt" in str(alone)
    assert "grant kms:Decrypt" in str(refused)


def test_a_proxy_that_wants_a_password(run: Run) -> None:
    """A proxy's own refusal names the variable that holds its address."""
    result, requests = run(ask([Reply(407, b"<html>Proxy Authentication Required</html>")], LONE["GetObject"][0]))
    assert isinstance(result, DependencyRefused)
    assert "HTTPS_PROXY" in str(result)
    assert requests == 1


def test_an_error_behind_a_success(run: Run) -> None:
    """S3 may begin a slow PUT's response with 200 and end it with an error: it is sent again, as botocore does."""
    use, good = LONE["PutObject"]
    result, requests = run(ask([Reply(200, s3_error(503, "InternalError").body), good], use))
    assert (result, requests) == ("e", 2)


def test_a_damaged_response(run: Run) -> None:
    """A response of DynamoDB that does not have its checksum is asked for again."""
    use, _ = LONE["GetItem"]
    whole = Reply(200, b"{}", {"x-amz-crc32": str(crc32(b"{}"))})
    result, requests = run(ask([Reply(200, b"{]", whole.headers), whole], use))
    assert not isinstance(result, Exception)
    assert requests == 2
