"""Measures the CPU time of a conditional S3 PUT, over http and https, and of an SQS send, against a stub server in another process.

It compares offpoll's wire with boto3. Only this process's time counts, user and system, all threads: what a server pays for each call.
Calls come 32 at a time, as on a server: from 32 coroutines to offpoll, which gathers sends into batches, and from 32 threads to boto3,
which has no other way.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme
import uvloop
from bench.report import cpu_seconds, finish, measure_pairs, one_core, options, table

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
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
def stub(*, server: str = "stub", chain: Path | None = None) -> Iterator[str]:
    """Run the stub server, or the broker, and yield its address: by https where a certificate and its key are given, in one file."""
    command = [sys.executable, "-m", f"bench.{server}", *([str(chain)] if chain else [])]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http{'s' if chain else ''}://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def ours(origin: str, *, verb: str, rounds: int, trusted: Path | None) -> Callable[[], float]:
    """Return a measurement of offpoll: CPU seconds for one call."""
    credentials = StaticCredentials(Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token=TOKEN))
    endpoint = AwsEndpoint.parse(origin)

    certificates = None if trusted is None else trusted.read_bytes()

    async def measure() -> float:
        wire = Wire(credentials, certificates=certificates)
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

    def run() -> float:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `offpoll serve` and `offpoll work` do
            return runner.run(measure())

    return run


def boto3(origin: str, *, verb: str, rounds: int, trusted: Path | None) -> Callable[[], float]:
    """Return the same measurement of boto3."""
    os.environ["BOTO_DISABLE_CRT"] = "true"
    import boto3 as peer
    from botocore.config import Config

    session = peer.Session(ACCESS_KEY, SECRET_KEY, TOKEN, region_name=REGION)
    version = "v4" if verb == "send" else "s3v4"
    config = Config(signature_version=version, s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE)
    client: Any = session.client(
        "s3" if verb == "put" else "sqs", endpoint_url=origin, config=config, verify=str(trusted) if trusted else None
    )
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


def authority(folder: Path) -> tuple[Path, Path]:
    """Make an authority and a certificate for 127.0.0.1. Return the file of the authority, and that of the certificate with its key."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(folder / "authority.pem"))
    made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
    return folder / "authority.pem", folder / "chain.pem"


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    fast, slow = given.pick(8_000, 2_000), given.pick(1_000, 250)
    rows: list[tuple[str, ...]] = []
    worst: dict[str, float] = {}
    with ExitStack() as stack:
        trusted, chain = authority(Path(stack.enter_context(TemporaryDirectory())))
        http, https = stack.enter_context(stub()), stack.enter_context(stub(chain=chain))
        for name, origin, verb in (("S3 PUT, conditional", http, "put"), ("SQS send", http, "send"), ("S3 PUT by https", https, "put")):
            call: dict[str, Any] = {"origin": origin, "verb": verb, "trusted": trusted if origin is https else None}
            mine, theirs, ratios = measure_pairs(ours(**call, rounds=fast), {"boto3": boto3(**call, rounds=slow)}, pairs=given.pick(7, 3))
            rows.append((name, f"{mine * 1e6:.0f}", f"{theirs['boto3'] * 1e6:.0f}", f"{ratios['boto3']:.1f}"))
            where = ", https" if origin is https else ""
            worst |= {each + where: min(ratio, worst.get(each + where, ratio)) for each, ratio in ratios.items()}
    table("CPU µs a call, user + system, one core", ("", "offpoll", "boto3", "times"), rows)
    finish("wire", worst, given)


if __name__ == "__main__":
    main()
