"""Every contract suite on every implementation: in memory, on ministack, and for documents on Ceph too."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.support.servers import Server

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.dynamodb import DynamoRecords
from offpoll.aws.dynamodb_service_times import DynamoServiceTimes
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore, encryption_headers
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.wire import Wire
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DocumentChanged
from offpoll.queue import MemoryQueue
from offpoll.records import MemoryRecords
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing.contracts import DocumentStoreContract, QueueContract, RecordsContract, ServiceTimesContract
from offpoll.testing.virtual import VirtualLoop


def admin(service: str, server: Server) -> Any:
    """Return a boto3 client that creates what the tests need."""
    session = boto3.Session(server.access_key, server.secret_key, region_name=server.region)
    config = Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"})
    return session.client(service, endpoint_url=server.origin, config=config)


def wire_to(server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[Wire]:
    """Yield a wire on the loop, and close it."""
    wire = Wire(StaticCredentials(Credentials(access_key=server.access_key, secret_key=server.secret_key)))
    yield wire
    loop.run_until_complete(wire.close())


def bucket(server: Server) -> str:
    name = f"offpoll-{secrets.token_hex(6)}"
    admin("s3", server).create_bucket(Bucket=name)
    return name


def table(server: Server) -> str:
    name = f"offpoll-{secrets.token_hex(6)}"
    admin("dynamodb", server).create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


class TestMemoryDocumentStore(DocumentStoreContract):
    @pytest.fixture
    def store(self) -> MemoryDocumentStore:
        return MemoryDocumentStore()


class TestMinistackDocumentStore(DocumentStoreContract):
    @pytest.fixture
    def store(self, ministack_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[S3DocumentStore]:
        for wire in wire_to(ministack_server, loop):
            endpoint = AwsEndpoint.parse(ministack_server.origin)
            yield S3DocumentStore(wire, endpoint=endpoint, bucket=bucket(ministack_server), region=ministack_server.region)


class TestCephDocumentStore(DocumentStoreContract):
    @pytest.fixture
    def store(self, ceph_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[S3DocumentStore]:
        for wire in wire_to(ceph_server, loop):
            endpoint = AwsEndpoint.parse(ceph_server.origin)
            yield S3DocumentStore(wire, endpoint=endpoint, bucket=bucket(ceph_server), region=ceph_server.region)


class TestEncryptedDocumentStore(DocumentStoreContract):
    """Each document asks for SSE-KMS, as some buckets' policies demand."""

    @pytest.fixture
    def store(self, ministack_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[S3DocumentStore]:
        name, headers = bucket(ministack_server), encryption_headers("aws:kms", kms_key_id="alias/documents", bucket_key=True)
        for wire in wire_to(ministack_server, loop):
            endpoint = AwsEndpoint.parse(ministack_server.origin)
            yield S3DocumentStore(wire, endpoint=endpoint, bucket=name, region=ministack_server.region, encryption=headers)
        client = admin("s3", ministack_server)
        for listed in client.list_objects_v2(Bucket=name).get("Contents", ()):
            found = client.head_object(Bucket=name, Key=listed["Key"])
            assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/documents")


class TestDocumentStoreWithOpaqueEtags(DocumentStoreContract):
    """Under SSE-KMS an etag is no digest: two writes of one body have two."""

    @pytest.fixture
    def store(self) -> MemoryDocumentStore:
        return OpaqueEtags()


class OpaqueEtags(MemoryDocumentStore):
    """Documents in memory whose etags say nothing about them."""

    def __init__(self) -> None:
        super().__init__()
        self._etags: dict[str, str] = {}

    async def create(self, key: str, body: bytes) -> str:
        await super().create(key, body)
        return self._fresh(key)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        found = await super().read(key)
        if found is None or self._etags[key] != etag:
            raise DocumentChanged(key)
        await super().replace(key, body, etag=found[1])
        return self._fresh(key)

    async def read(self, key: str) -> tuple[bytes, str] | None:
        found = await super().read(key)
        return None if found is None else (found[0], self._etags[key])

    def _fresh(self, key: str) -> str:
        self._etags[key] = secrets.token_hex(8)
        return self._etags[key]


class TestMemoryQueue(QueueContract):
    @pytest.fixture(autouse=True)
    def loop(self) -> Iterator[asyncio.AbstractEventLoop]:
        """Use virtual time, so that no test waits for a long poll."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            self._runner = runner
            yield runner.get_loop()

    @pytest.fixture
    def queue(self) -> MemoryQueue:
        return MemoryQueue()


class TestMinistackQueue(QueueContract):
    @pytest.fixture
    def queue(self, ministack_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[SqsQueue]:
        url = admin("sqs", ministack_server).create_queue(QueueName=f"offpoll-{secrets.token_hex(6)}")["QueueUrl"]
        for wire in wire_to(ministack_server, loop):
            endpoint = AwsEndpoint.parse(ministack_server.origin)
            yield SqsQueue(wire, endpoint=endpoint, url=url, region=ministack_server.region)


class TestMemoryRecords(RecordsContract):
    @pytest.fixture
    def records(self) -> MemoryRecords:
        return MemoryRecords()


class TestMinistackRecords(RecordsContract):
    @pytest.fixture
    def records(self, ministack_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[DynamoRecords]:
        for wire in wire_to(ministack_server, loop):
            endpoint = AwsEndpoint.parse(ministack_server.origin)
            yield DynamoRecords(wire, endpoint=endpoint, table=table(ministack_server), region=ministack_server.region)


class TestMemoryServiceTimes(ServiceTimesContract):
    @pytest.fixture
    def service_times(self) -> MemoryServiceTimes:
        return MemoryServiceTimes()


class TestMinistackServiceTimes(ServiceTimesContract):
    @pytest.fixture
    def both(self, ministack_server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[DynamoServiceTimes, DynamoServiceTimes]]:
        """Give two stores on one shard, as two processes have in the worst case."""
        name, endpoint = table(ministack_server), AwsEndpoint.parse(ministack_server.origin)
        for wire in wire_to(ministack_server, loop):
            first, second = (
                DynamoServiceTimes(wire, endpoint=endpoint, table=name, region=ministack_server.region, random=lambda: 0.5)
                for _ in range(2)
            )
            yield first, second

    @pytest.fixture
    def service_times(self, both: tuple[DynamoServiceTimes, DynamoServiceTimes]) -> DynamoServiceTimes:
        return both[0]

    @pytest.fixture
    def other(self, both: tuple[DynamoServiceTimes, DynamoServiceTimes]) -> DynamoServiceTimes:
        return both[1]
