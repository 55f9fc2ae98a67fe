"""Both clients, driven over a scripted API and store in virtual time."""

from __future__ import annotations

import base64
import json
import re
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

import offpoll.client
import offpoll.client.polling
import offpoll.exchange
import offpoll.poll_plan
import offpoll.ticket
from offpoll import Client, Offpoll
from offpoll.errors import ApiError, ApiUnavailable, ConfigurationError, InvalidInput, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import NoAnswer, Response
from offpoll.json_types import to_json
from offpoll.testing import system
from offpoll.ticket import Ticket

ID = "0123456789abcdef" * 2
ORDER = {"total": 5}
SELF = f"GET /order/{ID}"
STORE = "GET /status/1"
BROKEN = NoAnswer(reason="connection reset")


def unavailable(status: int = 503, **headers: str) -> Response:
    return Response(status=status, headers=headers, body=b"")


class TestSubmit:
    def test_ticket(self, make, world):
        """A submit sends JSON and a key of its own and returns the ticket."""
        world.on("POST /order", world.accepted())
        ticket = make().submit("order", {"sku": "A1"})
        (sent,) = world.seen
        assert (ticket.operation_id, ticket.answered_at) == (ID, world.ticket().answered_at)
        assert (sent.url, sent.body, sent.headers["Content-Type"]) == ("https://api.test/order", b'{"sku":"A1"}', "application/json")
        assert len(sent.headers["Idempotency-Key"]) == 32

    @pytest.mark.parametrize("trouble", [BROKEN, unavailable(503), unavailable(502), unavailable(504), unavailable(429)])
    def test_retries_are_the_same_request(self, make, world, trouble):
        """A submit without an answer is repeated with the same key and body."""
        world.on("POST /order", trouble, trouble, world.accepted())
        make().submit("order", {"sku": "A1"})
        assert len(world.seen) == 3
        assert len({(fetch.headers["Idempotency-Key"], fetch.body) for fetch in world.seen}) == 1

    def test_keys_are_new_each_time(self, make, world):
        """Two submits have two keys, and a key that is given is used."""
        world.on("POST /order", world.accepted())
        client = make()
        for key in (None, None, "mine"):
            client.submit("order", {}, idempotency_key=key)
        keys = [fetch.headers["Idempotency-Key"] for fetch in world.seen]
        assert keys[2] == "mine"
        assert len(set(keys)) == 3

    def test_full_jitter(self, make, world):
        """Retries back off: a random part of 0.2 s, doubled each time up to 10 s."""
        times = []
        world.on("POST /order", *[lambda: BROKEN] * 9, world.accepted())
        client = make(on_request=lambda *_: times.append(world.now))
        client.submit("order", {})
        assert world.now == pytest.approx(0.5 * (0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 6.4 + 10 + 10 + 10))

    def test_retry_after(self, make, world):
        """Retry-After is waited for, and a little more."""
        world.on("POST /order", unavailable(**{"retry-after": "7"}), world.accepted())
        make().submit("order", {})
        assert world.now == pytest.approx(7.1)

    @pytest.mark.parametrize("trouble", [BROKEN, unavailable(503), unavailable(**{"retry-after": "3600"})])
    def test_gives_up(self, make, world, trouble):
        """After `retry_timeout`, or at once where Retry-After is longer, the error names the key to repeat it with."""
        world.on("POST /order", trouble)
        with pytest.raises(ApiUnavailable, match="idempotency_key='mine'"):
            make(retry_timeout=20.0).submit("order", {}, idempotency_key="mine")
        assert world.now <= 20

    def test_refused(self, make, world):
        """A 4xx is not repeated; its problem is the error."""
        world.on("POST /order", world.json({"title": "Not valid", "detail": "sku: missing", "code": "invalid_input"}, 422))
        with pytest.raises(ApiError, match="Not valid: sku: missing") as caught:
            make().submit("order", {})
        assert (caught.value.status, caught.value.problem["code"], len(world.seen)) == (422, "invalid_input", 1)

    @pytest.mark.parametrize(
        "stranger",
        [
            Response(status=200, headers={}, body=b"<html>"),
            Response(status=202, headers={}, body=b"{}"),
            Response(status=302, headers={"location": "https://login.test/?token=x"}),
            unavailable(500),
        ],
    )
    def test_not_offpoll(self, make, world, stranger):
        """An answer that is not offpoll's says so."""
        world.on("POST /order", stranger)
        with pytest.raises(ApiError, match=r"not as offpoll|not offpoll's"):
            make().submit("order", {})
        assert len(world.seen) == 1

    def test_models(self, make, world):
        """An input with `model_dump` is sent as that gives it."""

        class Model:
            def model_dump(self, *, mode):
                return {"mode": mode}

        world.on("POST /order", world.accepted())
        make().submit("order", Model())
        assert world.seen[0].body == b'{"mode":"json"}'

    @pytest.mark.parametrize("input", [{"x": float("nan")}, object(), {1, 2}])
    def test_not_json(self, make, world, input):
        """What cannot be JSON is refused before anything is sent."""
        with pytest.raises(InvalidInput, match=r"JSON"):
            make().submit("order", input)
        assert world.seen == []

    def test_json_text_is_no_object(self, make, world):
        """JSON text in a `str` is refused; its bytes are the JSON that they are."""
        with pytest.raises(InvalidInput, match="bytes"):
            make().submit("order", '{"sku": "A1"}')
        assert world.seen == []
        assert json.loads(to_json(b'{"sku": "A1"}')) == {"sku": "A1"}

    def test_kind_is_a_kind(self, make):
        """A kind cannot lead the request elsewhere."""
        with pytest.raises(ConfigurationError, match="kind"):
            make().submit("../admin", {})


class TestWait:
    def test_result(self, make, world):
        """A wait polls the store until the operation is done and then fetches its result, once, from the API."""
        running = world.document("running", attempt=1)
        world.on(STORE, world.shows(running), world.shows(world.document("succeeded", attempt=1)))
        world.on(SELF, world.json(ORDER))
        shown = []
        assert make().wait(world.ticket(), on_update=shown.append) == ORDER
        assert world.steps == ["GET store", "GET store", "GET api"]
        assert [document.status for document in shown] == ["running", "succeeded"]
        assert world.now == pytest.approx(10.1 + 2.0)

    def test_failed(self, make, world):
        """A failed operation raises its error, without a request to the API."""
        error = {"code": "sold_out", "message": "no more of these"}
        world.on(STORE, world.shows(world.document("failed", error=error)))
        with pytest.raises(OperationFailed, match="sold_out: no more of these") as caught:
            make().wait(world.ticket())
        assert (caught.value.code, caught.value.error, world.steps) == ("sold_out", error, ["GET store"])

    def test_canceled(self, make, world):
        """A canceled operation raises that."""
        world.on(STORE, world.shows(world.document("canceled")))
        with pytest.raises(OperationCanceled):
            make().wait(world.ticket())

    def test_timeout(self, make, world):
        """When the time is up, one last look is made; the error's ticket waits on from there, and asks at once."""
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
        assert world.now == 5.0

    def test_timeout_names_the_trouble(self, make, world):
        """A wait that ends in an outage says what the last poll met."""
        world.on(STORE, BROKEN)
        world.on(SELF, unavailable())
        with pytest.raises(WaitTimeout) as caught:
            make().wait(world.ticket(), timeout=60.0)
        assert caught.value.__notes__ == ["the last poll: the store gave no answer: connection reset; the API answered 503"]
        assert world.now == 60.0

    def test_requests_end_with_the_wait(self, make, world):
        """No request may last longer than the wait has left, or `request_timeout`; the last look gets a second."""
        world.on(STORE, world.shows(world.document()))
        with pytest.raises(WaitTimeout):
            make(request_timeout=4.0).wait(world.ticket(), timeout=13.0)
        assert [fetch.timeout for fetch in world.seen] == pytest.approx([2.9, 1.0, 1.0])

    def test_no_timeout(self, make, world):
        """Without a timeout a wait goes on."""
        world.on(SELF, BROKEN, *[unavailable()] * 498, world.json(ORDER))
        world.on(STORE, *[BROKEN] * 500, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(world.ticket(), timeout=None) == ORDER

    def test_result_that_is_late(self, make, world):
        """A result that the API does not give at first is asked for again."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, unavailable(), BROKEN, world.shows(world.document("succeeded"), 202), world.json(ORDER))
        assert make().wait(world.ticket()) == ORDER

    def test_result_without_an_api(self, make, world):
        """A board without an API has no links; the result is the document's own."""
        world.on(STORE, world.shows(world.document("succeeded", links={}, result=ORDER)))
        assert make().wait(world.ticket(document=world.document(links={}))) == ORDER
        assert world.steps == ["GET store"]

    def test_saved_ticket(self, make, world):
        """A wait can go on elsewhere, with a ticket from JSON; it asks at once."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(Ticket.from_json(world.ticket().to_json())) == ORDER
        assert world.now == 0.0

    def test_fresh_link(self, make, world):
        """A link that has ended is renewed at the API, with credentials; the store never sees any."""
        gone = Response(status=403, headers={}, body=b"<Error><Message>Request has expired</Message></Error>")
        world.on(STORE, gone)
        world.on(f"POST /order/{ID}/status-link", world.json({"href": "https://store.test/2?x", "expires_at": "2030-01-01T02:00:00Z"}))
        world.on("GET /2", world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make(auth={"Authorization": "Bearer t"}).wait(world.ticket()) == ORDER
        assert world.steps == ["GET store", "POST api", "GET store", "GET api"]
        assert ["Authorization" in fetch.headers for fetch in world.seen] == [False, True, False, True]

    def test_result_type(self, make, world):
        """A result can be had as a type of one's own; one that does not fit is an error."""

        @dataclass
        class Order:
            total: int

        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(world.ticket(), result_type=Order) == Order(total=5)
        with pytest.raises(ApiError, match="is not a"):
            make().wait(world.ticket(), result_type=datetime)

    @pytest.mark.parametrize("timeout", [-1.0, float("nan")])
    def test_a_wait_that_is_none(self, make, world, timeout):
        """A negative wait is refused, and nothing is asked."""
        with pytest.raises(ConfigurationError, match="timeout"):
            make().wait(world.ticket(), timeout=timeout)
        assert world.seen == []

    @pytest.mark.parametrize("option", ["request_timeout", "retry_timeout"])
    @pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
    def test_limits_are_finite(self, make, option, seconds):
        """No request lasts, and none is repeated, for ever."""
        with pytest.raises(ConfigurationError, match=option):
            make(**{option: seconds})

    def test_fallback(self, make, world):
        """Behind a firewall that lets only the API through, a wait still ends: by the API, on a slower schedule."""
        world.on(STORE, BROKEN)
        world.on(SELF, *[world.shows(world.document("running", attempt=1), 202)] * 4, world.json(ORDER))
        shown = []
        assert make().wait(world.ticket(), on_update=shown.append) == ORDER
        assert [document.status for document in shown] == ["running", "succeeded"]
        assert world.steps == ["GET store"] * 2 + ["GET store", "GET api"] * 5 + ["GET api"]
        assert world.now == pytest.approx(10.1 + 2 * 2.0 + 4 * 10.0)
        assert [fetch.timeout for fetch in world.seen if fetch.to == "store"] == [10.0] * 3 + [3.0] * 4

    def test_waits_are_told_of(self, make, world):
        """A caller that shows when the next poll is due learns how long each wait will be."""
        world.on(STORE, world.shows(world.document("running")), world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        waits = []
        make(on_wait=waits.append).wait(world.ticket())
        assert waits == pytest.approx([10.1, 2.0])


class TestResume:
    LINK = f"POST /order/{ID}/status-link"
    URL = f"https://api.test/order/{ID}"

    def fresh(self, world, href="https://store.test/2?signature=new"):
        return world.json({"href": href, "expires_at": "2030-01-01T02:00:00Z"})

    def test_by_its_address(self, make, world):
        """An operation's own address is enough: the API gives a link, with credentials, and the store the document, without."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", world.shows(world.document("running", attempt=1)))
        ticket = make(auth={"Authorization": "Bearer t"}).resume(self.URL)
        assert (ticket.operation_id, ticket.document.status, ticket.link.href) == (ID, "running", "https://store.test/2?signature=new")
        assert world.steps == ["POST api", "GET store"]
        assert ["Authorization" in fetch.headers for fetch in world.seen] == [True, False]

    def test_by_a_link(self, make, world):
        """A status link is enough, too. Nobody says when it ends, so a refusal counts as its end."""
        world.on(STORE, world.shows(world.document("running", attempt=1)))
        ticket = make(auth={"Authorization": "Bearer t"}).resume(world.link)
        assert world.steps == ["GET store"]
        assert "Authorization" not in world.seen[0].headers
        world.on(STORE, Response(status=403, headers={"date": "Tue, 01 Jan 2030 00:00:09 GMT"}))
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        assert make().wait(ticket) == ORDER

    @pytest.mark.parametrize("store", [BROKEN, unavailable(), Response(status=200, headers={}, body=b"<html>")])
    def test_the_store_is_out_of_reach(self, make, world, store):
        """Then the API says how the operation is."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", store)
        world.on(SELF, world.shows(world.document("running", attempt=1), 202))
        assert make().resume(self.URL).document.status == "running"

    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    def test_ended_and_out_of_reach(self, make, world, status):
        """An operation that has ended is known to have, even if its document cannot be read."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", BROKEN)
        ended = world.json(ORDER) if status == "succeeded" else world.json({"title": "t", "operation_status": "failed"}, 404)
        world.on(SELF, ended)
        ticket = make().resume(self.URL)
        assert (ticket.document.status, ticket.document.done) == (status, True)
        if status == "succeeded":
            assert make().wait(ticket) == ORDER

    def test_unknown(self, make, world):
        """An operation that the API does not know is its error."""
        world.on(self.LINK, world.json({"title": "No such operation"}, 404))
        with pytest.raises(ApiError, match="No such operation"):
            make().resume(self.URL)

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"href":1}', b'{"href":"https://x/?y","expires_at":"tomorrow"}'])
    def test_no_link(self, make, world, body):
        """An answer that is not a link is named as one of a stranger."""
        world.on(self.LINK, Response(status=200, headers={}, body=body))
        with pytest.raises(ApiError, match="not offpoll's"):
            make().resume(self.URL)

    @pytest.mark.parametrize(
        ("answer", "error", "words"),
        [
            (Response(status=403, headers={}, body=b"<Error>Request has expired</Error>"), ApiError, "has ended"),
            (Response(status=200, headers={}, body=b"<html>"), ApiError, "leads to no status document"),
            (BROKEN, ApiUnavailable, "connection reset"),
            (unavailable(), ApiUnavailable, "answered 503"),
        ],
    )
    def test_a_link_that_does_not_work(self, make, world, answer, error, words):
        """It is said what is wrong with it, and not the link."""
        world.on(STORE, answer)
        with pytest.raises(error, match=words) as caught:
            make().resume(world.link)
        assert "signature" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("url", [f"https://other.test/order/{ID}", f"https://api.test/v2/order/{ID}"])
    def test_another_api(self, make, world, url):
        """An operation of another API is not asked about here."""
        with pytest.raises(ConfigurationError, match="make a client for"):
            make().resume(url)
        assert world.seen == []


class TestTheRest:
    def test_poll(self, make, world):
        """Polling yields each new document, the terminal one last, however it ended."""
        world.on(STORE, world.shows(world.document("running")), world.shows(world.document("failed")))
        assert [document.status for document in make().polled(world.ticket())] == ["running", "failed"]

    def test_poll_timeout(self, make, world):
        """Polling gives up as waiting does."""
        world.on(STORE, world.shows(world.document("running")))
        with pytest.raises(WaitTimeout):
            make().polled(world.ticket(), timeout=30.0)
        assert world.now == 30.0

    def test_result(self, make, world):
        """A result can be fetched without waiting."""
        world.on(SELF, world.json(ORDER))
        assert make().result(world.ticket()) == ORDER

    @pytest.mark.parametrize(("status", "error"), [("failed", OperationFailed), ("canceled", OperationCanceled)])
    def test_result_of_an_end(self, make, world, status, error):
        """The result of an operation that ended otherwise is that."""
        world.on(SELF, world.json({"title": "t", "operation_status": status, "error": {"code": "c"}}, 404))
        with pytest.raises(error):
            make().result(world.ticket())

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda world: world.shows(world.document(), 202), "not done yet"),
            (lambda world: world.json({"title": "No such operation"}, 404), "No such operation"),
            (lambda world: Response(status=200, headers={"content-type": "text/html"}, body=b"<html>"), "not how offpoll answers"),
        ],
    )
    def test_no_result(self, make, world, answer, words):
        """No result yet, no such operation, and a stranger are errors of their own words."""
        world.on(SELF, answer(world))
        with pytest.raises(ApiError, match=words):
            make().result(world.ticket())

    def test_cancel(self, make, world):
        """A cancel is repeated until it is answered and returns the document."""
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
        """A cancel that is refused, or answered by a stranger, is an error."""
        world.on(f"POST /order/{ID}/cancel", answer(world))
        with pytest.raises(ApiError, match=words):
            make().cancel(world.ticket())

    def test_on_request(self, make, world):
        """Every request is told of: method, URL without its query, status."""
        world.on(STORE, BROKEN, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        told = []
        make(on_request=lambda *request: told.append(request)).wait(world.ticket())
        store = "https://store.test/status/1"
        assert told == [("GET", store, 0), ("GET", store, 200), ("GET", f"https://api.test/order/{ID}", 200)]

    def test_a_transport_that_is_given_stays_open(self, make, world):
        """Whoever made a transport closes it."""
        make().close()
        assert world.closed == 0


class TestCredentials:
    @pytest.mark.parametrize(
        ("auth", "header"),
        [
            ({"Authorization": "Bearer t"}, "Bearer t"),
            (lambda: {"Authorization": "Bearer fresh"}, "Bearer fresh"),
            (("user", "pässword"), "Basic " + base64.b64encode("user:pässword".encode()).decode()),
        ],
    )
    def test_forms(self, make, world, auth, header):
        """Credentials are headers, user and password, or a callable."""
        world.on(SELF, world.json(ORDER))
        make(auth=auth).result(world.ticket())
        assert world.seen[0].headers["Authorization"] == header

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.test",
            "https://api.test:444",
            "https://api.test.evil.test",
            "https://api.test@evil.test",
            "https://evil.test\\@api.test",
            "https://evil.test#@api.test",
            "ftp://api.test",
            "//api.test",
        ],
    )
    def test_they_stay_with_the_api(self, make, world, elsewhere):
        """A link to another origin is not followed with credentials; the error says which addresses differ."""
        ticket = world.ticket(document=world.document(links={"self": f"{elsewhere}/order/{ID}"}))
        with pytest.raises(ApiError, match=r"credentials are for https://api\.test"):
            make(auth=("user", "password")).result(ticket)
        assert world.seen == []

    def test_without_credentials_a_link_is_followed(self, make, world):
        """Without credentials there is nothing to lose: a link to another host is followed."""
        world.on(SELF, world.json(ORDER))
        assert make().result(world.ticket(document=world.document(links={"self": f"https://other.test/order/{ID}"}))) == ORDER

    def test_tls_proxy(self, make, world):
        """A link by `http` to an API that is reached by `https`, as written behind a TLS proxy, is followed by `https`."""
        world.on(SELF, world.json(ORDER))
        links = {"self": f"http://api.test/order/{ID}"}
        assert make(auth=("user", "password")).result(world.ticket(document=world.document(links=links))) == ORDER
        assert world.seen[0].url == f"https://api.test/order/{ID}"

    @pytest.mark.parametrize(
        "path",
        [
            "/store/bucket/key",
            "/apis/order/1",
            "/api/../store/key",
            "/api/%2e%2E/store",
            "/api/x/..%2fstore",
            "/api",
            "/",
            "?x",
            "/api/..;/x",
        ],
    )
    def test_a_store_on_the_same_host(self, make, world, path):
        """Where API and store share a host, credentials stay below the API's own path."""
        world.api = "https://host.test/api"
        ticket = world.ticket(document=world.document(links={"self": f"https://host.test{path}"}))
        with pytest.raises(ApiError, match=r"credentials are for https://host\.test/api"):
            make(auth=("user", "password")).result(ticket)
        assert world.seen == []

    def test_below_the_api_s_path(self, make, world):
        """What is below the API's own path gets them, dots and all."""
        world.api = "https://host.test/api"
        world.on(f"GET /api/order/{ID}..", world.json(ORDER))
        ticket = world.ticket(document=world.document(links={"self": f"https://host.test/api/order/{ID}.."}))
        assert make(auth=("user", "password")).result(ticket) == ORDER
        assert "Authorization" in world.seen[0].headers

    def test_never_downgraded(self, make, world):
        """An address by `http` gets its own links by `http`."""
        world.api = "http://api.test:8000"
        world.on(SELF, world.json(ORDER))
        make(auth=("user", "password")).result(world.ticket())
        assert world.seen[0].url == f"http://api.test:8000/order/{ID}"

    @pytest.mark.parametrize(
        "address", ["", "api.test", "https://user@api.test", "https://api.test?x", "https://api.test/#x", "ftp://api.test"]
    )
    def test_address(self, make, world, address):
        """A client refuses what is not an API's address."""
        world.api = address
        with pytest.raises(ConfigurationError, match="address"):
            make()


def test_a_redirect_of_the_api_is_named(make, world):
    """Where an API redirects to is said, and not what is in its query."""
    world.on("POST /order", Response(status=308, headers={"location": "https://api.test/v2/order?token=x"}))
    with pytest.raises(ApiError, match=r"redirects to 'https://api\.test/v2/order', which is not followed"):
        make().submit("order", {})


def test_a_transport_has_its_own_proxy(make):
    """A proxy or certificates beside a transport would have no effect, and are refused."""
    for option in ({"proxy": "http://proxy.test:3128"}, {"ca": b"x"}):
        with pytest.raises(ConfigurationError, match="transport"):
            make(**option)


def test_body_of_a_submit_is_compact():
    """Inputs are sent without spaces, non-ASCII as JSON escapes."""

    assert json.loads(to_json({"name": "Zoë"})) == {"name": "Zoë"}
    assert to_json({"a": [1, 2]}) == '{"a":[1,2]}'


def test_an_empty_key_is_not_replaced() -> None:
    """A caller whose key is empty by mistake learns it from the API, instead of submitting twice under two random keys."""
    with system(_echo()) as running, pytest.raises(ApiError) as raised:
        running.client.submit("echo", 1, idempotency_key="")
    assert raised.value.status == 400


def test_a_header_that_cannot_be_sent_is_not_repeated() -> None:
    """A token read with its line end: the error names the header, and not the token."""
    with Client("http://127.0.0.1:9", auth={"Authorization": "Bearer S3CRET\n"}) as client, pytest.raises(ConfigurationError) as raised:
        client.submit("order", 1)
    assert "Authorization" in str(raised.value)
    assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def _echo() -> Offpoll:
    app = Offpoll()

    @app.operation("echo")
    async def echo(value: int) -> int:
        return value

    return app


def test_no_wall_clock() -> None:
    """What this machine believes the time to be has no part in anything that a client decides."""
    sources = [offpoll.exchange, offpoll.exchange, offpoll.poll_plan, offpoll.client.polling, offpoll.ticket]
    paths = [Path(str(module.__file__)) for module in sources] + sorted(Path(offpoll.client.__file__).parent.glob("*.py"))
    assert len(paths) > 10
    for path in paths:
        assert not re.search(r"\btime\.time\b|\bnow\(|\bfrom time import\b|\butcnow\b", path.read_text()), path
