"""Polling distrusts what it reads: poisoned documents, and answers that are no status document."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from tests.support.scripted_polling import (
    API,
    DENIED,
    EXPIRED,
    HTML,
    ID,
    LINK,
    MISSING,
    REDIRECT,
    SELF,
    SLOW_DOWN,
    Run,
    document,
    done,
    fresh_link,
    shows,
    ticket,
)

from offpoll.client.flows import Finished, advance
from offpoll.client.polling import FOLLOWED_UP, GIVE_UP, Polling
from offpoll.errors import ApiError
from offpoll.exchange import Fetch, Response, Wait


class TestPoisoned:
    """Documents and answers in the store's place cannot redirect clients or credentials."""

    EVIL = "https://evil.test"
    LINKS: ClassVar = {"self": f"{EVIL}/order/{ID}", "status_link": f"{EVIL}/link", "cancel": f"{EVIL}/cancel"}

    def test_links_of_a_document(self):
        """The client asks the API at the ticket's links, whatever links a stored document has."""
        poisoned = document(status="running", revision=2, attempt=1, links=self.LINKS)
        run = Run([shows(poisoned), MISSING, SLOW_DOWN, EXPIRED, fresh_link(), shows(done(links=self.LINKS))])
        assert [fetch.url for fetch in run.fetches if fetch.to == "api"] == [SELF, SELF + "/status-link"]
        assert run.result == done()
        assert {shown.links["self"] for shown in run.shown} == {SELF}

    def test_a_document_without_links(self):
        """A stored document without links gets the ticket's, so its own result does not replace the API's."""
        assert Run([shows(done(links={}, result={"free": True}))]).result == done(result={"free": True})

    @pytest.mark.parametrize(
        "href", ["https://evil.test/1", "http://store.test/1", "https://store.test:444/1", "https://store.test@evil.test/1"]
    )
    def test_a_fresh_link_to_another_host(self, href):
        """The client does not follow a fresh link to another host. It asks the API, and `trouble` says why."""
        answer = Response(status=200, headers={}, body=json.dumps({"href": href, "expires_at": "2030-01-01T02:00:00Z"}).encode())
        run = Run([EXPIRED, answer, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store", "POST api link", "GET api"]
        assert run.result == done()
        run = Run([EXPIRED, answer, SLOW_DOWN])
        assert "leads to another store" in run.polling.trouble
        assert {fetch.url for fetch in run.fetches if fetch.to == "store"} == {LINK}


OTHERS = {
    "html": HTML,
    "redirect": REDIRECT,
    "no content": Response(status=204, headers={}),
    "partial": Response(status=206, headers={}, body=done().to_bytes()),
    "teapot": Response(status=418, headers={}),
    "other operation": shows(done(id="f" * 32)),
    "over 4 KiB": shows(done(unknown={"x": "x" * 5000})),
    "other spec": Response(status=200, headers={}, body=done().to_bytes().replace(b"offpoll/1", b"offpoll/2")),
    "infinite": Response(status=200, headers={}, body=done().to_bytes().replace(b'"attempt":1', b'"attempt":Infinity')),
    "nested": Response(status=200, headers={}, body=b"[" * 4000),
    "list": Response(status=200, headers={}, body=b"[]"),
}


class TestMisread:
    @pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
    def test_a_failed_poll(self, other):
        """An answer that is no document of this operation is a failed poll, never a success; the schedule goes on."""
        run = Run([other, shows(done())])
        assert run.steps == ["wait", "GET store"] * 2
        assert run.shown == [done()]

    @pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
    def test_the_second_time_the_client_asks_the_api(self, other):
        """The second time in a row, the client tries a fresh link and then asks the API."""
        run = Run([other, other, fresh_link(), other, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store", "wait", "GET store", "POST api link", "GET store", "GET api"]
        assert run.result == done()

    @pytest.mark.parametrize("other", [*OTHERS.values(), DENIED, MISSING, EXPIRED], ids=[*OTHERS, "denied", "missing", "expired"])
    def test_polling_gives_up(self, other):
        """If it lasts, a clear error ends the wait; until then there is a pause before every poll and few requests to the API."""
        waits, asked = [], []

        def drive():
            flow, reply = Polling(ticket=ticket(), base_url=API, random=lambda: 0.5).run(), None
            while not isinstance(event := advance(flow, reply), Finished):
                reply = None
                if isinstance(event, Wait):
                    waits.append(event.seconds)
                elif isinstance(event, Fetch):
                    asked.append(event.to)
                    reply = other if event.to == "store" else SLOW_DOWN

        with pytest.raises(ApiError, match=f"may go on, but its status was unreadable {GIVE_UP} times") as caught:
            drive()
        assert caught.value.status == other.status
        assert len(waits) == GIVE_UP
        assert min(waits) > 1
        assert asked.count("api") <= 2 * len(FOLLOWED_UP)

    def test_trouble_ends_with_a_good_answer(self):
        """A good answer from the store resets the count of troubles."""
        answers = [answer for _ in range(20) for answer in (HTML, shows(document()))]
        run = Run([*answers, shows(done())])
        assert run.result == done()
        assert run.polling.trouble == ""
