"""Resuming: an operation's address or its status link becomes a ticket again."""

from __future__ import annotations

import traceback

import pytest
from tests.support.client_world import BROKEN, ID, ORDER, SELF, STORE, unavailable

from offpoll.errors import ApiError, ApiUnavailable, ConfigurationError
from offpoll.exchange import Response


class TestResume:
    LINK = f"POST /order/{ID}/status-link"
    URL = f"https://api.test/order/{ID}"

    def fresh(self, world, href="https://store.test/2?signature=new"):
        return world.json({"href": href, "expires_at": "2030-01-01T02:00:00Z"})

    def test_by_its_address(self, make, world):
        """From an operation's address, the client gets a link from the API, with credentials, and the document from the store, without."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", world.shows(world.document("running", attempt=1)))
        ticket = make(auth={"Authorization": "Bearer t"}).resume(self.URL)
        assert (ticket.operation_id, ticket.document.status, ticket.link.href) == (ID, "running", "https://store.test/2?signature=new")
        assert world.steps == ["POST api", "GET store"]
        assert ["Authorization" in fetch.headers for fetch in world.seen] == [True, False]

    def test_by_a_link(self, make, world):
        """A status link is enough, too. The client cannot know when it expires, so a refusal counts as the expiry."""
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
        """If the store gives no document, the API says how the operation is."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", store)
        world.on(SELF, world.shows(world.document("running", attempt=1), 202))
        assert make().resume(self.URL).document.status == "running"

    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    def test_ended_and_out_of_reach(self, make, world, status):
        """The API's answer shows that an operation has ended, even if its document cannot be read."""
        world.on(self.LINK, self.fresh(world))
        world.on("GET /2", BROKEN)
        ended = world.json(ORDER) if status == "succeeded" else world.json({"title": "t", "operation_status": "failed"}, 404)
        world.on(SELF, ended)
        ticket = make().resume(self.URL)
        assert (ticket.document.status, ticket.document.done) == (status, True)
        if status == "succeeded":
            assert make().wait(ticket) == ORDER

    def test_unknown(self, make, world):
        """If the API does not know the operation, its problem is the error."""
        world.on(self.LINK, world.json({"title": "No such operation"}, 404))
        with pytest.raises(ApiError, match="No such operation"):
            make().resume(self.URL)

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"href":1}', b'{"href":"https://x/?y","expires_at":"tomorrow"}'])
    def test_no_link(self, make, world, body):
        """If the API's answer is not a link, the error says that it is not offpoll's."""
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
        """The error says what is wrong with a link, and does not show the link."""
        world.on(STORE, answer)
        with pytest.raises(error, match=words) as caught:
            make().resume(world.link)
        assert "signature" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("url", [f"https://other.test/order/{ID}", f"https://api.test/v2/order/{ID}"])
    def test_another_api(self, make, world, url):
        """A client does not ask about an operation of another API."""
        with pytest.raises(ConfigurationError, match="make a client for"):
            make().resume(url)
        assert world.seen == []
