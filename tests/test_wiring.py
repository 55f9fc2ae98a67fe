"""Connecting an app to AWS: what is checked at the start, and the error for each mistake."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.scripted_aws import Reply, Scripted

from offpoll import Settings
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable, PartialOutage
from offpoll.instant import utc_now
from offpoll.measured import MeasuredRecords, MeasuredStore
from offpoll.wiring import async_status_board, dependencies, load_app

ENVIRON = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
SET = {
    "bucket": "documents",
    "queue_url": "http://127.0.0.1:9/1/q",
    "dead_letter_queue_url": "http://127.0.0.1:9/1/d",
    "parking_queue_url": "http://127.0.0.1:9/1/p",
    "records_table": "records",
}


def test_every_check_is_awaited_and_a_refusal_comes_first() -> None:
    """After a refusal no check is left running. Errors that an operator must mend come before outages that may pass."""
    made = dependencies(Settings(**SET), environ=ENVIRON)
    ended: list[str] = []

    async def refuse(*_: object, **__: object) -> None:
        raise DependencyRefused("SQS", "no such queue", code="QueueDoesNotExist")

    async def slowly(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        ended.append("records")

    async def main() -> None:
        made.queue.check = refuse  # type: ignore[attr-defined]
        made.records.check = slowly  # type: ignore[attr-defined]
        made.board.store.check = slowly  # type: ignore[attr-defined]
        with pytest.raises(DependencyRefused):
            await made.check()

    asyncio.run(main())
    assert ended == ["records", "records"]


@pytest.mark.parametrize("away", [(), ("store",), ("queue", "store"), ("records", "queue"), ("records", "queue", "store")])
def test_what_is_away(away: tuple[str, ...]) -> None:
    """If some do not answer the error says so, and names them; if none answers, that is an outage like any other."""
    made = dependencies(Settings(**SET), environ=ENVIRON)
    parts = {"queue": ("SQS", made.queue), "records": ("DynamoDB", made.records), "store": ("S3", made.board.store)}

    def answering(name: str, service: str) -> Any:
        async def check(*_: object, **__: object) -> None:
            if name in away:
                raise DependencyUnavailable(service, "no answer")

        return check

    for name, (service, part) in parts.items():
        part.check = answering(name, service)  # type: ignore[attr-defined]
    if not away:
        asyncio.run(made.check())
        return
    with pytest.raises(DependencyUnavailable) as raised:
        asyncio.run(made.check())
    assert isinstance(raised.value, PartialOutage) is (len(away) < 3)
    assert str(raised.value).endswith("no answer")
    if len(away) < 3:
        assert raised.value.service == ", ".join(sorted(parts[each][0] for each in away))


def test_a_board_needs_a_bucket_and_nothing_else() -> None:
    """Without a bucket the error names the variable; with one, links can be made without I/O."""
    with pytest.raises(ConfigurationError, match="OFFPOLL_BUCKET"):
        async_status_board(environ=ENVIRON)
    link = async_status_board(environ=ENVIRON, bucket="documents").link("status/public/" + "0" * 32)
    assert link.href.startswith("http://127.0.0.1:9/documents/status/public/")


@pytest.mark.parametrize(
    ("source", "reference", "said"),
    [
        (None, "nowhere", "module:attribute"),
        (None, "nowhere:app", "there is no module 'nowhere'"),
        ("import missing_thing", "broken_a:app", "missing_thing"),
        ("1 / 0", "broken_b:app", "ZeroDivisionError"),
        ("app = 1", "broken_c:app", "a int, not an Offpoll"),
    ],
)
def test_an_app_that_cannot_be_loaded(
    source: str | None, reference: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what was found instead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if source is not None:
        (tmp_path / f"{reference.partition(':')[0]}.py").write_text(source)
    with pytest.raises(ConfigurationError, match=said):
        load_app(reference)


def test_counts_go_where_the_log_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """With `emf` each count is one line in the log; by default nothing is written."""
    dependencies(Settings(**SET), environ=ENVIRON).metrics.count("MessagesParked")
    assert capsys.readouterr() == ("", "")
    dependencies(Settings(**SET, metrics="emf"), environ=ENVIRON).metrics.count("MessagesParked")
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n"), json.loads(shown.err)["MessagesParked"]) == ("", 1, 1)


def test_operations_are_counted_on_request() -> None:
    """With `emf`, wrappers measure outcomes and conflicts; without it, there are no wrappers."""
    made = dependencies(Settings(**SET, metrics="emf"), environ=ENVIRON)
    assert isinstance(made.records, MeasuredRecords)
    assert isinstance(made.board.store, MeasuredStore)
    plain = dependencies(Settings(**SET), environ=ENVIRON)
    assert not isinstance(plain.records, MeasuredRecords)
    assert not isinstance(plain.board.store, MeasuredStore)


ROLE = "arn:aws:iam::123456789012:role/signer"
ASSUMED = b"""<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><X><Credentials><AccessKeyId>ASIASIGNER</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></X></R>"""


def test_a_separate_role_signs_links() -> None:
    """This process's credentials assume the role. A link ends before the role's session does. A worker signs nothing."""

    async def use() -> None:
        end = utc_now().replace(microsecond=0) + timedelta(minutes=30)
        response = ASSUMED % end.isoformat().replace("+00:00", "Z").encode()
        async with Scripted([Reply(200, response)]) as sts, Scripted([Reply(200, b"", {"ETag": '"e"'})]) as s3:
            environ = {**ENVIRON, "AWS_ENDPOINT_URL_STS": sts.origin, "AWS_ENDPOINT_URL_S3": s3.origin}
            settings = Settings(**SET, signer_role_arn=ROLE, link_lifetime_floor=3600.0)
            api = dependencies(settings, environ=environ)
            link = await api.board.open("0" * 32, kind="order")
            assert "X-Amz-Credential=ASIASIGNER%2F" in link.href
            assert timedelta(seconds=60) <= end - link.expires_at <= timedelta(seconds=62)  # whole seconds, from the signature's own clock
            assert f"RoleArn={quote(ROLE, safe='')}".encode() in sts.asked[0].body
            worker = dependencies(settings, environ=environ, links=False)
            await worker.board.open("1" * 32, kind="order")
            assert len(sts.asked) == 1
            await api.close()
            await worker.close()

    asyncio.run(use())


def test_settings_reach_the_store(tmp_path: Path) -> None:
    """What the settings and the profile say of the store holds for its requests: encryption, owner, checksum, style, tries."""
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n")

    async def use() -> list[dict[str, str]]:
        async with Scripted([Reply(503)]) as server:
            environ = {
                **{name: ENVIRON[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
                "AWS_CONFIG_FILE": str(tmp_path / "config"),
                "AWS_ENDPOINT_URL_S3": server.origin.replace("127.0.0.1", "localhost"),
                "AWS_MAX_ATTEMPTS": "1",
                "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
                "OFFPOLL_SERVER_SIDE_ENCRYPTION": "aws:kms",
                "OFFPOLL_SSE_KMS_KEY_ID": "alias/documents",
                "OFFPOLL_SSE_BUCKET_KEY": "true",
                "OFFPOLL_EXPECTED_BUCKET_OWNER": "123456789012",
            }
            by_profile = async_status_board(environ=environ, bucket="documents")
            assert by_profile.link("status/public/x").href.startswith("http://documents.localhost:")
            board = async_status_board(environ=environ, bucket="documents", addressing_style="path")
            with pytest.raises(DependencyUnavailable):
                await board.open("0" * 32, kind="order")
            return [dict(asked.headers) for asked in server.asked]

    (headers,) = asyncio.run(use())
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/documents"
    assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
    assert headers["x-amz-expected-bucket-owner"] == "123456789012"
    assert headers["x-amz-checksum-crc32"]
