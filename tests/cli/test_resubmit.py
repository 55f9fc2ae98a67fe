"""`offpoll resubmit`: the new id alone on stdout, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.deployed_operations import FAILED, decide, document, submit

from offpoll.operation import Outcome, Status

Run = Callable[..., Any]


def failed(resources: dict[str, str], *, kind: str = "order", input: bytes | None = b'{"sku":"hunter2"}') -> str:
    operation_id = submit(resources, {"sku": "hunter2"}, kind=kind)
    decide(resources, operation_id, FAILED, show=True, input=input)
    return operation_id


def test_a_failed_operation(offpoll: Run, resources: dict[str, str]) -> None:
    """The command prints the new id for scripts, and how to follow it for people. Repeating gives the same id. No input, no link."""
    old = failed(resources)
    ended = offpoll("resubmit", old, "shop:app", "--owner", "ada", **resources)
    assert ended.code == 0, ended.err
    new = ended.out.strip()
    assert f"offpoll inspect {new} --owner ada" in ended.err
    stored = document(resources, new)
    assert (stored["status"], stored["resubmit_of"], stored["kind"]) == ("queued", old, "order")
    again = offpoll("resubmit", old, "--owner", "ada", "shop:app", "--json", **resources)
    fields = json.loads(again.out)
    assert again.code == 0
    assert fields == {
        "operation_id": new,
        "resubmit_of": old,
        "kind": "order",
        "owner": "ada",
        "status": "queued",
        "created_at": stored["created_at"],
    }
    for never in ("hunter2", "X-Amz-"):
        assert never not in ended.out + ended.err + again.out + again.err
    shown = offpoll("inspect", new, "--owner", "ada", **resources)
    assert (shown.code, f"submitted again from {old}" in shown.out) == (0, True)


def test_refusals(offpoll: Run, resources: dict[str, str]) -> None:
    """Exit code 1 and one sentence; nothing on stdout."""
    succeeded = submit(resources, {"sku": "A1"})
    decide(resources, succeeded, Outcome(status=Status.SUCCEEDED), show=True)
    for operation_id, text in (
        ("a" * 32, "There is no operation"),
        (succeeded, "is succeeded"),
        (submit(resources, {"sku": "A1"}), "is queued"),
        (failed(resources, input=None), "no input was kept"),
        (failed(resources, input=b'{"sku":1}'), "not a valid input for 'order'"),
    ):
        ended = offpoll("resubmit", operation_id, "shop:app", "--owner", "ada", **resources)
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1), ended
        assert ended.err.startswith("offpoll: ")
        assert text in ended.err


def test_a_kind_that_the_app_lacks(offpoll: Run, resources: dict[str, str]) -> None:
    """The operator named the wrong MODULE:APP: exit code 2."""
    ended = offpoll("resubmit", failed(resources, kind="report"), "shop:app", "--owner", "ada", **resources)
    assert (ended.code, ended.out) == (2, "")
    assert "'report', which this app does not have: order" in ended.err


@pytest.mark.parametrize("service", ["S3", "SQS", "DYNAMODB"])
def test_an_outage(offpoll: Run, resources: dict[str, str], service: str) -> None:
    """Exit code 6: the effect is unknown, so the user should repeat the command."""
    old = failed(resources)
    ended = offpoll("resubmit", old, "shop:app", "--owner", "ada", **{**resources, f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.1:9"})
    assert (ended.code, ended.out) == (6, "")
    assert offpoll("resubmit", old, "shop:app", "--owner", "ada", **resources).code == 0


def test_usage(offpoll: Run, resources: dict[str, str]) -> None:
    """An invalid id or app, or a missing setting: exit code 2. The command needs the secret, which the new id depends on."""
    without = {name: value for name, value in resources.items() if name != "OFFPOLL_SECRET"}
    for arguments, given in (
        (("resubmit", "1", "shop:app"), resources),
        (("resubmit", "a" * 32), resources),
        (("resubmit", "a" * 32, "nothing:app"), resources),
        (("resubmit", "a" * 32, "shop:app"), without),
    ):
        assert offpoll(*arguments, **given).code == 2
