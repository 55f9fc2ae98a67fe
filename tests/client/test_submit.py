"""Submitting: one key for one request, retries, refusals, and inputs that cannot be sent."""

from __future__ import annotations

import json
import traceback

import pytest
from tests.support.client_world import BROKEN, ID, unavailable

from offpoll import Client, Offpoll
from offpoll.errors import ApiError, ApiUnavailable, ConfigurationError, InvalidInput
from offpoll.exchange import NoAnswer, Response
from offpoll.object_json import to_json
from offpoll.testing import system


class TestSubmit:
    def test_ticket(self, make, world):
        """A submit sends JSON under a new key and returns the ticket."""
        world.on("POST /order", world.accepted())
        ticket = make().submit("order", {"sku": "A1"})
        (sent,) = world.seen
        assert (ticket.operation_id, ticket.answered_at) == (ID, world.ticket().answered_at)
        assert (sent.url, sent.body, sent.headers["Content-Type"]) == ("https://api.test/order", b'{"sku":"A1"}', "application/json")
        assert len(sent.headers["Idempotency-Key"]) == 32

    @pytest.mark.parametrize("trouble", [BROKEN, unavailable(503), unavailable(502), unavailable(504), unavailable(429)])
    def test_retries_repeat_the_request(self, make, world, trouble):
        """The client repeats a submit that got no answer, with the same key and body."""
        world.on("POST /order", trouble, trouble, world.accepted())
        make().submit("order", {"sku": "A1"})
        assert len(world.seen) == 3
        assert len({(fetch.headers["Idempotency-Key"], fetch.body) for fetch in world.seen}) == 1

    def test_keys_are_new_each_time(self, make, world):
        """Two submits have two keys, and a key from the caller is used as it is."""
        world.on("POST /order", world.accepted())
        client = make()
        for key in (None, None, "mine"):
            client.submit("order", {}, idempotency_key=key)
        keys = [fetch.headers["Idempotency-Key"] for fetch in world.seen]
        assert keys[2] == "mine"
        assert len(set(keys)) == 3

    def test_equal_jitter(self, make, world):
        """Each retry waits at least half of a limit, which starts at 0.4 s and doubles up to 10 s, and a random part of the other half."""
        times = []
        world.on("POST /order", *[lambda: BROKEN] * 9, world.accepted())
        client = make(on_request=lambda *_: times.append(world.now))
        client.submit("order", {})
        assert world.now == pytest.approx(0.75 * (0.4 + 0.8 + 1.6 + 3.2 + 6.4 + 10 + 10 + 10 + 10))

    def test_retry_after(self, make, world):
        """The client waits as long as Retry-After says, and up to a quarter longer: others were told the same."""
        world.on("POST /order", unavailable(**{"retry-after": "7"}), world.accepted())
        make().submit("order", {})
        assert world.now == pytest.approx(7 * 1.125 + 0.3)

    @pytest.mark.parametrize("trouble", [BROKEN, unavailable(503), unavailable(**{"retry-after": "3600"})])
    def test_gives_up(self, make, world, trouble):
        """After `retry_timeout`, or at once if Retry-After is longer, the error names the key for repeating the submit."""
        world.on("POST /order", trouble)
        with pytest.raises(ApiUnavailable, match="idempotency_key='mine'"):
            make(retry_timeout=20.0).submit("order", {}, idempotency_key="mine")
        assert world.now <= 20

    def test_refused(self, make, world):
        """The client does not repeat a 4xx, and raises its problem as the error."""
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
        """The error for an answer that is not offpoll's says so."""
        world.on("POST /order", stranger)
        with pytest.raises(ApiError, match=r"not as offpoll|not offpoll's"):
            make().submit("order", {})
        assert len(world.seen) == 1

    @pytest.mark.parametrize(
        "page",
        [
            b"<center>The plain HTTP request was sent to HTTPS port</center>",
            b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            b"Client sent an HTTP request to an HTTPS server.\n",
        ],
        ids=["nginx", "Apache", "Go"],
    )
    def test_http_to_a_port_for_https(self, make, world, page):
        """A server that wants https says so in its own words; the error says what to write."""
        world.on("POST /order", Response(status=400, headers={}, body=page))
        with pytest.raises(ApiError, match="use https:// instead"):
            make().submit("order", {})

    def test_nothing_was_sent(self, make, world):
        """If no request can have reached the API, the error says that, and does not suggest to repeat anything."""
        refused = NoAnswer(reason="connection refused", sent=False)
        world.on("POST /order", refused)
        with pytest.raises(ApiUnavailable, match=r"connection refused\. Nothing was sent") as caught:
            make(retry_timeout=5.0).submit("order", {}, idempotency_key="mine")
        assert (caught.value.sent, "mine" in str(caught.value), len(world.seen) > 3) == (False, False, True)
        world.on("POST /order", refused, BROKEN, refused)
        with pytest.raises(ApiUnavailable, match="idempotency_key='mine'") as caught:
            make(retry_timeout=5.0).submit("order", {}, idempotency_key="mine")
        assert caught.value.sent

    def test_hopeless(self, make, world):
        """What cannot get better is not tried again."""
        world.on("POST /order", NoAnswer(reason="the server's certificate is not trusted", sent=False, hopeless=True))
        with pytest.raises(ApiUnavailable, match="not trusted"):
            make().submit("order", {})
        assert (len(world.seen), world.now) == (1, 0.0)

    def test_troubles_are_told(self, make, world):
        """`on_trouble` hears of each request without a usable response, in words that name no path."""
        told = []
        world.on("POST /order", NoAnswer(reason="connection refused", sent=False), unavailable(503), world.accepted())
        make(on_trouble=told.append).submit("order", {})
        assert [(str(each), each.sent) for each in told] == [
            ("https://api.test: connection refused", False),
            ("https://api.test: answered 503", True),
        ]

    def test_models(self, make, world):
        """An input with `model_dump` is sent as `model_dump` returns it."""

        class Model:
            def model_dump(self, *, mode):
                return {"mode": mode}

        world.on("POST /order", world.accepted())
        make().submit("order", Model())
        assert world.seen[0].body == b'{"mode":"json"}'

    @pytest.mark.parametrize("input", [{"x": float("nan")}, object(), {1, 2}])
    def test_not_json(self, make, world, input):
        """The client refuses an input that cannot be JSON before it sends anything."""
        with pytest.raises(InvalidInput, match=r"JSON"):
            make().submit("order", input)
        assert world.seen == []

    def test_json_text_is_no_object(self, make, world):
        """JSON text in a `str` is refused; the same text in `bytes` is sent as JSON."""
        with pytest.raises(InvalidInput, match="bytes"):
            make().submit("order", '{"sku": "A1"}')
        assert world.seen == []
        assert json.loads(to_json(b'{"sku": "A1"}')) == {"sku": "A1"}

    def test_an_invalid_kind(self, make):
        """A kind cannot redirect the request to another path."""
        with pytest.raises(ConfigurationError, match="kind"):
            make().submit("../admin", {})


def test_a_redirect_of_the_api_is_named(make, world):
    """The error names the address that an API redirects to, without its query."""
    world.on("POST /order", Response(status=308, headers={"location": "https://api.test/v2/order?token=x"}))
    with pytest.raises(ApiError, match=r"redirects to 'https://api\.test/v2/order', which is not followed"):
        make().submit("order", {})


def test_body_of_a_submit_is_compact():
    """Inputs are sent without spaces, and decode to what they were."""

    assert json.loads(to_json({"name": "Zoë"})) == {"name": "Zoë"}
    assert to_json({"a": [1, 2]}) == '{"a":[1,2]}'


def test_an_empty_key_is_not_replaced() -> None:
    """An empty key reaches the API, which refuses it: random keys instead could submit the same order twice."""
    with system(_echo()) as running, pytest.raises(ApiError) as raised:
        running.client.submit("echo", 1, idempotency_key="")
    assert raised.value.status == 400


def test_a_header_that_cannot_be_sent_is_not_repeated() -> None:
    """A token that still has its line end is an error at once, which names the header but not the token."""
    auth = {"Authorization": "Bearer S3CRET\n"}
    for given in (auth, lambda: auth):
        with pytest.raises(ConfigurationError) as raised, Client("http://127.0.0.1:9", auth=given) as client:
            client.submit("order", 1)
        assert "Authorization" in str(raised.value)
        assert "S3CRET" not in "".join(traceback.format_exception(raised.value))


def _echo() -> Offpoll:
    app = Offpoll()

    @app.operation("echo")
    async def echo(value: int) -> int:
        return value

    return app
