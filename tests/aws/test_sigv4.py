"""Every signed byte compared with botocore's own signer, which is used here as the oracle."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import botocore.auth
import botocore.session
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as OracleCredentials
from botocore.credentials import ReadOnlyCredentials

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint, Endpoints, bucket_endpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sigv4 import MAX_LIFETIME, MAX_SHAPES, HeaderSigner, Presigner, SignedHeaders
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError

#: The number of presigned URLs compared, more than 50,000 in total.
CASES = 52_000

REGIONS = ("eu-west-1", "us-east-1", "us-west-2", "ap-southeast-2", "cn-north-1", "us-gov-west-1")
BUCKETS = ("offpoll-status", "b23", "a-bucket-with-a-rather-long-name-0123456789", "with.dots.in.it")
CUSTOM = ("", "http://127.0.0.1:4566", "https://s3.example.com:8443", "http://localhost:80", "https://store.example.com")
ODD = "aZ09-_.~/ +%&=?#'\"()*!@,:;$[]{}|\\^`<>äöü߀漢字🙂\u0301\x01\x7f"


@pytest.fixture(autouse=True)
def _plain_botocore(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Keep the machine's AWS settings out."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def set_oracle_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Let botocore sign at the test's time."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now[0].replace(tzinfo=None))
    return lambda at: now.__setitem__(0, at)


def _key(source: random.Random) -> str:
    """Return a key: mostly plain, often unusual, never with a part that HTTP clients remove."""
    if source.random() < 0.3:
        return f"status/public/{source.getrandbits(128):032x}"
    parts = ["".join(source.choice(ODD) for _ in range(source.randint(1, 12))) for _ in range(source.randint(1, 4))]
    return "k" + "/".join(parts)


def _client(region: str, style: str, custom: str) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional"})
    session = botocore.session.Session()
    return session.create_client(
        "s3", region_name=region, endpoint_url=custom or None, config=config, aws_access_key_id="a", aws_secret_access_key="b"
    )


def _targets() -> list[tuple[Any, Presigner, str]]:
    """Return botocore's client and our presigner for each valid combination of region, style, endpoint and bucket."""
    targets = []
    for custom in CUSTOM:
        for region in REGIONS if not custom else REGIONS[:2]:
            endpoint = AwsEndpoint.parse(custom) if custom else Endpoints(region=region, overrides={}).service("s3")
            for style in ("path", "virtual"):
                if style == "virtual" and "127.0.0.1" in custom:
                    continue
                client = _client(region, style, custom)
                for bucket in BUCKETS:
                    if style == "virtual" and "." in bucket:
                        continue
                    address, path = bucket_endpoint(endpoint, bucket=bucket, style=style)
                    targets.append((client, Presigner(region=region, origin=address.origin, host=address.host, path=path), bucket))
    return targets


def test_presigned_urls_equal_botocores(set_oracle_time: Callable[[datetime], None]) -> None:
    """A presigned GET equals botocore's byte for byte, for every region, key, token, time, lifetime, style and endpoint."""
    source, targets, compared = random.Random(20261123), _targets(), 0
    while compared < CASES:
        client, presigner, bucket = source.choice(targets)
        token = source.choice([None, "".join(source.choice("ABCab012+/=") for _ in range(source.randint(1, 900)))])
        access_key, secret_key = f"AKIA{source.getrandbits(64):016X}", f"{source.getrandbits(160):040x}"
        ours = Credentials(access_key=access_key, secret_key=secret_key, session_token=token)
        signer = client._request_signer
        signer._credentials = OracleCredentials(ours.access_key, ours.secret_key, token)
        for _ in range(20):
            at = datetime.fromtimestamp(source.uniform(1_600_000_000, 2_500_000_000), UTC)
            lifetime, key = source.choice([1, 60, 3600, 86_400, MAX_LIFETIME]), _key(source)
            set_oracle_time(at)
            expected = _oracle_url(client, bucket, key, lifetime, compared)
            assert presigner.presign(ours, key, at=at, lifetime=lifetime)[0] == expected
            compared += 1


def _oracle_url(client: Any, bucket: str, key: str, lifetime: int, number: int) -> str:
    """Ask botocore. One URL in 26 goes through the whole client; the others call its signer, which runs the same code."""
    if number % 26 == 0:
        return str(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=lifetime))
    base = client.__dict__.setdefault("_bases", {}).get(bucket)
    if base is None:
        probe = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "probe"}, ExpiresIn=1)
        base = client.__dict__["_bases"][bucket] = probe.partition("probe?")[0]
    signer = client._request_signer
    request = AWSRequest(method="GET", url=base + quote(key, safe="/~"), headers={}, data=b"")
    request.context = {"client_config": client.meta.config, "signing": {"region": client.meta.region_name}}
    auth = botocore.auth.S3SigV4QueryAuth(signer._credentials.get_frozen_credentials(), "s3", client.meta.region_name, expires=lifetime)
    auth.add_auth(request)
    return str(request.prepare().url)


def test_caches_follow_second_credentials_and_lifetime(set_oracle_time: Callable[[datetime], None]) -> None:
    """A reused presigner signs with the new second, day, credentials and lifetime, never with remembered ones."""
    client = _client("eu-west-1", "virtual", "")
    address, path = bucket_endpoint(Endpoints(region="eu-west-1", overrides={}).service("s3"), bucket="offpoll-status")
    presigner = Presigner(region="eu-west-1", origin=address.origin, host=address.host, path=path)
    begin = datetime(2026, 11, 23, 23, 59, 58, 700_000, tzinfo=UTC)
    for step in range(12):
        at = begin + timedelta(seconds=step * 0.5)
        for secret in ("one", "two"):
            ours = Credentials(access_key="AKIAEXAMPLE", secret_key=secret, session_token="tok/en+=" if step % 2 else None)
            client._request_signer._credentials = OracleCredentials("AKIAEXAMPLE", secret, ours.session_token)
            for lifetime in (60, 3600):
                set_oracle_time(at)
                expected = client.generate_presigned_url("get_object", Params={"Bucket": "offpoll-status", "Key": "k"}, ExpiresIn=lifetime)
                url, expires_at = presigner.presign(ours, "k", at=at, lifetime=lifetime)
                assert url == expected
                assert expires_at == at.replace(microsecond=0) + timedelta(seconds=lifetime)


@pytest.mark.parametrize("lifetime", [0, -1, MAX_LIFETIME + 1])
def test_lifetime_out_of_range_is_refused(lifetime: int) -> None:
    """A link that S3 would refuse, or that would never expire, is not signed."""
    presigner = Presigner(region="eu-west-1", origin="https://s3.eu-west-1.amazonaws.com", host="s3.eu-west-1.amazonaws.com")
    with pytest.raises(ConfigurationError, match="OFFPOLL_LINK_LIFETIME"):
        presigner.presign(Credentials(access_key="a", secret_key="b"), "k", at=datetime(2026, 1, 1, tzinfo=UTC), lifetime=lifetime)


def test_key_without_utf8_is_refused() -> None:
    """A lone surrogate cannot be in a URL."""
    presigner = Presigner(region="eu-west-1", origin="https://s3.example.com", host="s3.example.com")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        presigner.presign(Credentials(access_key="a", secret_key="b"), "\ud800", at=datetime(2026, 1, 1, tzinfo=UTC), lifetime=60)


def test_link_ends_before_its_credentials() -> None:
    """A link never outlives the credentials that sign it, and its expiry says so."""
    now = datetime(2026, 11, 23, 18, 0, 0, 500_000, tzinfo=UTC)
    ends_at = now + timedelta(minutes=30)
    credentials = StaticCredentials(Credentials(access_key="a", secret_key="b", session_token="t", expires_at=ends_at))
    endpoint = Endpoints(region="eu-west-1", overrides={}).service("s3")
    store = S3DocumentStore(Wire(credentials, clock=lambda: now), endpoint=endpoint, bucket="offpoll-status", region="eu-west-1")
    long, short = store.sign("k", lifetime=3600.0), store.sign("k", lifetime=60.0)
    assert ends_at - timedelta(seconds=61) <= long.expires_at <= ends_at - timedelta(seconds=60)
    assert "X-Amz-Expires=1740&" in long.href
    assert short.expires_at == now.replace(microsecond=0) + timedelta(seconds=60)


@pytest.mark.parametrize("service", ["s3", "sqs", "dynamodb", "sts"])
def test_header_signatures_equal_botocores(service: str, set_oracle_time: Callable[[datetime], None]) -> None:
    """A signed call carries the Authorization header that botocore computes for the same headers and body."""
    source = random.Random(service)
    signer = HeaderSigner(service=service, region="eu-west-1", host="127.0.0.1:4566")
    at = datetime(2026, 11, 23, 23, 59, 50, tzinfo=UTC)
    credentials = Credentials(access_key="AKIAEXAMPLE", secret_key="secret")
    for number in range(2000):
        if number % 7 == 0:
            token = source.choice([None, "FwoG{0}+/=" * 20])
            credentials = Credentials(access_key="AKIAEXAMPLE", secret_key=f"{source.getrandbits(99):x}", session_token=token)
        at += timedelta(seconds=source.choice([0, 0, 0.3, 1, 3600]))
        names = ["content-type", "cache-control", "if-match", "if-none-match", "x-amz-target", "accept"]
        headers = {name: source.choice(["*", "a/b", "private, no-cache", "{}"]) for name in source.sample(names, source.randint(0, 6))}
        body = source.choice([b"", b"{}", bytes(range(256))])
        path = "/b/" + quote(_key(source), safe="/~") if service == "s3" else "/"
        query = source.choice(["", "a=1&b=%20"])
        sent = signer.sign(credentials, at=at, method="PUT", path=path, query=query, headers=headers, body=body)
        set_oracle_time(at)
        url = f"http://127.0.0.1:4566{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method="PUT", url=url, headers=dict(headers), data=body)
        frozen = ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.session_token)
        oracle = S3SigV4Auth(frozen, "s3", "eu-west-1") if service == "s3" else SigV4Auth(frozen, service, "eu-west-1")
        oracle.add_auth(request)
        assert sent == {name.lower(): value for name, value in request.headers.items()}
        assert dict(line.split(": ", 1) for line in sent.lines.splitlines()) == sent


def test_what_calls_of_one_second_share() -> None:
    """However many etags a second has, each is signed as it would be alone, and few layouts are kept. No line is made of a broken value."""
    at, credentials = datetime(2026, 11, 23, tzinfo=UTC), Credentials(access_key="AKIAEXAMPLE", secret_key="secret", session_token="t")

    def signed(signer: HeaderSigner, etag: str) -> SignedHeaders:
        return signer.sign(credentials, at=at, method="PUT", path="/b/k", headers={"if-match": etag}, body=b"{}")

    busy = HeaderSigner(service="s3", region="eu-west-1", host="h")
    for number in range(3 * MAX_SHAPES):
        assert signed(busy, f"e{number}") == signed(HeaderSigner(service="s3", region="eu-west-1", host="h"), f"e{number}")
    assert busy._now is not None
    assert len(busy._now.shapes) <= MAX_SHAPES
    assert signed(busy, "e\r\nx: y").lines == ""
