"""The text of a signed request's headers: whatever the headers, the second and the credentials, botocore signs the same."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from offpoll.aws.connections import Connections, Unsendable
from offpoll.aws.credentials import Credentials
from offpoll.aws.s3 import encryption_headers
from offpoll.aws.sigv4 import HeaderSigner, SignedHeaders, header_lines

HOST = "docs.s3.eu-west-1.amazonaws.com"
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
KMS = encryption_headers("aws:kms", kms_key_id="arn:aws:kms:eu-west-1:123456789012:key/0f-1", bucket_key=True)

#: Headers that offpoll sends, others that S3 knows, and any.
KNOWN = [
    *("content-type", "cache-control", "if-match", "if-none-match", "x-amz-target", "x-amz-expected-bucket-owner", *KMS),
    *("x-amz-acl", "x-amz-storage-class", "x-amz-tagging", "x-amz-meta-a-b", "content-md5"),
]
NAMES = st.sampled_from(KNOWN) | st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20).map("x-".__add__)
VALUES = st.text("".join(map(chr, range(0x21, 0x7F))), min_size=1, max_size=30) | st.sampled_from(["private, no-cache", "*", '"etag"'])
HEADERS = st.dictionaries(NAMES, VALUES, max_size=6)
KEYS = st.builds(
    Credentials,
    access_key=st.sampled_from(["AKIAEXAMPLE", "ASIAEXAMPLE"]),
    secret_key=st.sampled_from(["one", "two"]),
    session_token=st.sampled_from([None, "t", "FwoG+/=="]),
)
CALLS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 1), st.sampled_from([0, 0, 0, 0.4, 1, -1, 86_400]), st.sampled_from([b"", b"{}", b"\0\xff"])
    ),
    min_size=1,
    max_size=12,
)


def botocores(service: str, credentials: Credentials, *, at: datetime, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers that botocore's signer sends for the same call."""
    request = AWSRequest(
        method="PUT", url=f"https://{HOST}/status/k" if service == "s3" else f"https://{HOST}/", headers=dict(headers), data=body
    )
    frozen = ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.session_token)
    signer: Any = S3SigV4Auth if service == "s3" else SigV4Auth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: at.astimezone(UTC).replace(tzinfo=None))
        signer(frozen, service, "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def parsed(lines: str) -> dict[str, str]:
    """Read lines as a server does."""
    assert lines.endswith("\r\n")
    pairs = [line.partition(": ") for line in lines.removesuffix("\r\n").split("\r\n")]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    service=st.sampled_from(["s3", "sqs"]),
    sets=st.lists(HEADERS, min_size=3, max_size=3),
    keys=st.lists(KEYS, min_size=2, max_size=2),
    calls=CALLS,
)
@example(
    service="s3",
    sets=[{"if-none-match": "*", **KMS}, {"if-match": "e", **KMS}, {}],
    keys=[Credentials(access_key="A", secret_key="one", session_token="t"), Credentials(access_key="A", secret_key="two")],
    calls=[(0, 0, 0, b"{}"), (1, 0, 0, b"{}"), (0, 1, 0, b"{}"), (0, 0, 1, b"{}"), (2, 1, 1, b""), (0, 0, -1, b"{}")],
)
def test_any_headers_are_signed_as_botocore_signs_them(
    service: str, sets: list[dict[str, str]], keys: list[Credentials], calls: list[tuple[int, int, float, bytes]]
) -> None:
    """One signer, reused over header sets, seconds, midnight, clocks that step back and rotated keys, always sends botocore's headers."""
    signer, at = HeaderSigner(service=service, region="eu-west-1", host=HOST), MIDNIGHT - timedelta(seconds=1)
    for chosen, key, step, body in calls:
        at += timedelta(seconds=step)
        path = "/status/k" if service == "s3" else "/"
        sent = signer.sign(keys[key], at=at, method="PUT", path=path, headers=sets[chosen], body=body)
        want = botocores(service, keys[key], at=at, headers=sets[chosen], body=body)
        assert dict(sent) == want
        assert parsed(sent.lines) == want


@given(HEADERS)
def test_header_lines_say_what_the_headers_say(headers: dict[str, str]) -> None:
    """Every header has one line, in order."""
    assert header_lines(headers) == "".join(f"{name}: {value}\r\n" for name, value in headers.items())


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a": "b\nc"}, {"a": "b\r"}, {"a\r\nb": "c"}, {"a": "ok", "b\n": ""}])
def test_a_line_break_makes_no_lines(headers: dict[str, str]) -> None:
    """A value that would begin a header of its own is never written, signed or not; nothing is sent."""
    signed = HeaderSigner(service="s3", region="eu-west-1", host=HOST).sign(
        Credentials(access_key="A", secret_key="s"), at=MIDNIGHT, method="PUT", path="/k", headers=headers
    )
    connections = Connections(f"https://{HOST}", host=HOST, tls=lambda: pytest.fail("connects"))
    assert (header_lines(headers), signed.lines) == ("", "")
    for each in (headers, signed):
        with pytest.raises(Unsendable):
            connections._write("PUT", "/k", each, b"")


def test_signed_headers_are_sent_as_they_were_signed() -> None:
    """The lines that travel are those of the signature, with the host that it signs and the body's length."""
    signed = HeaderSigner(service="s3", region="eu-west-1", host=HOST).sign(
        Credentials(access_key="A", secret_key="s"), at=MIDNIGHT, method="PUT", path="/k", headers=KMS, body=b"{}"
    )
    assert isinstance(signed, SignedHeaders)
    written = Connections(f"https://{HOST}", host=HOST, tls=lambda: pytest.fail("connects"))._write("PUT", "/k", signed, b"{}").decode()
    head, _, body = written.partition("\r\n\r\n")
    sent = parsed(head.partition("\r\n")[2] + "\r\n")
    assert body == "{}"
    assert sent == {**signed, "host": HOST, "user-agent": "offpoll", "content-length": "2"}


def test_one_signers_layouts_do_not_mix() -> None:
    """Two header sets whose text is alike have signatures of their own, in either order of their headers."""
    signer = HeaderSigner(service="s3", region="eu-west-1", host=HOST)
    credentials = Credentials(access_key="A", secret_key="s")
    alike: list[dict[str, str]] = [{"a": "b", "c": "d"}, {"c": "d", "a": "b"}, {"a": "d", "c": "b"}, {"a": "b"}, {"a": "b", "c": ""}]
    for headers in alike * 2:
        sent = signer.sign(credentials, at=MIDNIGHT, method="PUT", path="/status/k", headers=headers)
        assert dict(sent) == botocores("s3", credentials, at=MIDNIGHT, headers=headers, body=b"")
