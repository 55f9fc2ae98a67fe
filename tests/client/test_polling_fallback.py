"""Polling while the store is out of reach: the client asks the API instead, more rarely, and keeps trying the store."""

from __future__ import annotations

from datetime import timedelta
from math import inf

import pytest
from tests.support.scripted_polling import (
    EXPIRED,
    HTML,
    NOW,
    SLOW_DOWN,
    TIMEOUT,
    Run,
    document,
    done,
    fresh_link,
    problem,
    shows,
    ticket,
)

from offpoll.client.polling import API_INTERVAL, PROBE_TIMEOUT
from offpoll.document import PollHint
from offpoll.errors import ApiError
from offpoll.exchange import Response


class TestFallback:
    """The client cannot reach the store: it asks the API, on a slower schedule, and keeps trying the store."""

    RUNNING = document(status="running", revision=2, attempt=1)

    def test_unreachable(self):
        """From the third poll without an answer, the client asks the API after the store, every ten seconds or four intervals."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, shows(self.RUNNING, status=202), TIMEOUT, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store"] * 2 + ["wait", "GET store", "GET api"] * 2
        assert run.waits[1:] == [2.0, 2.0, API_INTERVAL]
        assert run.shown == [self.RUNNING, done()]
        assert [fetch.timeout for fetch in run.fetches if fetch.to == "store"] == [inf, inf, inf, PROBE_TIMEOUT]

    @pytest.mark.parametrize(("interval", "apart"), [(0.2, 10.0), (2.4, 10.0), (20.0, 80.0)])
    def test_slower(self, interval, apart):
        """Polls are four intervals apart and at least ten seconds, with the same jitter."""
        slow = ticket(document=document(poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=interval)))
        for random in (0.0, 0.5, 1.0):
            run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, TIMEOUT, SLOW_DOWN], of=slow, random=random)
            assert run.waits[3:] == pytest.approx([apart * (0.9 + 0.2 * random)] * 2)

    def test_back_to_the_store(self):
        """The store's first good answer ends the fallback: the planned schedule returns, and the client stops asking the API."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, shows(self.RUNNING), TIMEOUT, TIMEOUT, shows(done())])
        assert run.steps[7:] == ["wait", "GET store"] * 4
        assert run.waits[3:] == [API_INTERVAL, 2.0, 2.0, 2.0]
        assert run.fetches[-1].timeout == inf

    def test_an_outage_of_the_store(self):
        """A store that answers with errors is given more polls, because its outage hits every client at once."""
        run = Run([*[SLOW_DOWN] * 10, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store"] * 10 + ["GET api"]
        assert run.result == done()

    def test_both_out_of_order(self):
        """While neither helps, the wait goes on, slowly, and obeys their Retry-After."""
        down = Response(status=503, headers={"retry-after": "60"})
        run = Run([*[TIMEOUT] * 3, down, *[TIMEOUT, down] * 40, shows(done())])
        assert run.result == done()
        assert min(run.waits[3:]) == 60.0

    def test_the_hint_of_the_api(self):
        """A hint in the API's document can postpone the next poll, but not advance it."""
        later = document(revision=2, poll=PollHint(not_before=NOW + timedelta(seconds=100), interval=2.0))
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, shows(later, status=202, date=NOW + timedelta(seconds=20))], random=0.0)
        assert run.waits[3] == 80.0
        soon = document(revision=2, poll=PollHint(not_before=NOW + timedelta(seconds=21), interval=2.0))
        assert Run([*[TIMEOUT] * 3, shows(soon, status=202, date=NOW + timedelta(seconds=20))]).waits[3] == API_INTERVAL

    def test_the_api_says_unknown(self):
        """If the API does not know the operation, the wait ends."""
        with pytest.raises(ApiError, match="t"):
            Run([TIMEOUT, TIMEOUT, TIMEOUT, problem(404, code="operation_not_found")])

    def test_a_page_in_the_way(self):
        """A network that answers in the store's place does not end the wait as long as the API helps."""
        answers = [
            HTML,
            HTML,
            fresh_link(),
            HTML,
            shows(document(), status=202),
            HTML,
            HTML,
            fresh_link(),
            HTML,
            shows(document(), status=202),
        ]
        slowly = [each for _ in range(50) for each in (HTML, shows(self.RUNNING, status=202))]
        run = Run([*answers, *slowly, HTML, shows(done(), status=202)])
        assert run.result == done()
        assert run.waits[4:] == [API_INTERVAL] * 51

    def test_a_link_that_expires_meanwhile(self):
        """If the link has expired when the store returns, a fresh link leads back to the store."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, EXPIRED, fresh_link(), shows(self.RUNNING), shows(done())])
        assert run.steps[7:] == ["wait", "GET store", "POST api link", "GET store", "wait", "GET store"]
        assert run.waits[-1] == 2.0
