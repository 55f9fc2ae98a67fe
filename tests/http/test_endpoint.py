"""Every route of the HTTP interface other than submit, without a framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.http_api import NOBODYS, api, shop

from offpoll.app import Caller, Offpoll
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable, Forbidden, PartialOutage, Unauthorized
from offpoll.http.endpoint import Request
from offpoll.operation import Operation

# --- GET /order/{id} ----------------------------------------------------------------------------


def test_order() -> None:
    """GET answers 202 with the document until it is done, then 200 with the order, and 304 to a matching ETag."""
    with api() as at:
        operation_id = at.submit({"sku": "A1", "quantity": 20})
        status, headers, fields = at("GET", f"/order/{operation_id}")
        assert (status, fields["status"]) == (202, "queued")
        assert int(headers["retry-after"]) >= 1
        at.lab.until_done(operation_id)
        status, headers, fields = at("GET", f"/order/{operation_id}")
        assert (status, fields) == (200, {"number": 7, "sku": "A1"})
        for etag in (headers["etag"], "W/" + headers["etag"], f'"x", {headers["etag"]}', "*"):
            assert at("GET", f"/order/{operation_id}", if_none_match=etag)[0] == 304
        assert at("GET", f"/order/{operation_id}", if_none_match='"other"')[0] == 200


def test_failed_and_canceled() -> None:
    """GET of an operation that failed or was canceled is a 404 that says so, with the error."""
    with api() as at:
        failed = at.submit({"sku": "none", "quantity": 1})
        canceled = at.submit({"sku": "A1", "quantity": 500})
        at.lab.until_done(failed)
        at("POST", f"/order/{canceled}/cancel")
        status, _, fields = at("GET", f"/order/{failed}")
        assert (status, fields["code"], fields["operation_status"]) == (404, "operation_failed", "failed")
        assert fields["error"] == {"code": "out_of_stock", "message": "There is none left.", "sku": "none"}
        status, _, fields = at("GET", f"/order/{canceled}")
        assert (status, fields["code"], fields["error"]["code"]) == (404, "operation_canceled", "canceled")


@pytest.mark.parametrize("path", ["/order/{}", "/order/{}/status-link", "/order/{}/cancel"])
def test_not_found(path: str) -> None:
    """An id that is unknown, malformed, another kind's or another owner's is a 404, and decides nothing."""

    async def owner(caller: Caller) -> str:
        return caller.headers.get("x-owner", "public")

    with api(authorize=owner, workers=0) as at:
        own = at.submit()
        report = at("POST", "/report", 5)[2]["id"]
        method = "GET" if path == "/order/{}" else "POST"
        for operation_id in (NOBODYS, "A" * 32, "a" * 31, "..", "%2e%2e", report):
            status, _, fields = at(method, path.format(operation_id))
            assert (status, fields["code"]) == (404, "operation_not_found"), operation_id
        assert at(method, path.format(own), x_owner="other")[0] == 404
        assert at(method, path.replace("order", "invoice").format(own))[0] == 404
        assert at.lab.system.records._records == {}


def test_a_document_that_lags_is_repaired() -> None:
    """GET answers with an outcome from the record, and repairs the document."""
    with api() as at:
        at.lab.on_store.fail("replace", times=10_000)
        operation_id = at.submit()
        at.lab.system.advance(30)
        assert at("GET", f"/order/{operation_id}")[0] == 200  # the repair fails, the answer does not
        assert not at.lab.document(operation_id).done
        at.lab.on_store._plans.clear()
        assert at("GET", f"/order/{operation_id}")[0] == 200
        assert at.lab.document(operation_id).status == "succeeded"


def test_past_retention() -> None:
    """When the record has expired, GET is a 404 and a cancel changes nothing."""
    with api() as at:
        operation_id = at.submit()
        at.lab.until_done(operation_id)
        at.lab.system.records._records.clear()
        assert at("GET", f"/order/{operation_id}")[0] == 404
        status, _, fields = at("POST", f"/order/{operation_id}/cancel")
        assert (status, fields["operation_status"]) == (409, "succeeded")
        assert at.lab.system.records._records == {}


# --- status link and cancel ---------------------------------------------------------------------


def test_status_link() -> None:
    """POST to `status-link` returns a fresh link that works after the old one has expired."""
    with api(workers=0, link_lifetime_floor=60.0) as at:
        operation_id = at.submit()
        at.lab.system.advance(100)
        status, headers, fields = at("POST", f"/order/{operation_id}/status-link")
        assert (status, headers["cache-control"], fields.keys()) == (200, "no-store", {"href", "expires_at"})
        assert at.lab.system.store.answer("GET", fields["href"], {})[0] == 200


def test_cancel() -> None:
    """A cancel answers 202, repeated too, and 409 if the operation ended otherwise; repeating it repairs the document."""
    with api() as at:
        operation_id = at.submit({"sku": "A1", "quantity": 50})
        at.lab.on_store.fail("replace")
        assert at("POST", f"/order/{operation_id}/cancel")[0] == 503
        assert at.lab.document(operation_id).status == "queued"
        for _ in range(2):
            status, headers, fields = at("POST", f"/order/{operation_id}/cancel")
            assert (status, headers["retry-after"], fields["status"]) == (202, "0", "canceled")
        done = at.submit()
        at.lab.until_done(done)
        status, _, fields = at("POST", f"/order/{done}/cancel")
        assert (status, fields["code"], fields["operation_status"]) == (409, "already_finished", "succeeded")


# --- owners -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "status"), [(Unauthorized("Who are you?"), 401), (Forbidden("Not you."), 403)])
def test_authorize_refuses(error: Exception, status: int) -> None:
    """If `authorize` refuses the caller, nothing of the request is read."""

    async def refuse(caller: Caller) -> str:
        raise error

    async def read(limit: int) -> bytes:
        raise AssertionError("read")

    with api(authorize=refuse, workers=0) as at:
        request = Request(method="POST", path="/order", headers={"host": "h"}, scheme="https", read=read)
        for each in (request, replace(request, method="GET", path=f"/order/{NOBODYS}"), replace(request, path=f"/order/{NOBODYS}/cancel")):
            answered, headers, _ = at.send(each)
            assert answered == status
            assert ("www-authenticate" in headers) is (status == 401)
        assert at.lab.on_store.calls == []


def test_owners_are_kept_apart() -> None:
    """The same key of several owners makes several operations, and each owner sees only its own."""

    async def owner(caller: Caller) -> str:
        return caller.headers["x-owner"]

    with api(authorize=owner, workers=0) as at:
        ids = {name: at.submit(idempotency_key="k", x_owner=name) for name in ("a", "b", "Zoë")}
        assert len(set(ids.values())) == 3
        for name, operation_id in ids.items():
            assert [at("GET", f"/order/{operation_id}", x_owner=other)[0] == 202 for other in ids] == [other == name for other in ids]


@pytest.mark.parametrize("status", ["succeeded", "queued"])
def test_another_owners_operation_is_not_there(status: str) -> None:
    """Another owner's id reveals nothing about the operation, not even that it exists, and changes nothing."""

    async def owner(caller: Caller) -> str:
        return caller.headers["x-owner"]

    with api(authorize=owner, workers=int(status == "succeeded")) as at:
        operation_id = at.submit(x_owner="a")
        at.lab.system.advance(30)
        own = at("GET", f"/order/{operation_id}", x_owner="a")
        assert own[0] == (200 if status == "succeeded" else 202)
        for method, path in (("GET", ""), ("POST", "/status-link"), ("POST", "/cancel")):
            answered, _, fields = at(method, f"/order/{operation_id}{path}", x_owner="b")
            assert (answered, fields["code"]) == (404, "operation_not_found")
            assert "sku" not in json.dumps(fields)
        assert at("GET", f"/order/{operation_id}", x_owner="a")[2] == own[2]


# --- routing, health, fetch hooks ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/order", 405, "POST"),
        ("DELETE", f"/order/{NOBODYS}", 405, "GET"),
        ("GET", f"/order/{NOBODYS}/cancel", 405, "POST"),
        ("PUT", f"/order/{NOBODYS}/status-link", 405, "POST"),
        ("POST", "/livez", 405, "GET"),
        ("GET", "/", 404, None),
        ("POST", f"/order/{NOBODYS}/pay", 404, None),
        ("POST", "/invoice", 404, None),
    ],
)
def test_routing(method: str, path: str, status: int, allow: str | None) -> None:
    """A wrong method on a known path is a 405 that names the allowed one; an unknown path is a 404."""
    with api(workers=0) as at:
        answered, headers, _ = at(method, path)
        assert (answered, headers.get("allow")) == (status, allow)


def test_health() -> None:
    """`livez` always answers 200. `readyz` checks the stores, at most every few seconds, and hides the reason of a fault."""
    asked: list[float] = []
    faults: list[Exception] = []

    with api(workers=0) as at:

        async def check() -> None:
            asked.append(at.lab.time)
            if faults:
                raise faults[0]

        at.lab.system.service.dependencies = replace(at.lab.system.service.dependencies, check=check)
        assert at("GET", "/livez")[0] == 200
        for _ in range(3):
            assert at("GET", "/readyz")[0] == 200
        assert len(asked) == 1
        for fault in (DependencyUnavailable("SQS", "secret"), DependencyRefused("S3", "secret"), ConfigurationError("secret")):
            faults[:] = [fault]
            at.lab.system.advance(10)
            for _ in range(2):  # a fault is cached for as long: an outage is no reason to ask more often
                status, headers, fields = at("GET", "/readyz")
                assert (status, fields["code"]) == (503, "not_ready")
                assert "retry-after" in headers
                assert "secret" not in json.dumps(fields)
        assert len(asked) == 4


def test_probes_share_one_check() -> None:
    """Probes that arrive during a check share it, and one that gives up does not end it for the others."""
    asked: list[float] = []

    with api(workers=0) as at:
        system = at.lab.system

        async def check() -> None:
            asked.append(system.loop.time())
            await asyncio.sleep(3)

        system.service.dependencies = replace(system.service.dependencies, check=check)

        async def probes() -> None:
            tasks = [asyncio.create_task(at.endpoint.readyz()) for _ in range(20)]
            await asyncio.sleep(0.5)
            tasks[0].cancel()
            answers = await asyncio.gather(*tasks[1:])
            assert {answer.status for answer in answers} == {200}
            await asyncio.sleep(7.1)
            await at.endpoint.readyz()
            await asyncio.sleep(0.2)
            await at.endpoint.readyz()

        system.run(probes())
        assert len(asked) == 2


def test_a_check_that_hangs() -> None:
    """A probe is answered within a second, by the last check that ended, although a store takes a minute to fail."""
    with api(workers=0) as at:
        system, fault = at.lab.system, DependencyUnavailable("S3", "no answer")

        async def check() -> None:
            await asyncio.sleep(60)
            raise fault

        system.service.dependencies = replace(system.service.dependencies, check=check)

        async def probe() -> tuple[int, float]:
            began = system.loop.time()
            return (await at.endpoint.readyz()).status, system.loop.time() - began

        assert system.run(probe()) == (200, pytest.approx(0.8))
        system.advance(60)
        assert system.run(probe()) == (503, pytest.approx(0))


def test_a_partial_outage() -> None:
    """While some dependencies answer, the API stays ready and says what is away: the others would leave no instance to answer anything."""

    async def check() -> None:
        raise PartialOutage("DynamoDB, SQS", "secret")

    with api(workers=0) as at:
        at.lab.system.service.dependencies = replace(at.lab.system.service.dependencies, check=check)
        status, _, fields = at("GET", "/readyz")
        assert (status, fields) == (200, {"status": "degraded", "unavailable": "DynamoDB, SQS"})
        assert at("GET", "/livez")[0] == 200


def fetching(hook: Callable[[Operation], Any]) -> Offpoll:
    app = shop()
    app.fetch("order")(hook)
    return app


def test_fetch_hooks() -> None:
    """A fetch hook answers GET for a succeeded operation, even after its record has expired; None is a 404."""
    asked: list[Operation] = []

    async def found(operation: Operation) -> dict[str, Any]:
        asked.append(operation)
        return {"number": 8}

    def plain(operation: Operation) -> dict[str, Any]:
        return {"number": 9}

    def gone(operation: Operation) -> None:
        return None

    def broken(operation: Operation) -> Any:
        raise ZeroDivisionError("secret")

    for hook, status, body in ((found, 200, {"number": 8}), (plain, 200, {"number": 9}), (gone, 404, None), (broken, 500, None)):
        with api(fetching(hook)) as at:
            operation_id = at.submit()
            assert at("GET", f"/order/{operation_id}")[0] == 202
            at.lab.until_done(operation_id)
            answered, _, fields = at("GET", f"/order/{operation_id}")
            assert answered == status
            assert body is None or fields == body
            at.lab.system.records._records.clear()
            assert at("GET", f"/order/{operation_id}")[0] == status
            at.lab.on_records.down()
            assert at("GET", f"/order/{operation_id}")[0] == status
    assert {(each.kind, each.owner) for each in asked} == {("order", "public")}
