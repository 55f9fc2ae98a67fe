"""Waiting for one operation: its result, its error, its time limit, and a store out of reach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from tests.support.client_world import BROKEN, ID, ORDER, SELF, STORE, unavailable

from offpoll.errors import ApiError, ConfigurationError, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import Response
from offpoll.ticket import Ticket


@dataclass
class Order:
    total: int


class Model(pydantic.BaseModel):
    total: int


class Struct(msgspec.Struct):
    total: int


class Other(msgspec.Struct):
    sum: int


class Dict(TypedDict):
    total: int


class Tuple(NamedTuple):
    total: int


class TestWait:
    def test_result(self, make, world):
        """A wait polls the store until the operation is done, then fetches its result from the API, once."""
        running = world.document("running", attempt=1)
        world.on(STORE, world.shows(running), world.shows(world.document("succeeded", attempt=1)))
        world.on(SELF, world.json(ORDER))
        shown = []
        assert make().wait(world.ticket(), on_update=shown.append) == ORDER
        assert world.steps == ["GET store", "GET store", "GET api"]
        assert [document.status for document in shown] == ["running", "succeeded"]
        assert world.now == pytest.approx(10.1 + 2.0)

    def test_failed(self, make, world):
        """Waiting for a failed operation raises its error, without a request to the API."""
        error = {"code": "sold_out", "message": "no more of these"}
        world.on(STORE, world.shows(world.document("failed", error=error)))
        with pytest.raises(OperationFailed, match="sold_out: no more of these") as caught:
            make().wait(world.ticket())
        assert (caught.value.code, caught.value.error, world.steps) == ("sold_out", error, ["GET store"])

    def test_canceled(self, make, world):
        """Waiting for a canceled operation raises OperationCanceled."""
        world.on(STORE, world.shows(world.document("canceled")))
        with pytest.raises(OperationCanceled):
            make().wait(world.ticket())

    def test_timeout(self, make, world):
        """When time is up, the client looks once more. A new wait with the error's ticket starts there, as with a saved one."""
        running = world.document("running", attempt=1)
        world.on(STORE, world.shows(running))
        client = make()
        with pytest.raises(WaitTimeout) as caught:
            client.wait(world.ticket(), timeout=5.0)
        assert (world.now, world.steps) == (5.0, ["GET store"])
        assert caught.value.ticket.document == running
        world.on(STORE, world.shows(world.document("succeeded", attempt=1)))
        world.on(SELF, world.json(ORDER))
        assert client.wait(caught.value.ticket) == ORDER
        assert world.now == 6.0

    def test_timeout_names_the_trouble(self, make, world):
        """If a wait times out in an outage, the error says what the last poll met."""
        world.on(STORE, BROKEN)
        world.on(SELF, unavailable())
        with pytest.raises(WaitTimeout) as caught:
            make().wait(world.ticket(), timeout=60.0)
        assert caught.value.__notes__ == ["the last poll: the store gave no answer: connection reset; the API answered 503"]
        assert world.now == 60.0

    def test_requests_end_with_the_wait(self, make, world):
        """A request lasts at most `request_timeout` and what is left of the wait; the last look gets a second."""
        world.on(STORE, world.shows(world.document()))
        with pytest.raises(WaitTimeout):
            make(request_timeout=4.0).wait(world.ticket(), timeout=13.0)
        assert [fetch.timeout for fetch in world.seen] == pytest.approx([2.9, 1.0, 1.0])

    def test_no_timeout(self, make, world):
        """Without a timeout, a wait outlasts any outage."""
        world.on(SELF, BROKEN, *[unavailable()] * 498, world.json(ORDER))
        world.on(STORE, *[BROKEN] * 500, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(world.ticket(), timeout=None) == ORDER

    def test_result_that_is_late(self, make, world):
        """If the API does not return the result at first, the client asks again."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, unavailable(), BROKEN, world.shows(world.document("succeeded"), 202), world.json(ORDER))
        assert make().wait(world.ticket()) == ORDER

    def test_result_without_an_api(self, make, world):
        """A status board without an API has no links, so the document's own result counts."""
        world.on(STORE, world.shows(world.document("succeeded", links={}, result=ORDER)))
        assert make().wait(world.ticket(document=world.document(links={}))) == ORDER
        assert world.steps == ["GET store"]

    def test_saved_ticket(self, make, world):
        """Another process can continue a wait with the ticket's JSON. It asks at a random time within one interval."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(Ticket.from_json(world.ticket().to_json())) == ORDER
        assert world.now == 0.5 * 2.0

    def test_fresh_link(self, make, world):
        """The client renews an expired link at the API with its credentials, which the store never sees."""
        gone = Response(status=403, headers={}, body=b"<Error><Message>Request has expired</Message></Error>")
        world.on(STORE, gone)
        world.on(f"POST /order/{ID}/status-link", world.json({"href": "https://store.test/2?x", "expires_at": "2030-01-01T02:00:00Z"}))
        world.on("GET /2", world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make(auth={"Authorization": "Bearer t"}).wait(world.ticket()) == ORDER
        assert world.steps == ["GET store", "POST api", "GET store", "GET api"]
        assert ["Authorization" in fetch.headers for fetch in world.seen] == [False, True, False, True]

    @pytest.mark.parametrize(
        ("result_type", "expected"),
        [(Order, Order(total=5)), (Model, Model(total=5)), (Struct, Struct(5)), (Dict, {"total": 5}), (Tuple, Tuple(5)),
         (dict[str, int], {"total": 5}), (Struct | None, Struct(5)), (dict, {"total": 5})],
    )  # fmt: skip
    def test_result_type(self, make, world, result_type, expected):
        """A result is converted to the type you ask for: of pydantic, of msgspec, or of Python's own."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        got = make().wait(world.ticket(), result_type=result_type)
        assert (type(got), got) == (type(expected), expected)

    @pytest.mark.parametrize("result_type", [datetime, int, Other, list[Struct]])
    def test_a_result_of_another_type(self, make, world, result_type):
        """A result that does not fit the type is an error."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        with pytest.raises(ApiError, match="is not a"):
            make().wait(world.ticket(), result_type=result_type)

    def test_a_type_that_nobody_reads(self, make, world):
        """A type without a JSON form is refused before any request."""
        with pytest.raises(ConfigurationError, match="no result can be read"):
            make().wait(world.ticket(), result_type=type("Unknown", (), {}))
        assert world.seen == []

    @pytest.mark.parametrize("timeout", [-1.0, float("nan")])
    def test_an_invalid_timeout(self, make, world, timeout):
        """A negative timeout, or NaN, is refused before any request."""
        with pytest.raises(ConfigurationError, match="timeout"):
            make().wait(world.ticket(), timeout=timeout)
        assert world.seen == []

    @pytest.mark.parametrize("option", ["request_timeout", "retry_timeout"])
    @pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
    def test_limits_are_finite(self, make, option, seconds):
        """Limits for requests and retries must be finite and not negative."""
        with pytest.raises(ConfigurationError, match=option):
            make(**{option: seconds})

    def test_fallback(self, make, world):
        """Behind a firewall that lets only the API through, a wait still ends: it polls the API, more slowly."""
        world.on(STORE, BROKEN)
        world.on(SELF, *[world.shows(world.document("running", attempt=1), 202)] * 4, world.json(ORDER))
        shown = []
        assert make().wait(world.ticket(), on_update=shown.append) == ORDER
        assert [document.status for document in shown] == ["running", "succeeded"]
        assert world.steps == ["GET store"] * 2 + ["GET store", "GET api"] * 5 + ["GET api"]
        assert world.now == pytest.approx(10.1 + 2 * 2.0 + 4 * 10.0)
        assert [fetch.timeout for fetch in world.seen if fetch.to == "store"] == [10.0] * 3 + [3.0] * 4

    def test_on_wait(self, make, world):
        """`on_wait` is told how long each wait will be, so that a caller can show when the next poll is due."""
        world.on(STORE, world.shows(world.document("running")), world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        waits = []
        make(on_wait=waits.append).wait(world.ticket())
        assert waits == pytest.approx([10.1, 2.0])
