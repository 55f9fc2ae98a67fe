"""Connects an app to AWS: the only module that knows both sides. It reads settings, and does no I/O until something is called."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from offpoll.app import Offpoll
from offpoll.arguments import need
from offpoll.aws.chain import find_credentials
from offpoll.aws.configuration import Configuration
from offpoll.aws.credentials import CredentialsProvider
from offpoll.aws.dynamodb import DynamoRecords
from offpoll.aws.dynamodb_service_times import DynamoServiceTimes
from offpoll.aws.endpoints import AwsEndpoint, Endpoints, ca_bundle
from offpoll.aws.names import check_bucket, check_queue, check_role, check_table
from offpoll.aws.retry import MAX_ATTEMPTS
from offpoll.aws.s3 import S3DocumentStore, encryption_headers
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire
from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.document_store import DocumentStore
from offpoll.errors import DependencyUnavailable, PartialOutage
from offpoll.measured import MeasuredRecords, MeasuredStore
from offpoll.metrics import EmfMetrics, Metrics, NoMetrics
from offpoll.proxies import names_a_proxy
from offpoll.records import Records
from offpoll.reference import load_app
from offpoll.service import AsyncService
from offpoll.setting_ranges import PREFIX
from offpoll.settings import Settings, SettingsArguments

if TYPE_CHECKING:
    from offpoll.blocking import Service, StatusBoard
    from offpoll.work.handle import HandlerRunner
    from offpoll.work.worker import Worker

__all__ = ["async_connect", "async_status_board", "connect", "dependencies", "load_app", "make_worker", "status_board"]

#: Settings without which nothing can be reached.
NEEDED = ("bucket", "queue_url", "dead_letter_queue_url", "parking_queue_url", "records_table")


def connect(app: Offpoll, *, environ: Mapping[str, str] | None = None, **settings: Unpack[SettingsArguments]) -> Service:
    """Connect an app to its stores, for code that does not await. Use it as a context manager, or `close` it.

    It starts a thread and enters the app's lifespan. A forked child does so again at its first call.

    Args:
        app: the app.
        environ: variables to read instead of the process's.
        settings: each beats its `OFFPOLL_*` variable.

    Raises:
        ConfigurationError: a setting is missing, unknown or out of range, or no region is set.
    """
    from offpoll.blocking import Service  # noqa: PLC0415 - a function's cold start needs none

    return Service(async_connect(app, environ=environ, **settings))


def async_connect(app: Offpoll, *, environ: Mapping[str, str] | None = None, **settings: Unpack[SettingsArguments]) -> AsyncService:
    """Connect an app to its stores. Does no I/O yet; its connections belong to the event loop that first uses them.

    Arguments and errors are those of `connect`.
    """
    environ = _variables(environ)
    known = Settings.load(environ=environ, **settings)
    need(app, Offpoll, what="connect takes an Offpoll, such as `app` of `from orders import app`")
    known.need("secret", *NEEDED)
    return AsyncService(app, settings=known, dependencies=dependencies(known, environ=environ))


def status_board(*, environ: Mapping[str, str] | None = None, **settings: Unpack[SettingsArguments]) -> StatusBoard:
    """Make a status board alone, for your own API and workers, in code that does not await. It needs a bucket and nothing else.

    It starts a thread at its first call, in each process. Arguments are those of `connect`.

    Raises:
        ConfigurationError: no bucket or no region is set, or a setting is unknown or out of range.
    """
    from offpoll.blocking import StatusBoard  # noqa: PLC0415 - a function's cold start needs none

    return StatusBoard(*_lone_board(environ, settings))


def async_status_board(*, environ: Mapping[str, str] | None = None, **settings: Unpack[SettingsArguments]) -> AsyncStatusBoard:
    """Make a status board alone, as `status_board` does. Does no I/O yet; its connections belong to the event loop that first uses them."""
    return _lone_board(environ, settings)[0]


def _variables(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the variables to read; the process's for None."""
    if environ is None:
        return os.environ
    need(environ, Mapping, what="environ is a mapping of variables")
    for each in (*environ, *environ.values()):
        need(each, str, what="environ's names and values are text")
    return environ


def _lone_board(environ: Mapping[str, str] | None, settings: SettingsArguments) -> tuple[AsyncStatusBoard, Callable[[], Awaitable[None]]]:
    """Return a board, and a function that closes its connections."""
    environ = _variables(environ)
    known, connection = Settings.load(environ=environ, **settings), _Connection(environ)
    return _board(connection, known)[0], connection.wire.close


def dependencies(settings: Settings, *, environ: Mapping[str, str], links: bool = True) -> Dependencies:
    """Make the adapters for one event loop.

    Args:
        settings, environ: say where everything is.
        links: whether this process signs status links. A worker signs none, and needs no signer's role.

    Raises:
        ConfigurationError: a setting is missing or cannot be used, or no region is set.
    """
    settings.need(*NEEDED)
    connection = _Connection(environ)
    wire, region, endpoints = connection.wire, connection.endpoints.region, connection.endpoints
    board, store = _board(connection, settings, links=links)

    def queue(name: str) -> SqsQueue:
        setting = PREFIX + name.upper()
        url, endpoint = getattr(settings, name), endpoints.service("sqs")
        if not endpoint.custom:
            check_queue(url, region=region, setting=setting)
        return SqsQueue(wire, endpoint=endpoint, url=url, region=region, setting=setting, visibility=settings.lease)

    operations, dead_letters, parking = (queue(name) for name in ("queue_url", "dead_letter_queue_url", "parking_queue_url"))
    table, dynamodb = settings.records_table, endpoints.service("dynamodb")
    if not dynamodb.custom:
        check_table(table, region=region)
    records = DynamoRecords(wire, endpoint=dynamodb, table=table, region=region)
    metrics = _metrics(settings)
    measured: Records = records if metrics is None else MeasuredRecords(records, metrics=metrics)
    return Dependencies(
        board=board,
        queue=operations,
        dead_letters=dead_letters,
        parking=parking,
        records=measured,
        service_times=DynamoServiceTimes(wire, endpoint=dynamodb, table=table, region=region),
        metrics=metrics or NoMetrics(),
        check=lambda: _check_all(store.check(), operations.check(), records.check()),
        close=wire.close,
    )


async def _check_all(*checks: Awaitable[None]) -> None:
    """Make all checks, then raise what is wrong, a refusal before an outage.

    A check left under way would outlive the loop of a process that ends at the first refusal.
    """
    results = await asyncio.gather(*checks, return_exceptions=True)
    errors = [each for each in results if isinstance(each, BaseException)]
    outages = [each for each in errors if isinstance(each, DependencyUnavailable)]
    for error in errors:
        if not isinstance(error, DependencyUnavailable):
            raise error
    if 0 < len(outages) < len(results):
        services = ", ".join(sorted({each.service for each in outages}))
        raise PartialOutage(services, str(outages[0]).removeprefix(f"{services}: "), retry_after=outages[0].retry_after)
    if outages:
        raise outages[0]


def _metrics(settings: Settings) -> Metrics | None:
    return EmfMetrics(_log) if settings.metrics == "emf" else None


def _log(line: str) -> None:
    """Write a line to stderr, where the log goes."""
    sys.stderr.write(line)
    sys.stderr.flush()


class _Connection:
    """AWS's endpoints, and a wire that signs with our credentials, for one event loop."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.given = given = Configuration.load(environ)
        self.endpoints = Endpoints.of(given)
        self.wire = Wire(
            find_credentials(environ, endpoints=self.endpoints),
            certificates=ca_bundle(environ),
            proxied=names_a_proxy(environ),
            environ=environ,
            attempts=given.attempts or MAX_ATTEMPTS,
        )


def _signer(connection: _Connection, role_arn: str) -> CredentialsProvider:
    """Return the credentials of the role that signs links. Their end is known, so a link states truly how long it works."""
    endpoints = connection.endpoints
    endpoint = endpoints.service("sts")
    if not endpoint.custom:
        check_role(role_arn)
    return assumed_role(connection.wire, endpoint=endpoint, region=endpoints.region, role_arn=role_arn)


def _board(connection: _Connection, settings: Settings, *, links: bool = True) -> tuple[AsyncStatusBoard, S3DocumentStore]:
    settings.need("bucket")
    public, metrics = settings.public_store_endpoint, _metrics(settings)
    endpoint = connection.endpoints.service("s3")
    if not endpoint.custom:
        check_bucket(settings.bucket, region=connection.endpoints.region)
    store = S3DocumentStore(
        connection.wire,
        endpoint=endpoint,
        bucket=settings.bucket,
        region=connection.endpoints.region,
        public_endpoint=AwsEndpoint.parse(public) if public else None,
        style=settings.addressing_style if settings.addressing_style != "auto" else connection.endpoints.bucket_style,
        signer=_signer(connection, settings.signer_role_arn) if links and settings.signer_role_arn else None,
        prefix=settings.prefix,
        encryption=encryption_headers(
            settings.server_side_encryption, kms_key_id=settings.sse_kms_key_id, bucket_key=settings.sse_bucket_key
        ),
        owner=settings.expected_bucket_owner,
        checksums=connection.given.checksums,
    )
    measured: DocumentStore = store if metrics is None else MeasuredStore(store, metrics=metrics)
    return AsyncStatusBoard.of(settings, store=measured), store


def make_worker(
    app: Offpoll,
    *,
    settings: Settings,
    dependencies_here: Dependencies,
    runner: HandlerRunner,
    environ: Mapping[str, str],
    dead_letters: bool = True,
    long_poll: float | None = None,
) -> Worker:
    """Make a worker whose heartbeat has its own thread, with its own connections. `long_poll`: seconds; None for the default."""
    from offpoll.work.heartbeat import HeartbeatThread  # noqa: PLC0415 - an API's cold start needs no worker
    from offpoll.work.loop import LONG_POLL  # noqa: PLC0415 - the same
    from offpoll.work.worker import Worker  # noqa: PLC0415 - the same

    kinds = app.kinds(settings)

    @asynccontextmanager
    async def beside() -> AsyncIterator[Dependencies]:
        own = dependencies(settings, environ=environ, links=False)
        try:
            yield own
        finally:
            await own.close()

    return Worker(
        kinds=kinds,
        settings=settings,
        dependencies=dependencies_here,
        heartbeat_dependencies=beside,
        heartbeat=HeartbeatThread(),
        runner=runner,
        dead_letters=dead_letters,
        long_poll=long_poll or LONG_POLL,
    )
