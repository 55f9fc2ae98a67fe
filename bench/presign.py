"""Measures how many status links one core signs in a second, with a session token: offpoll's, boto3's, obstore's and awscrt's.

`hashlib floor` is the least that signing with hashlib can cost: the three SHA-256 operations that every presigned URL needs.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.report import finish, measure_pairs, one_core, options, table

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.wire import Wire

ACCESS_KEY, SECRET_KEY, TOKEN = "ASIAEXAMPLEEXAMPLE00", "s" * 40, "FwoGZXIvYXdzE" + "A" * 700
BUCKET, REGION = "offpoll-status", "eu-west-1"
KEYS = [f"status/public/{number:032x}" for number in range(1000)]


def offpoll() -> Callable[[str], object]:
    credentials = StaticCredentials(Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token=TOKEN))
    endpoint = AwsEndpoint.parse(f"https://s3.{REGION}.amazonaws.com", custom=False)
    store = S3DocumentStore(Wire(credentials), endpoint=endpoint, bucket=BUCKET, region=REGION)
    return partial(store.sign, lifetime=3600.0)


def boto3() -> Callable[[str], object]:
    os.environ["BOTO_DISABLE_CRT"] = "true"
    import boto3 as peer
    from botocore.config import Config

    client = peer.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        aws_session_token=TOKEN,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )
    return lambda key: client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=3600)


def obstore() -> Callable[[str], object]:
    from obstore import sign
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        region=REGION,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        session_token=TOKEN,
        virtual_hosted_style_request=True,
    )
    lifetime = timedelta(hours=1)
    return lambda key: sign(store, "GET", key, lifetime)


def awscrt() -> Callable[[str], object]:
    from awscrt import auth, http

    provider = auth.AwsCredentialsProvider.new_static(ACCESS_KEY, SECRET_KEY, TOKEN)
    host = f"{BUCKET}.s3.{REGION}.amazonaws.com"

    def sign(key: str) -> object:
        request = http.HttpRequest("GET", f"/{key}", http.HttpHeaders([("host", host)]))
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            credentials_provider=provider,
            region=REGION,
            service="s3",
            date=datetime.now(UTC),
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=auth.AwsSignedBodyValue.UNSIGNED_PAYLOAD,
            expiration_in_seconds=3600,
        )
        return f"https://{host}{auth.aws_sign_request(request, config).result(5).path}"

    return sign


def hashlib_floor() -> Callable[[str], object]:
    """Do three operations over as many bytes as a link has. The HMAC's key and the constant part are hashed beforehand."""
    inner, outer = hashlib.sha256(b"i" * 64), hashlib.sha256(b"o" * 64)
    inner.update(b"AWS4-HMAC-SHA256\n20261123T180000Z\n20261123/eu-west-1/s3/aws4_request\n")
    rest = b"x" * (300 + len(TOKEN))

    def sign(key: str) -> object:
        hexdigest = hashlib.sha256(key.encode() + rest).hexdigest()
        first, second = inner.copy(), outer.copy()
        first.update(hexdigest.encode())
        second.update(first.digest())
        return second.hexdigest()

    return sign


def cost(make: Callable[[], Callable[[str], object]], rounds: int) -> Callable[[], float]:
    """Return a measurement: CPU seconds for one URL."""
    sign = make()

    def measure() -> float:
        begin = time.process_time()
        for number in range(rounds):
            sign(KEYS[number % len(KEYS)])
        return (time.process_time() - begin) / rounds

    return measure


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    fast, slow = given.pick(200_000, 40_000), given.pick(4_000, 800)
    peers = {
        "boto3": cost(boto3, slow),
        "obstore": cost(obstore, slow),
        "awscrt": cost(awscrt, slow),
        "hashlib floor": cost(hashlib_floor, fast),
    }
    mine, theirs, ratios = measure_pairs(cost(offpoll, fast), peers, pairs=given.pick(9, 5))
    rows = [("offpoll", f"{1 / mine:,.0f}", f"{mine * 1e6:.2f}", "1")]
    rows += [(name, f"{1 / spent:,.0f}", f"{spent * 1e6:.2f}", f"{ratios[name]:.2f}") for name, spent in theirs.items()]
    table("Presigned GETs, session token, one core", ("", "URLs/s", "CPU µs", "times offpoll's"), rows)
    finish("presign", ratios, given)


if __name__ == "__main__":
    main()
