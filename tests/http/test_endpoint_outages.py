"""The HTTP interface during outages and faults."""

from __future__ import annotations

import json
from typing import Any

from tests.support.http_api import GOOD, Api, api

from offpoll.errors import DependencyRefused


def unavailable(at: Api, answered: tuple[int, dict[str, str], Any]) -> None:
    status, headers, fields = answered
    assert (status, fields["code"]) == (503, "dependency_unavailable")
    assert int(headers["retry-after"]) >= 1


def test_the_store_is_down() -> None:
    """With the store down, a submit answers 503 and enqueues nothing; GET answers from the record, done or not."""
    with api() as at:
        done, running = at.submit(), at.submit({"sku": "A1", "quantity": 500})
        at.lab.until_done(done)
        at.lab.on_store.down()
        messages = at.lab.messages
        unavailable(at, at("POST", "/order", GOOD, idempotency_key="k"))
        assert at.lab.messages == messages
        assert at("GET", f"/order/{done}")[0] == 200
        status, _, fields = at("GET", f"/order/{running}")
        assert (status, fields["status"], fields["id"]) == (202, "running", running)
        unavailable(at, at("POST", f"/order/{running}/status-link"))
        unavailable(at, at("POST", f"/order/{running}/cancel"))
        at.lab.on_store.up()
        assert at.submit(idempotency_key="k")


def test_the_queue_is_down() -> None:
    """With the queue down, a submit answers 503; a retry with the same key finishes it, once."""
    with api(workers=0) as at:
        at.lab.on_queue.down()
        unavailable(at, at("POST", "/order", GOOD, idempotency_key="k"))
        assert at("POST", "/order", {**GOOD, "quantity": 3}, idempotency_key="k")[0] == 422
        at.lab.on_queue.up()
        operation_id = at.submit(idempotency_key="k")
        at.lab.system.start_worker()
        assert at.lab.until_done(operation_id).status == "succeeded"
        assert len(at.lab.system.records._records) == 1


def test_the_records_are_down() -> None:
    """With the records down, a submit answers 202 and GET the document, or 503 for a result; once they are back, all finish."""
    with api() as at:
        done = at.submit()
        at.lab.until_done(done)
        at.lab.on_records.down()
        operation_id = at.submit({"sku": "A1", "quantity": 3})
        assert at("GET", f"/order/{operation_id}")[0] == 202
        unavailable(at, at("GET", f"/order/{done}"))
        unavailable(at, at("POST", f"/order/{operation_id}/cancel"))
        at.lab.on_store.down()
        unavailable(at, at("GET", f"/order/{operation_id}"))
        at.lab.on_store.up()
        at.lab.on_records.up()
        assert at.lab.until_done(operation_id).status == "succeeded"


def test_refused() -> None:
    """A refusal that only operators can mend is a 503, and the reason does not reach the caller."""
    with api(workers=0) as at:
        at.lab.on_store.fail("create", error=DependencyRefused("S3", "bucket-secret-name: denied", code="AccessDenied"))
        status, headers, fields = at("POST", "/order", GOOD)
        assert (status, fields["code"], headers["retry-after"]) == (503, "dependency_refused", "30")
        assert "bucket-secret-name" not in json.dumps(fields)


def test_a_fault_in_offpoll() -> None:
    """An unexpected exception becomes a problem document that reveals nothing of it."""
    with api(workers=0) as at:
        at.lab.on_store.fail("create", error=ZeroDivisionError("secret"))
        status, _, fields = at("POST", "/order", GOOD)
        assert (status, fields["code"]) == (500, "internal_error")
        assert "secret" not in json.dumps(fields)
