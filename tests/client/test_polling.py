"""Polling: the plan, the waits, and what each answer means, by driving the generator with scripted answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.client.flows import Finished, advance
from offpoll.client.polling import API_INTERVAL, FOLLOWED_UP, GIVE_UP, PROBE_TIMEOUT, Polling
from offpoll.document import Document, PollHint
from offpoll.errors import ApiError
from offpoll.exchange import Fetch, NoAnswer, Response, Shown, Wait
from offpoll.link import StatusLink
from offpoll.operation import Progress
from offpoll.poll_plan import MAX_PAUSE, MIN_INTERVAL, pause
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
API = "https://api.test"
SELF = f"{API}/order/{ID}"
LINK = "https://store.test/1?signature=old"
FRESH = "https://store.test/1?signature=new"

EXPIRED = Response(status=403, headers={}, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
EXPIRED_TOKEN = Response(
    status=400, headers={}, body=b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
DENIED = Response(status=403, headers={}, body=b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
MISSING = Response(status=404, headers={}, body=b"<Error><Code>NoSuchKey</Code></Error>")
SLOW_DOWN = Response(status=503, headers={}, body=b"<Error><Code>SlowDown</Code></Error>")
TIMEOUT = NoAnswer(reason="timed out")
HTML = Response(status=200, headers={"content-type": "text/html"}, body=b"<html>Log in to the hotel's network</html>")
REDIRECT = Response(status=302, headers={"location": "https://elsewhere.test/"})
NOT_MODIFIED = Response(status=304, headers={})


def http_date(instant: datetime) -> str:
    return instant.strftime("%a, %d %b %Y %H:%M:%S GMT")


def document(**fields: object) -> Document:
    made = Document(
        id=ID,
        kind="order",
        status="queued",
        created_at=NOW,
        updated_at=NOW,
        poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=2.0),
        links={"self": SELF, "status_link": SELF + "/status-link", "cancel": SELF + "/cancel"},
    )
    return replace(made, **fields)


def done(status: str = "succeeded", **fields: object) -> Document:
    return document(status=status, revision=9, attempt=1, poll=None, **fields)


def shows(shown: Document, *, date: datetime | None = None, status: int = 200, etag: str = '"e"') -> Response:
    headers = {"etag": etag, "content-type": "application/json", **({} if date is None else {"date": http_date(date)})}
    return Response(status=status, headers=headers, body=shown.to_bytes())


def fresh_link() -> Response:
    return Response(status=200, headers={}, body=json.dumps({"href": FRESH, "expires_at": "2030-01-01T02:00:00.000Z"}).encode())


def problem(status: int, **members: object) -> Response:
    headers = {"content-type": "application/problem+json"}
    return Response(status=status, headers=headers, body=json.dumps({"title": "t", "status": status, **members}).encode())


def ticket(**fields: object) -> Ticket:
    link = StatusLink(href=LINK, expires_at=NOW + timedelta(hours=1))
    return replace(Ticket(document=document(), link=link, location=f"/order/{ID}", retry_after=10, answered_at=NOW), **fields)


class Run:
    """Drives a polling with scripted answers, and keeps what it did."""

    def __init__(
        self, answers: Iterable[Response | NoAnswer], *, of: Ticket | None = None, random: float = 0.5, elapsed: float = 0.0
    ) -> None:
        self.waits: list[float] = []
        self.fetches: list[Fetch] = []
        self.shown: list[Document] = []
        self.steps: list[str] = []
        self.result: Document | None = None
        self.polling = Polling(ticket=of or ticket(), base_url=API, random=lambda: random)
        self._drive(iter(answers), elapsed)

    def _drive(self, answers, elapsed) -> None:
        flow, reply = self.polling.run(elapsed=elapsed), None
        while not isinstance(event := advance(flow, reply), Finished):
            reply = None
            match event:
                case Wait():
                    self.waits.append(event.seconds)
                    self.steps.append("wait")
                case Fetch():
                    reply = next(answers, None)
                    if reply is None:
                        return
                    self.fetches.append(event)
                    self.steps.append(f"{event.method} {event.to}" + (" link" if event.url.endswith("/status-link") else ""))
                case Shown():
                    self.shown.append(event.document)
        self.result = event.value


class TestPause:
    @given(st.floats(0, 1), st.floats(0.3, 1000))
    def test_intervals_are_spread_by_a_tenth(self, random, interval):
        """After `not_before`, the wait is one interval ± 10 %."""
        hint = PollHint(not_before=NOW, interval=interval)
        waited = pause(hint, date=NOW, updated_at=NOW, random=lambda: random)
        assert 0.9 * interval - 1e-9 <= waited <= 1.1 * interval + 1e-9

    @given(st.floats(0, 1), st.floats(1, 3000))
    def test_never_before_not_before(self, random, due):
        """Until `not_before` the wait is that long and at most a tenth longer, never shorter: the worker writes just before it."""
        hint = PollHint(not_before=NOW + timedelta(seconds=due), interval=60.0)
        waited = pause(hint, date=NOW, updated_at=NOW, random=lambda: random)
        assert due - 1e-6 <= waited <= min(1.1 * due, due + 6.0) + 1e-6

    @given(st.floats(0, 1), st.floats(), st.datetimes(timezones=st.just(UTC)) | st.none())
    def test_always_between_floor_and_cap(self, random, interval, not_before):
        """Whatever a server says (0, 1e9, NaN, infinity, the year 9999), a wait is between the floor and the cap."""
        hint = PollHint(not_before=not_before or NOW, interval=interval)
        assert MIN_INTERVAL <= pause(hint, date=NOW, updated_at=NOW, random=lambda: random) <= MAX_PAUSE

    def test_a_document_of_the_same_second_is_more_exact(self):
        """`Date` has whole seconds; a document written within that second says how far into it the answer was."""
        hint = PollHint(not_before=NOW + timedelta(seconds=2), interval=0.5)
        assert pause(hint, date=NOW, updated_at=NOW + timedelta(seconds=0.9), random=lambda: 0.0) == pytest.approx(1.1)
        assert pause(hint, date=NOW, updated_at=NOW + timedelta(seconds=1.2), random=lambda: 0.0) == pytest.approx(2.0)


class TestFirstPoll:
    @pytest.mark.parametrize("skew", [timedelta(0), timedelta(days=1), timedelta(days=-1)])
    def test_hints_are_judged_by_the_servers_clock(self, skew):
        """The first wait is `not_before` minus the answer's Date, wherever the server's clock is."""
        hint = PollHint(not_before=NOW + skew + timedelta(seconds=10), interval=2.0)
        skewed = document(poll=hint, created_at=NOW + skew, updated_at=NOW + skew)
        run = Run([], of=ticket(document=skewed, answered_at=NOW + skew), random=0.0)
        assert run.waits == [10.0]

    def test_time_since_the_answer_counts(self):
        """What has passed since the answer is taken off; nothing is left after an hour."""
        assert Run([], random=0.0, elapsed=4.0).waits == [6.0]
        assert Run([], random=0.0, elapsed=3600.0).waits == [0.0]

    def test_retry_after_without_a_date(self):
        """Without a usable Date, the first wait is Retry-After."""
        assert Run([], of=ticket(answered_at=None, retry_after=7)).waits == [7.0]

    def test_a_saved_ticket_asks_at_once(self):
        """Nobody knows how long a saved ticket lay: it asks at once, and then by the store's Date."""
        run = Run([shows(document(), date=NOW + timedelta(seconds=4))], of=Ticket.from_json(ticket().to_json()), random=0.0)
        assert run.waits == [0.0, 6.0]

    def test_done_before_the_first_poll(self):
        """A ticket of an ended operation needs no request."""
        run = Run([], of=ticket(document=done()))
        assert (run.result, run.shown, run.steps) == (done(), [done()], [])


class TestStore:
    def test_until_done(self):
        """Documents are shown once each, the terminal one is returned, and only GETs without any headers of the API go to the store."""
        running = document(status="running", revision=2, attempt=1, progress=Progress(fraction=0.4))
        run = Run([shows(running), shows(running), shows(done())])
        assert run.result == done()
        assert run.shown == [running, done()]
        assert run.steps == ["wait", "GET store"] * 3
        assert {fetch.url for fetch in run.fetches} == {LINK}

    def test_not_modified(self):
        """The last etag is sent, 304 means nothing new, and the schedule goes on by the answer's Date."""
        later = Response(status=304, headers={"date": http_date(NOW + timedelta(seconds=11))})
        run = Run([shows(document(), etag='"1"'), NOT_MODIFIED, later, shows(done())])
        assert [fetch.headers.get("If-None-Match") for fetch in run.fetches] == [None, '"1"', '"1"', '"1"']
        assert run.waits[1:] == [2.0, 2.0, 2.0]
        assert run.shown == [done()]

    def test_not_modified_out_of_the_blue(self):
        """A 304 that nobody asked for is no document."""
        assert Run([NOT_MODIFIED]).polling.trouble != ""

    def test_replanned_by_a_new_hint(self):
        """A document with a new hint changes the next waits."""
        hint = PollHint(not_before=NOW + timedelta(seconds=40), interval=5.0)
        run = Run(
            [shows(document(revision=2, poll=hint), date=NOW + timedelta(seconds=10)), shows(document(revision=2, poll=hint))],
            random=0.5,
        )
        assert run.waits == [10.1, 30.25, 5.0]

    def test_a_document_without_a_hint_keeps_the_last(self):
        """A document without a hint changes nothing about the schedule."""
        run = Run([shows(document(revision=2, poll=None), date=NOW + timedelta(seconds=60))])
        assert run.waits[1] == 2.0

    def test_unknown_status_is_not_done(self):
        """A status of a newer writer keeps the client waiting, whatever its `done` says."""
        body = json.dumps({**document(revision=2).to_dict(), "status": "pondering", "done": True}).encode()
        run = Run([Response(status=200, headers={}, body=body), shows(done())])
        assert run.steps == ["wait", "GET store"] * 2
        assert run.shown[0].status == "pondering"

    def test_a_lower_rank_is_not_shown(self):
        """What watchers see never goes backwards."""
        run = Run([shows(document(attempt=2, revision=5)), shows(document(attempt=1, revision=9)), shows(done())])
        assert [shown.attempt for shown in run.shown] == [2, 1]
        assert run.shown[-1].done

    @pytest.mark.parametrize("outage", [SLOW_DOWN, Response(status=429, headers={}), Response(status=500, headers={})])
    def test_outage(self, outage):
        """While the store is out of order the same schedule goes on, and nobody else is asked."""
        run = Run([*[outage] * 9, shows(done())])
        assert run.steps == ["wait", "GET store"] * 10
        assert run.waits[1:] == [2.0] * 9
        assert run.result == done()

    def test_no_answer(self):
        """A poll or two without any answer change nothing either."""
        run = Run([TIMEOUT, TIMEOUT, shows(document()), TIMEOUT, TIMEOUT, shows(done())])
        assert run.steps == ["wait", "GET store"] * 6
        assert run.waits[1:] == [2.0] * 5

    def test_outage_that_says_how_long(self):
        """A Retry-After of an outage is obeyed."""
        assert Run([Response(status=503, headers={"retry-after": "30"})]).waits[1] == 30.0


class TestEndedLink:
    @pytest.mark.parametrize("ended", [EXPIRED, EXPIRED_TOKEN, replace(DENIED, headers={"date": http_date(NOW + timedelta(hours=1))})])
    def test_fresh_link_once(self, ended):
        """An ended link, by the store's words or by its clock, is renewed once and read again at once."""
        run = Run([ended, fresh_link(), shows(done())])
        assert run.steps == ["wait", "GET store", "POST api link", "GET store"]
        assert run.fetches[-1].url == FRESH
        assert run.result == done()

    def test_every_link_ends_some_day(self):
        """A link that ends after it has worked is renewed again."""
        run = Run([EXPIRED, fresh_link(), shows(document()), EXPIRED, fresh_link(), shows(done())])
        assert run.steps.count("POST api link") == 2
        assert run.result == done()

    def test_a_fresh_link_that_has_ended_too(self):
        """If the fresh link fails as well, the API is asked, and the client waits."""
        run = Run([EXPIRED, fresh_link(), EXPIRED, shows(document(), status=202)])
        assert run.steps == ["wait", "GET store", "POST api link", "GET store", "GET api", "wait"]

    def test_no_fresh_link(self):
        """If the API gives no link, it is asked for the operation."""
        run = Run([EXPIRED, Response(status=500, headers={}), shows(done(), status=202)])
        assert run.steps == ["wait", "GET store", "POST api link", "GET api"]
        assert run.result == done()


class TestRefused:
    @pytest.mark.parametrize("refused", [DENIED, MISSING])
    def test_the_api_is_asked_once(self, refused):
        """A refusal is followed by one question to the API; its document counts as any other."""
        running = document(status="running", revision=2, attempt=1)
        run = Run([refused, shows(running, status=202), shows(done())])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store"]
        assert run.shown == [running, done()]

    def test_refused_twice(self):
        """A second refusal in a row tries a fresh link before the API is asked again."""
        run = Run([DENIED, shows(document(), status=202), DENIED, fresh_link(), DENIED, shows(document(), status=202)])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store", "POST api link", "GET store", "GET api", "wait"]

    def test_succeeded_says_the_api(self):
        """200 with JSON from the API means succeeded."""
        run = Run([MISSING, Response(status=200, headers={"content-type": "application/json"}, body=b'{"total": 5}')])
        assert run.result is not None
        assert run.result.status == "succeeded"

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_ended_otherwise_says_the_api(self, status):
        """A 404 problem that says how the operation ended is its end, error and all."""
        run = Run([MISSING, problem(404, operation_status=status, error={"code": "sold_out", "message": "no"})])
        assert run.result is not None
        assert (run.result.status, run.result.error) == (status, {"code": "sold_out", "message": "no"})

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_unknown_says_the_api(self, status):
        """If the API knows no such operation or refuses to say, that is the error."""
        with pytest.raises(ApiError) as caught:
            Run([MISSING, problem(status, code="operation_not_found")])
        assert caught.value.status == status

    @pytest.mark.parametrize(
        "nonsense", [TIMEOUT, SLOW_DOWN, HTML, REDIRECT, Response(status=404, headers={}, body=b"<html>"), Response(status=202, headers={})]
    )
    def test_an_api_that_does_not_help(self, nonsense):
        """An outage or a stranger in the API's place decides nothing."""
        run = Run([DENIED, nonsense, shows(done())])
        assert run.steps == ["wait", "GET store", "GET api", "wait", "GET store"]
        assert run.result == done()

    def test_links_are_made_from_the_address(self):
        """Documents without links are asked about at the API's own address."""
        run = Run([DENIED, SLOW_DOWN], of=ticket(document=document(links={})))
        assert run.fetches[1].url == SELF


class TestFallback:
    """The store cannot be reached: the API is asked, on a slower schedule, and the store remains tried."""

    RUNNING = document(status="running", revision=2, attempt=1)

    def test_unreachable(self):
        """From the third poll without an answer on the API is asked after the store, every ten seconds or four intervals."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, shows(self.RUNNING, status=202), TIMEOUT, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store"] * 2 + ["wait", "GET store", "GET api"] * 2
        assert run.waits[1:] == [2.0, 2.0, API_INTERVAL]
        assert run.shown == [self.RUNNING, done()]
        assert [fetch.timeout for fetch in run.fetches if fetch.to == "store"] == [inf, inf, inf, PROBE_TIMEOUT]

    @pytest.mark.parametrize(("interval", "apart"), [(0.2, 10.0), (2.4, 10.0), (20.0, 80.0)])
    def test_slower(self, interval, apart):
        """The polls are four intervals apart, and never closer than ten seconds; the jitter stays."""
        slow = ticket(document=document(poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=interval)))
        for random in (0.0, 0.5, 1.0):
            run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, TIMEOUT, SLOW_DOWN], of=slow, random=random)
            assert run.waits[3:] == pytest.approx([apart * (0.9 + 0.2 * random)] * 2)

    def test_back_to_the_store(self):
        """The first good answer of the store ends it: the plan's own schedule, and the API in peace."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, shows(self.RUNNING), TIMEOUT, TIMEOUT, shows(done())])
        assert run.steps[7:] == ["wait", "GET store"] * 4
        assert run.waits[3:] == [API_INTERVAL, 2.0, 2.0, 2.0]
        assert run.fetches[-1].timeout == inf

    def test_an_outage_of_the_store(self):
        """A store that answers, but only that it is out of order, is borne longer: its outage is everybody's."""
        run = Run([*[SLOW_DOWN] * 10, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store"] * 10 + ["GET api"]
        assert run.result == done()

    def test_both_out_of_order(self):
        """While neither answers the wait goes on for ever, slowly, and what they say about when to ask again is obeyed."""
        down = Response(status=503, headers={"retry-after": "60"})
        run = Run([*[TIMEOUT] * 3, down, *[TIMEOUT, down] * 40, shows(done())])
        assert run.result == done()
        assert min(run.waits[3:]) == 60.0

    def test_what_the_api_plans(self):
        """A hint in the API's document moves the next poll further away, not closer."""
        later = document(revision=2, poll=PollHint(not_before=NOW + timedelta(seconds=100), interval=2.0))
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, shows(later, status=202, date=NOW + timedelta(seconds=20))], random=0.0)
        assert run.waits[3] == 80.0
        soon = document(revision=2, poll=PollHint(not_before=NOW + timedelta(seconds=21), interval=2.0))
        assert Run([*[TIMEOUT] * 3, shows(soon, status=202, date=NOW + timedelta(seconds=20))]).waits[3] == API_INTERVAL

    def test_unknown_says_the_api(self):
        """An operation that the API does not know ends the wait."""
        with pytest.raises(ApiError, match="t"):
            Run([TIMEOUT, TIMEOUT, TIMEOUT, problem(404, code="operation_not_found")])

    def test_a_page_in_the_way(self):
        """A network that answers in the store's place is a trouble; while the API helps it does not end the wait."""
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

    def test_a_link_that_ends_meanwhile(self):
        """When the store is there again and the link has ended, a fresh one leads back to it."""
        run = Run([TIMEOUT, TIMEOUT, TIMEOUT, SLOW_DOWN, EXPIRED, fresh_link(), shows(self.RUNNING), shows(done())])
        assert run.steps[7:] == ["wait", "GET store", "POST api link", "GET store", "wait", "GET store"]
        assert run.waits[-1] == 2.0


class TestPoisoned:
    """Whoever can write a document, or answer in the store's place, sends nobody anywhere."""

    EVIL = "https://evil.test"
    LINKS: ClassVar = {"self": f"{EVIL}/order/{ID}", "status_link": f"{EVIL}/link", "cancel": f"{EVIL}/cancel"}

    def test_links_of_a_document(self):
        """The API is asked where the ticket said, whatever links a stored document has."""
        poisoned = document(status="running", revision=2, attempt=1, links=self.LINKS)
        run = Run([shows(poisoned), MISSING, SLOW_DOWN, EXPIRED, fresh_link(), shows(done(links=self.LINKS))])
        assert [fetch.url for fetch in run.fetches if fetch.to == "api"] == [SELF, SELF + "/status-link"]
        assert run.result == done()
        assert {shown.links["self"] for shown in run.shown} == {SELF}

    def test_a_document_without_links(self):
        """A stored document without links does not make its own result the operation's."""
        assert Run([shows(done(links={}, result={"free": True}))]).result == done(result={"free": True})

    @pytest.mark.parametrize(
        "href", ["https://evil.test/1", "http://store.test/1", "https://store.test:444/1", "https://store.test@evil.test/1"]
    )
    def test_a_fresh_link_to_another_host(self, href):
        """It is not followed; the API is asked instead, and the error that ends a hopeless wait says so."""
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
        """What is no document of this operation is a failed poll: never a success, the schedule goes on."""
        run = Run([other, shows(done())])
        assert run.steps == ["wait", "GET store"] * 2
        assert run.shown == [done()]

    @pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
    def test_the_second_time_the_api_is_asked(self, other):
        """The second time in a row a fresh link is tried, then the API is asked."""
        run = Run([other, other, fresh_link(), other, shows(done(), status=202)])
        assert run.steps == ["wait", "GET store", "wait", "GET store", "POST api link", "GET store", "GET api"]
        assert run.result == done()

    @pytest.mark.parametrize("other", [*OTHERS.values(), DENIED, MISSING, EXPIRED], ids=[*OTHERS, "denied", "missing", "expired"])
    def test_not_for_ever(self, other):
        """If it persists, a clear error says so; until then there is a wait before every poll and few questions to the API."""
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

        with pytest.raises(ApiError, match=f"may go on, but its status cannot be read, {GIVE_UP} times") as caught:
            drive()
        assert caught.value.status == other.status
        assert len(waits) == GIVE_UP
        assert min(waits) > 1
        assert asked.count("api") <= 2 * len(FOLLOWED_UP)

    def test_trouble_ends_with_a_good_answer(self):
        """A good answer from the store starts the count anew."""
        answers = [answer for _ in range(20) for answer in (HTML, shows(document()))]
        run = Run([*answers, shows(done())])
        assert run.result == done()
        assert run.polling.trouble == ""


def test_repr_of_a_fetch_hides_secrets():
    """A status link and credentials do not get into logs by way of repr."""
    assert (
        repr(Fetch(to="store", url=LINK, headers={"Authorization": "secret"}))
        == f"Fetch(to='store', method='GET', max_bytes={16 * 2**20}, timeout=inf)"
    )
