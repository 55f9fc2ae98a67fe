"""CPU of one conditional S3 PUT and of one SQS send, offpoll's wire against boto3, against a stub server in another process.

Only this process's time counts, user and system, all of its threads: what a server pays for each call. Calls come 32 at a time, as a
server's do: from 32 coroutines to offpoll, which gathers sends into batches, and from 32 threads to boto3, which has no other way.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from report import cpu_seconds, finish, measure_pairs, one_core, options, table

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import Endpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sqs import SqsQueue
from offpoll.aws.wire import Wire
from offpoll.queue import Envelope

ACCESS_KEY, SECRET_KEY, TOKEN = "ASIAEXAMPLEEXAMPLE00", "s" * 40, "FwoGZXIvYXdzE" + "A" * 700
BUCKET, REGION = "offpoll-status", "eu-west-1"
DOCUMENT = b'{"spec":"offpoll/1","pad":"' + b"x" * 600 + b'"}'
AT_ONCE = 32
ATTRIBUTES = {f"attribute_{number}": "v" * 30 for number in range(8)}
ENVELOPE = Envelope(body='{"quantity":2,"sku":"A1"}', attributes=ATTRIBUTES)


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub server and yield its address."""
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("stub.py"))], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def ours(origin: str, *, verb: str, rounds: int) -> Callable[[], float]:
    """Return a measurement of offpoll: seconds of CPU for one call."""
    credentials = StaticCredentials(Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token=TOKEN))
    endpoint = Endpoint.parse(origin)

    async def measure() -> float:
        wire = Wire(credentials)
        store = S3DocumentStore(wire, endpoint=endpoint, bucket=BUCKET, region=REGION)
        queue = SqsQueue(wire, endpoint=endpoint, url=f"{origin}/123456789012/operations", region=REGION)

        def call(number: int) -> Awaitable[object]:
            return store.create(f"status/public/{number:032x}", DOCUMENT) if verb == "put" else queue.send(ENVELOPE)

        async def caller(numbers: range) -> None:
            for number in numbers:
                await call(number)

        await asyncio.gather(*(caller(range(50)) for _ in range(AT_ONCE)))
        begin = cpu_seconds()
        await asyncio.gather(*(caller(range(first, rounds, AT_ONCE)) for first in range(AT_ONCE)))
        spent = (cpu_seconds() - begin) / rounds
        await wire.close()
        return spent

    return lambda: asyncio.run(measure())


def boto3(origin: str, *, verb: str, rounds: int) -> Callable[[], float]:
    """Return the same measurement of boto3."""
    os.environ["BOTO_DISABLE_CRT"] = "true"
    import boto3 as peer
    from botocore.config import Config

    session = peer.Session(ACCESS_KEY, SECRET_KEY, TOKEN, region_name=REGION)
    version = "v4" if verb == "send" else "s3v4"
    config = Config(signature_version=version, s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE)
    client: Any = session.client("s3" if verb == "put" else "sqs", endpoint_url=origin, config=config)
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in ATTRIBUTES.items()}

    def call(number: int) -> None:
        if verb == "put":
            key = f"status/public/{number:032x}"
            client.put_object(
                Bucket=BUCKET, Key=key, Body=DOCUMENT, IfNoneMatch="*", ContentType="application/json", CacheControl="private, no-cache"
            )
        else:
            client.send_message(QueueUrl=f"{origin}/123456789012/operations", MessageBody=ENVELOPE.body, MessageAttributes=attributes)

    def caller(numbers: range) -> None:
        for number in numbers:
            call(number)

    def measure() -> float:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(caller, [range(3)] * AT_ONCE))
            begin = cpu_seconds()
            list(threads.map(caller, [range(first, rounds, AT_ONCE) for first in range(AT_ONCE)]))
            return (cpu_seconds() - begin) / rounds

    return measure


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    fast, slow = given.pick(10_000, 3_000), given.pick(1_000, 300)
    rows: list[tuple[str, ...]] = []
    worst: dict[str, float] = {}
    with stub() as origin:
        for verb, name in (("put", "S3 PUT, conditional"), ("send", "SQS send")):
            mine, theirs, ratios = measure_pairs(
                ours(origin, verb=verb, rounds=fast), {"boto3": boto3(origin, verb=verb, rounds=slow)}, pairs=given.pick(7, 5)
            )
            rows.append((name, f"{mine * 1e6:.0f}", f"{theirs['boto3'] * 1e6:.0f}", f"{ratios['boto3']:.1f}"))
            worst = {peer: min(ratio, worst.get(peer, ratio)) for peer, ratio in ratios.items()}
    table("CPU µs a call, user + system, one core", ("", "offpoll", "boto3", "times offpoll's"), rows)
    finish("wire", worst, given)


if __name__ == "__main__":
    main()
