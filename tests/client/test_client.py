"""What else both clients offer: polling without waiting, results, cancels, hooks, and transports of your own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.client_world import BROKEN, ID, ORDER, SELF, STORE

import offpoll.client
import offpoll.exchange
import offpoll.poll_plan
import offpoll.ticket
from offpoll.errors import ApiError, ConfigurationError, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import Response


class TestClient:
    def test_poll(self, make, world):
        """Polling yields each new document, and last the terminal one, however the operation ended."""
        world.on(STORE, world.shows(world.document("running")), world.shows(world.document("failed")))
        assert [document.status for document in make().polled(world.ticket())] == ["running", "failed"]

    def test_poll_timeout(self, make, world):
        """Polling times out as waiting does."""
        world.on(STORE, world.shows(world.document("running")))
        with pytest.raises(WaitTimeout):
            make().polled(world.ticket(), timeout=30.0)
        assert world.now == 30.0

    def test_result(self, make, world):
        """`result` fetches a result without waiting."""
        world.on(SELF, world.json(ORDER))
        assert make().result(world.ticket()) == ORDER

    @pytest.mark.parametrize(("status", "error"), [("failed", OperationFailed), ("canceled", OperationCanceled)])
    def test_result_of_an_end(self, make, world, status, error):
        """`result` raises the end of an operation that failed or was canceled."""
        world.on(SELF, world.json({"title": "t", "operation_status": status, "error": {"code": "c"}}, 404))
        with pytest.raises(error):
            make().result(world.ticket())

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda world: world.shows(world.document(), 202), "not done yet"),
            (lambda world: world.json({"title": "No such operation"}, 404), "No such operation"),
            (lambda world: Response(status=200, headers={"content-type": "text/html"}, body=b"<html>"), "it is not offpoll's"),
        ],
    )
    def test_no_result(self, make, world, answer, words):
        """The error says which it was: no result yet, no such operation, or an answer that is not offpoll's."""
        world.on(SELF, answer(world))
        with pytest.raises(ApiError, match=words):
            make().result(world.ticket())

    def test_cancel(self, make, world):
        """The client repeats a cancel until it gets an answer, and returns the document."""
        world.on(f"POST /order/{ID}/cancel", BROKEN, world.shows(world.document("canceled"), 202))
        assert make().cancel(world.ticket()).status == "canceled"

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda world: world.json({"title": "Already finished"}, 409), "Already finished"),
            (lambda world: Response(status=202, headers={}, body=b"<html>"), "not offpoll's"),
            (lambda world: world.shows(world.document(id="f" * 32), 202), "another operation"),
        ],
    )
    def test_cancel_refused(self, make, world, answer, words):
        """A refused cancel, or an answer that is not offpoll's, is an error."""
        world.on(f"POST /order/{ID}/cancel", answer(world))
        with pytest.raises(ApiError, match=words):
            make().cancel(world.ticket())

    def test_on_request(self, make, world):
        """`on_request` is told of every request: its method, its URL without the query, and the status."""
        world.on(STORE, BROKEN, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        told = []
        make(on_request=lambda *request: told.append(request)).wait(world.ticket())
        store = "https://store.test/status/1"
        assert told == [("GET", store, 0), ("GET", store, 200), ("GET", f"https://api.test/order/{ID}", 200)]

    def test_a_transport_that_is_given_stays_open(self, make, world):
        """A client does not close a transport that the caller made."""
        make().close()
        assert world.closed == 0


def test_a_transport_has_its_own_proxy(make):
    """A proxy or certificates beside a transport are refused, because they would have no effect."""
    for option in ({"proxy": "http://proxy.test:3128"}, {"ca": b"x"}):
        with pytest.raises(ConfigurationError, match="transport"):
            make(**option)


def test_no_wall_clock() -> None:
    """No client code reads this machine's clock, so a wrong clock changes nothing that a client decides."""
    sources = [offpoll.exchange, offpoll.poll_plan, offpoll.ticket]
    paths = [Path(str(module.__file__)) for module in sources] + sorted(Path(offpoll.client.__file__).parent.glob("*.py"))
    assert len(paths) > 10
    for path in paths:
        assert not re.search(r"\btime\.time\b|\bnow\(|\bfrom time import\b|\butcnow\b", path.read_text()), path
