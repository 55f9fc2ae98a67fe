"""The template's bucket on Ceph RGW, a real S3: its policy and lifecycle rules, exactly as written.

Clients use 127.0.0.1 and 127.0.0.2, over HTTP and HTTPS. Ceph reads policies without spaces, has roles without an account, and omits
`aws:SecureTransport` for plain HTTP. A lifecycle "day" lasts one second here.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import trustme
from botocore.config import Config
from tests.support.cloudformation import ACCOUNT, properties, rules, statements
from tests.support.servers import Server, ceph, free_port, require_ceph

from offpoll.aws.credentials import Credentials, StaticCredentials
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.s3 import S3DocumentStore
from offpoll.aws.sts import assumed_role
from offpoll.aws.wire import Wire

pytestmark = pytest.mark.ceph

REGION = "us-east-1"
BUCKET, EXPIRING = "documents", "expiring"
KEY = "status/public/0123456789abcdef0123456789abcdef"

#: The allow-list has only the second of these addresses.
OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"

#: Seconds until a document of 16 "days" must be gone. Ceph takes 14 to 17.
PATIENCE = 60.0

Run = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Store:
    """A Ceph RGW with the template's bucket policy and signer.

    Attributes:
        server: over HTTP.
        https: the same server over HTTPS.
        certificates: a PEM file with the authority to trust.
    """

    server: Server
    https: str
    certificates: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client for the buckets' owner, over HTTPS."""
        keys = boto3.Session(self.server.access_key, self.server.secret_key, region_name=REGION)
        config = Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"})
        return keys.client(service, endpoint_url=self.https, verify=str(self.certificates), config=config)

    async def link(self, origin: str) -> str:
        """Write a document as our functions do, from outside the allow-list, and sign a link to it with the signer's role."""
        own = Credentials(access_key=self.server.access_key, secret_key=self.server.secret_key)
        wire, endpoint = Wire(StaticCredentials(own), certificates=self.certificates.read_bytes()), AwsEndpoint.parse(self.https)
        signer = assumed_role(wire, endpoint=endpoint, region=REGION, role_arn="arn:aws:iam:::role/SignerRole")
        public = AwsEndpoint.parse(origin)
        store = S3DocumentStore(wire, endpoint=endpoint, public_endpoint=public, bucket=BUCKET, region=REGION, signer=signer)
        stored = await store.read(KEY)
        await (store.create(KEY, b"{}") if stored is None else store.replace(KEY, b"{}", etag=stored[1]))
        href = store.sign(KEY, lifetime=300).href
        await wire.close()
        return href

    def get(self, url: str, *, source: str) -> tuple[int, bytes]:
        """Follow a link from an address of this machine."""
        parts = urlsplit(url)
        trusted = ssl.create_default_context(cafile=self.certificates)
        connection = http.client.HTTPConnection(parts.netloc, source_address=(source, 0), timeout=30)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.netloc, source_address=(source, 0), timeout=30, context=trusted)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}")
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Run the server; create the signer, a bucket with the policy, and a bucket with the lifecycle rules and aging documents."""
    require_ceph()
    directory = tmp_path_factory.mktemp("ceph-policies")
    authority, port = trustme.CA(), free_port()
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    with ceph(directory, sts=True, https=(port, directory / "server.pem"), day=1) as server:
        made = Store(server=server, https=f"https://127.0.0.1:{port}", certificates=directory / "authority.pem")
        _make_expiring(made.client("s3"))
        _make_signer(made.client("iam"))
        made.client("s3").create_bucket(Bucket=BUCKET)
        policy = properties("DocumentsPolicy", names={"Documents": BUCKET}, AllowedCidrs=f"{INSIDE}/32")["PolicyDocument"]
        made.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=for_ceph(policy))
        yield made


def for_ceph(document: Any) -> str:
    """Write a policy in the form that Ceph reads."""
    return json.dumps(document, separators=(",", ":")).replace(f"iam::{ACCOUNT}:role/", "iam:::role/")


def _make_signer(iam: Any) -> None:
    trusted = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam:::user/offpoll"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="SignerRole", AssumeRolePolicyDocument=for_ceph({"Version": "2012-10-17", "Statement": [trusted]}))
    document = {"Version": "2012-10-17", "Statement": statements("SignerRole", names={"Documents": BUCKET})}
    iam.put_role_policy(RoleName="SignerRole", PolicyName="signer", PolicyDocument=for_ceph(document))


def _make_expiring(s3: Any) -> None:
    """Create a bucket whose documents begin to age now, and one other object."""
    s3.create_bucket(Bucket=EXPIRING)
    s3.put_bucket_lifecycle_configuration(
        Bucket=EXPIRING, LifecycleConfiguration={"Rules": [as_request(each) for each in rules("Documents")]}
    )
    for key in (KEY, "other/key"):
        s3.put_object(Bucket=EXPIRING, Key=key, Body=b"{}")


def as_request(rule: dict[str, Any]) -> dict[str, Any]:
    """Translate a CloudFormation rule into an S3 request."""
    said = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        said["Expiration"] = {"Days": rule["ExpirationInDays"]}
    return {**said, **{name: rule[name] for name in ("AbortIncompleteMultipartUpload",) if name in rule}}


def test_only_allowed_addresses_may_use_a_link(store: Store, run: Run) -> None:
    """A valid link works only from an address on the list. Our own functions write and read from elsewhere."""
    link = run(store.link(store.https))
    assert store.get(link, source=INSIDE) == (200, b"{}")
    status, body = store.get(link, source=OUTSIDE)
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)


def test_plain_http_is_refused(store: Store, run: Run) -> None:
    """A link does not sign its scheme, so the bucket refuses plain HTTP from everywhere."""
    link = run(store.link(store.server.origin))
    assert link.startswith("http://")
    for source in (INSIDE, OUTSIDE):
        assert store.get(link, source=source)[0] == 403
    again = run(store.link(store.https))
    assert store.get(again, source=INSIDE)[0] == 200


def test_documents_expire(store: Store) -> None:
    """The bucket deletes documents after the template's days, and nothing else."""
    s3, end = store.client("s3"), time.monotonic() + PATIENCE

    def keys() -> list[str]:
        return [each["Key"] for each in s3.list_objects_v2(Bucket=EXPIRING).get("Contents", [])]

    while KEY in keys():
        assert time.monotonic() < end, "the document is still there"
        time.sleep(0.2)
    assert keys() == ["other/key"]
