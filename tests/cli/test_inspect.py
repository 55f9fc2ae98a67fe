"""`offpoll inspect`: what it prints, what it never prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.deployed_operations import FAILED, decide, document, submit

from offpoll.operation import Outcome, Status

Run = Callable[..., Any]

SECRETIVE = b'{"sku":"hunter2"}'


def test_an_operation_in_the_queue(offpoll: Run, resources: dict[str, str]) -> None:
    """People read what the operation waits for and what to do; scripts get the same as JSON. Exit code 0, without any secret."""
    operation_id = submit(resources, {"sku": "hunter2"})
    variables = {name: value for name, value in resources.items() if name != "OFFPOLL_SECRET"}
    ended = offpoll("inspect", operation_id, "--owner", "ada", **variables)
    assert (ended.code, ended.err) == (0, "")
    for text in (operation_id, "queued, revision 1", "begins attempt 1", "queue: 1 visible, 0 in flight", "the same Idempotency-Key"):
        assert text in ended.out
    ended = offpoll("inspect", operation_id, "--owner", "ada", "--json", **variables)
    fields = json.loads(ended.out)
    assert (ended.code, fields["agree"], fields["waits_for"]["what"], fields["record"]) == (0, True, "delivery", None)
    assert fields["document"]["status"] == "queued"
    assert fields["message"]["queue"] == {"visible": 1, "in_flight": 0, "delayed": 0}
    assert fields["message"]["parking"] == {"visible": 0, "in_flight": 0, "delayed": 0}


def test_a_repair(offpoll: Run, resources: dict[str, str]) -> None:
    """For a stale document: exit code 1 without a repair, 0 with it, and 0 afterwards."""
    operation_id = submit(resources, {"sku": "A1"})
    decide(resources, operation_id, FAILED, show=False, input=SECRETIVE)
    before = offpoll("inspect", operation_id, "--owner", "ada", **resources)
    assert before.code == 1
    assert "the record says failed, the document still queued" in before.out
    assert document(resources, operation_id)["status"] == "queued"
    repaired = offpoll("inspect", operation_id, "--owner", "ada", "--repair", **resources)
    assert (repaired.code, "(repaired)" in repaired.out, "offpoll resubmit" in repaired.out) == (0, True, True)
    shown = document(resources, operation_id)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "out_of_stock")
    assert offpoll("inspect", operation_id, "--owner", "ada", **resources).code == 0


def test_repairing_a_success_needs_the_app(offpoll: Run, resources: dict[str, str]) -> None:
    """Exit code 2 says what to add; with it, the document is repaired."""
    operation_id = submit(resources, {"sku": "A1"})
    decide(resources, operation_id, Outcome(status=Status.SUCCEEDED, result='{"sku":"A1"}'), show=False)
    refused = offpoll("inspect", operation_id, "--owner", "ada", "--repair", **resources)
    assert (refused.code, "MODULE:APP" in refused.err) == (2, True)
    assert document(resources, operation_id)["status"] == "queued"
    assert offpoll("inspect", operation_id, "shop:app", "--owner", "ada", "--repair", **resources).code == 0
    assert document(resources, operation_id)["status"] == "succeeded"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_secrets_are_not_shown(offpoll: Run, resources: dict[str, str], form: tuple[str, ...]) -> None:
    """The result is shown only on request; an input, token or link never."""
    succeeded, failed = submit(resources, {"sku": "hunter2"}), submit(resources, {"sku": "hunter2"})
    decide(resources, succeeded, Outcome(status=Status.SUCCEEDED, result='{"sku":"hunter3"}'), show=True)
    decide(resources, failed, FAILED, show=True, input=SECRETIVE)
    for operation_id in (succeeded, failed):
        for asked in ((), ("--show-result",)):
            ended = offpoll("inspect", operation_id, "--owner", "ada", *form, *asked, **resources)
            assert ended.code == 0
            assert ("hunter3" in ended.out) == (operation_id == succeeded and bool(asked))
            for never in ("hunter2", "X-Amz-", "t" * 32):
                assert never not in ended.out + ended.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_unknown_id(offpoll: Run, resources: dict[str, str], form: tuple[str, ...]) -> None:
    """Exit code 1, with the possible reasons."""
    operation_id = submit(resources, {"sku": "A1"})
    for arguments in (("a" * 32, "--owner", "ada"), (operation_id,)):
        ended = offpoll("inspect", *arguments, *form, **resources)
        assert (ended.code, "no such operation of this owner" in ended.out) == (1, True)


@pytest.mark.parametrize(("service", "name"), [("DYNAMODB", "DynamoDB"), ("SQS", "SQS")])
def test_an_outage(offpoll: Run, resources: dict[str, str], service: str, name: str) -> None:
    """The rest is shown, and exit code 6 says that something is missing."""
    operation_id = submit(resources, {"sku": "A1"})
    ended = offpoll("inspect", operation_id, "--owner", "ada", **{**resources, f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.1:9"})
    assert ended.code == 6
    assert "queued, revision 1" in ended.out
    assert f"fault       {name}" in ended.out


@pytest.mark.parametrize(
    "wrong",
    [
        {"OFFPOLL_RECORDS_TABLE": "another-table"},
        {"OFFPOLL_BUCKET": "another-bucket"},
        {"OFFPOLL_PARKING_QUEUE_URL": "http://127.0.0.1/0/none"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_refusal(offpoll: Run, resources: dict[str, str], wrong: dict[str, str]) -> None:
    """A wrong name is for the operator to mend: exit code 2, the remedy, and everything that is known."""
    operation_id = submit(resources, {"sku": "A1"})
    ended = offpoll("inspect", operation_id, "--owner", "ada", **{**resources, **wrong})
    assert ended.code == 2, ended
    assert "fault       " in ended.out
    assert next(iter(wrong)) in ended.out


def test_usage(offpoll: Run, resources: dict[str, str]) -> None:
    """An invalid id, owner or app, or a missing setting: exit code 2."""
    for arguments, given in (
        (("inspect", "1"), resources),
        (("inspect", "A" * 32), resources),
        (("inspect", "a" * 32, "--owner", ""), resources),
        (("inspect", "a" * 32, "nothing:app"), resources),
        (("inspect", "a" * 32), {}),
        (("inspect",), resources),
    ):
        assert offpoll(*arguments, **given).code == 2
