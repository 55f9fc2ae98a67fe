"""Polling: when the first poll is due, and what each answer of the store means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.scripted_polling import (
    DENIED,
    EXPIRED,
    EXPIRED_TOKEN,
    FRESH,
    HTML,
    LINK,
    MISSING,
    NOT_MODIFIED,
    NOW,
    REDIRECT,
    SELF,
    SLOW_DOWN,
    TIMEOUT,
    Run,
    document,
    done,
    fresh_link,
    http_date,
    problem,
    shows,
    ticket,
)

from offpoll.document import PollHint
from offpoll.errors import ApiError
from offpoll.exchange import Fetch, Response
from offpoll.operation import Progress
from offpoll.ticket import Ticket


class TestFirstPoll:
    @pytest.mark.parametrize("skew", [timedelta(0), timedelta(days=1), timedelta(days=-1)])
    def test_hints_are_judged_by_the_servers_clock(self, skew):
        """The first wait is `not_before` minus the answer's Date, however wrong the server's clock is."""
        hint = PollHint(not_before=NOW + skew + timedelta(seconds=10), interval=2.0)
        skewed = document(poll=hint, created_at=NOW + skew, updated_at=NOW + skew)
        run = Run([], of=ticket(document=skewed, answered_at=NOW + skew), random=0.0)
        assert run.waits == [10.0]

    def test_time_since_the_answer_counts(self):
        """The time since the answer shortens the first wait; after an hour nothing is left of it."""
        assert Run([], random=0.0, elapsed=4.0).waits == [6.0]
        assert Run([], random=0.0, elapsed=3600.0).waits == [0.0]

    def test_retry_after_without_a_date(self):
        """Without a usable Date, the first wait lasts as long as Retry-After."""
        assert Run([], of=ticket(answered_at=None, retry_after=7)).waits == [7.0]

    def test_a_saved_ticket_asks_at_once(self):
        """Polling with a saved ticket asks at once, because the ticket's age is unknown; then the store's Date counts."""
        run = Run([shows(document(), date=NOW + timedelta(seconds=4))], of=Ticket.from_json(ticket().to_json()), random=0.0)
        assert run.waits == [0.0, 6.0]

    def test_done_before_the_first_poll(self):
        """The ticket of an ended operation needs no request."""
        run = Run([], of=ticket(document=done()))
        assert (run.result, run.shown, run.steps) == (done(), [done()], [])


class TestStore:
    def test_until_done(self):
        """Each document is shown once, the terminal one is returned, and every request is a GET of the link."""
        running = document(status="running", revision=2, attempt=1, progress=Progress(fraction=0.4))
        run = Run([shows(running), shows(running), shows(done())])
        assert run.result == done()
        assert run.shown == [running, done()]
        assert run.steps == ["wait", "GET store"] * 3
        assert {fetch.url for fetch in run.fetches} == {LINK}

    def test_not_modified(self):
        """Polls send the last etag; a 304 means nothing new, and the schedule goes on by the answer's Date."""
        later = Response(status=304, headers={"date": http_date(NOW + timedelta(seconds=11))})
        run = Run([shows(document(), etag='"1"'), NOT_MODIFIED, later, shows(done())])
        assert [fetch.headers.get("If-None-Match") for fetch in run.fetches] == [None, '"1"', '"1"', '"1"']
        assert run.waits[1:] == [2.0, 2.0, 2.0]
        assert run.shown == [done()]

    def test_not_modified_without_an_etag(self):
        """A 304 to a request without an etag is trouble, because there is no document yet."""
        assert Run([NOT_MODIFIED]).polling.trouble != ""

    def test_replanned_by_a_new_hint(self):
        """A new hint in a document changes the next waits."""
        hint = PollHint(not_before=NOW + timedelta(seconds=40), interval=5.0)
        run = Run(
            [shows(document(revision=2, poll=hint), date=NOW + timedelta(seconds=10)), shows(document(revision=2, poll=hint))],
            random=0.5,
        )
        assert run.waits == [10.1, 30.25, 5.0]

    def test_a_document_without_a_hint_keeps_the_last(self):
        """A document without a hint leaves the schedule as it is."""
        run = Run([shows(document(revision=2, poll=None), date=NOW + timedelta(seconds=60))])
        assert run.waits[1] == 2.0

    def test_unknown_status_is_not_done(self):
        """An unknown status, from a newer writer, keeps the client waiting, whatever its `done` says."""
        body = json.dumps({**document(revision=2).to_dict(), "status": "pondering", "done": True}).encode()
        run = Run([Response(status=200, headers={}, body=body), shows(done())])
        assert run.steps == ["wait", "GET store"] * 2
        assert run.shown[0].status == "pondering"

    def test_a_lower_rank_is_not_shown(self):
        """A document of a lower rank is not shown, so watchers never see an operation go backwards."""
        run = Run([shows(document(attempt=2, revision=5)), shows(document(attempt=1, revision=9)), shows(done())])
        assert [shown.attempt for shown in run.shown] == [2, 1]
        assert run.shown[-1].done

    @pytest.mark.parametrize("outage", [SLOW_DOWN, Response(status=429, headers={}), Response(status=500, headers={})])
    def test_outage(self, outage):
        """During an outage of the store the schedule goes on, and the client does not ask the API."""
        run = Run([*[outage] * 9, shows(done())])
        assert run.steps == ["wait", "GET store"] * 10
        assert run.waits[1:] == [2.0] * 9
        assert run.result == done()

    def test_no_answer(self):
        """One or two polls without any answer change nothing either."""
        run = Run([TIMEOUT, TIMEOUT, shows(document()), TIMEOUT, TIMEOUT, shows(done())])
        assert run.steps == ["wait", "GET store"] * 6
        assert run.waits[1:] == [2.0] * 5

    def test_outage_that_says_how_long(self):
        """The client obeys the Retry-After of an outage."""
        assert Run([Response(status=503, headers={"retry-after": "30"})]).waits[1] == 30.0


class TestEndedLink:
    @pytest.mark.parametrize("ended", [EXPIRED, EXPIRED_TOKEN, replace(DENIED, headers={"date": http_date(NOW + timedelta(hours=1))})])
    def test_fresh_link_once(self, ended):
        """A link that has expired, by the store's words or its clock, is renewed once and read again at once."""
        run = Run([ended, fresh_link(), shows(done())])
        assert run.steps == ["wait", "GET store", "POST api link", "GET store"]
        assert run.fetches[-1].url == FRESH
        assert run.result == done()

    def test_a_fresh_link_expires_too(self):
        """A fresh link that worked and then expires is renewed again."""
        run = Run([EXPIRED, fresh_link(), shows(document()), EXPIRED, fresh_link(), shows(done())])
        assert run.steps.count("POST api link") == 2
        assert run.result == done()

    def test_a_fresh_link_that_has_expired_too(self):
        """If the fresh link fails as well, the client asks the API and then waits."""
        run = Run([EXPIRED, fresh_link(), EXPIRED, shows(document(), status=202)])
        assert run.steps == ["wait", "GET store", "POST api link", "GET store", "GET api", "wait"]

    def test_no_fresh_link(self):
        """If the API gives no fresh link, the client asks it for the operation."""
        run = Run([EXPIRED, Response(status=500, headers={}), shows(done(), status=202)])
        assert run.steps == ["wait", "GET store", "POST api link", "GET api"]
        assert run.result == done()


class TestRefused:
    @pytest.mark.parametrize("refused", [DENIED, MISSING])
    def test_the_api_is_asked_once(self, refused):
        """After a refusal the client asks the API once, whose document counts like any other."""
        running = document(status="running", revision=2, attempt=1)
        run = Run([refused, shows(running, status=202), shows(done())])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store"]
        assert run.shown == [running, done()]

    def test_refused_twice(self):
        """After a second refusal in a row, the client tries a fresh link before it asks the API again."""
        run = Run([DENIED, shows(document(), status=202), DENIED, fresh_link(), DENIED, shows(document(), status=202)])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store", "POST api link", "GET store", "GET api", "wait"]

    def test_the_api_says_succeeded(self):
        """A 200 with JSON from the API means that the operation succeeded."""
        run = Run([MISSING, Response(status=200, headers={"content-type": "application/json"}, body=b'{"total": 5}')])
        assert run.result is not None
        assert run.result.status == "succeeded"

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_the_api_says_ended_otherwise(self, status):
        """A 404 problem that says how the operation ended is its end, with its error."""
        run = Run([MISSING, problem(404, operation_status=status, error={"code": "sold_out", "message": "no"})])
        assert run.result is not None
        assert (run.result.status, run.result.error) == (status, {"code": "sold_out", "message": "no"})

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_the_api_says_unknown(self, status):
        """If the API does not know the operation or refuses to say, polling raises that."""
        with pytest.raises(ApiError) as caught:
            Run([MISSING, problem(status, code="operation_not_found")])
        assert caught.value.status == status

    @pytest.mark.parametrize(
        "nonsense", [TIMEOUT, SLOW_DOWN, HTML, REDIRECT, Response(status=404, headers={}, body=b"<html>"), Response(status=202, headers={})]
    )
    def test_an_api_that_does_not_help(self, nonsense):
        """An outage of the API, or an answer that is not offpoll's, decides nothing."""
        run = Run([DENIED, nonsense, shows(done())])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store"]
        assert run.result == done()

    def test_links_are_made_from_the_address(self):
        """If a document has no links, the client builds its URL from the API's address."""
        run = Run([DENIED, SLOW_DOWN], of=ticket(document=document(links={})))
        assert run.fetches[1].url == SELF


def test_repr_of_a_fetch_hides_secrets():
    """The repr of a fetch shows neither its link nor its credentials, so neither gets into logs."""
    assert (
        repr(Fetch(to="store", url=LINK, headers={"Authorization": "secret"}))
        == f"Fetch(to='store', method='GET', max_bytes={16 * 2**20}, timeout=inf)"
    )
