"""Many waits of one client, in both colours: how each ends, in which order, how many requests at once, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.client.conftest import ID, NOW

from offpoll.client import AsyncClient, Client, Ticket
from offpoll.client.driver_blocking import Sender
from offpoll.client.schedule import AT_A_TIME, WaitSchedule
from offpoll.document import Document, PollHint
from offpoll.errors import ApiError, ConfigurationError, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import Fetch, NoAnswer, Response, Wait
from offpoll.testing.virtual import run_virtual

HTML = Response(status=200, headers={"content-type": "text/html"}, body=b"<html>")


def identifier(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Store:
    """A store and an API of many operations: each shows its documents in turn, the last one for ever."""

    world: Any
    shows: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    takes: float = 0.0
    in_flight: int = 0
    most: int = 0

    def ticket(self, number: int, *answers: Any, first: float = 10.0) -> Ticket:
        """Return the ticket of an operation that shows these: statuses, documents or answers."""
        links = {name: href.replace(ID, identifier(number)) for name, href in self.world.document().links.items()}
        document = self.world.document(
            id=identifier(number), links=links, poll=PollHint(not_before=NOW + timedelta(seconds=first), interval=2.0)
        )
        made: Ticket = self.world.ticket(document=document)
        shown = [self.world.document(each, id=document.id, links=links) if isinstance(each, str) else each for each in answers]
        self.shows[document.id] = [self.world.shows(each) if isinstance(each, Document) else each for each in shown]
        return replace(made, link=replace(made.link, href=f"https://store.test/{document.id}?signature=x"))

    def answer(self, fetch: Fetch) -> Response | NoAnswer:
        if fetch.method == "POST":
            return NoAnswer(reason="no fresh links here")
        found = fetch.url.partition("?")[0].rpartition("/")[2]
        self.asked.append(f"{fetch.to} {int(found, 16)}")
        if fetch.to == "api":
            return self.world.json({"number": int(found, 16)})
        answers = self.shows[found]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if self.takes:
                await asyncio.sleep(self.takes)
            return self.answer(fetch)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def store(world, monkeypatch) -> Store:
    made = Store(world)
    monkeypatch.setattr(world, "answer", made.answer)
    return made


class TestHowTheyEnd:
    def test_results_and_errors_in_order(self, make, store):
        """One outcome for each ticket, in the tickets' order: results are returned, errors are values."""
        tickets = [
            store.ticket(1, "running", "succeeded", first=30.0),
            store.ticket(2, store.world.document("failed", id=identifier(2), error={"code": "sold_out"})),
            store.ticket(3, "canceled"),
            store.ticket(4, "running"),
            store.ticket(5, HTML, HTML),
            store.ticket(6, "succeeded"),
        ]
        ended = make().wait_all(tickets, timeout=60.0)
        assert [waited.ticket for waited in ended] == tickets
        assert [type(waited.exception()) for waited in ended] == [
            type(None), OperationFailed, OperationCanceled, WaitTimeout, type(None), type(None),
        ]  # fmt: skip
        assert (ended[0].result(), ended[5].result()) == ({"number": 1}, {"number": 6})
        with pytest.raises(OperationFailed, match="sold_out"):
            ended[1].result()
        assert ended[3].exception().ticket.document.status == "running"
        assert store.world.now == pytest.approx(60.0)

    def test_as_completed(self, make, store):
        """Each is yielded when it has ended, the soonest first."""
        tickets = [
            store.ticket(1, "succeeded", first=30.0),
            store.ticket(2, "succeeded", first=10.0),
            store.ticket(3, "succeeded", first=20.0),
        ]
        assert [waited.result()["number"] for waited in make().completed(tickets)] == [2, 3, 1]

    def test_schedules(self, make, store):
        """Each wait asks as often, and ends as soon, as if it were alone."""
        for number in (1, 2):
            store.ticket(number, "running", "running", "succeeded", first=10.0 * number)
        alone = [store.ticket(number, "running", "running", "succeeded", first=10.0 * number) for number in (1, 2)]
        make().wait_all(alone)
        assert Counter(store.asked) == {"store 1": 3, "api 1": 1, "store 2": 3, "api 2": 1}
        assert store.world.now == pytest.approx(20.1 + 2 * 2.0)

    def test_updates(self, make, store):
        """Progress is visible: every new document of every operation."""
        tickets = [store.ticket(1, "running", "succeeded"), store.ticket(2, "running", "canceled")]
        shown: list[Document] = []
        make().wait_all(tickets, on_update=shown.append)
        assert Counter((int(each.id, 16), each.status) for each in shown) == Counter(
            [(1, "running"), (1, "succeeded"), (2, "running"), (2, "canceled")]
        )

    def test_result_type(self, make, store):
        """Results can be had as a type of one's own; one that does not fit is that ticket's error."""
        ended = make().wait_all([store.ticket(1, "succeeded")], result_type=dict[str, int])
        assert ended[0].result() == {"number": 1}
        ended = make().wait_all([store.ticket(1, "succeeded")], result_type=list[int])
        assert isinstance(ended[0].exception(), ApiError)

    def test_done_before(self, make, store):
        """Tickets of ended operations need no poll, and the same ticket twice is two waits."""
        done = replace(store.ticket(1), document=store.world.document("succeeded", id=identifier(1), links={}, result=7))
        assert [waited.result() for waited in make().wait_all(iter([done, done]))] == [7, 7]
        assert store.asked == []

    def test_none(self, make, store):
        """No tickets, no outcomes, no wait."""
        assert make().wait_all([]) == []
        assert make().completed([]) == []

    @pytest.mark.parametrize("cap", [0, -1, 1.5, None])
    def test_cap_is_a_count(self, make, store, cap):
        """A cap that is no count is refused."""
        with pytest.raises(ConfigurationError, match="max_in_flight"):
            make().wait_all([store.ticket(1, "succeeded")], max_in_flight=cap)

    def test_credentials_stay(self, make, store):
        """An operation whose ticket leads elsewhere ends in an error of its own; the others go on."""
        elsewhere = store.ticket(1, "succeeded")
        elsewhere = replace(elsewhere, document=replace(elsewhere.document, links={"self": "https://evil.test/order/1"}))
        ended = make(auth={"Authorization": "t"}).wait_all([elsewhere, store.ticket(2, "succeeded")])
        assert "credentials are for" in str(ended[0].exception())
        assert ended[1].result() == {"number": 2}

    def test_what_on_update_raises(self, make, store):
        """An error of the caller's own function ends all the waits, as it ends one."""

        def on_update(document: Document) -> None:
            raise KeyError(document.status)

        with pytest.raises(KeyError, match="succeeded"):
            make().wait_all([store.ticket(1, "succeeded"), store.ticket(2, "running")], on_update=on_update)

    def test_repr(self, make, store):
        """What is printed of an outcome holds no link's signature."""
        assert "signature" not in repr(make().wait_all([store.ticket(1, "succeeded")]))


class TestAsync:
    def test_cap(self, store):
        """However many are due at once, no more requests than the cap are under way; none is forgotten."""
        store.takes = 0.5
        tickets = [store.ticket(number, "running", "succeeded") for number in range(1, 501)]

        async def main() -> list[Any]:
            return await AsyncClient(store.world.api, transport=store).wait_all(tickets, max_in_flight=7)

        ended = run_virtual(main())
        assert [waited.result()["number"] for waited in ended] == list(range(1, 501))
        assert store.most == 7
        assert Counter(Counter(store.asked).values()) == {1: 500, 2: 500}

    def test_the_others_go_on(self, store):
        """While the caller is busy with one outcome, the other waits go on."""
        tickets = [store.ticket(1, "succeeded"), store.ticket(2, "succeeded", first=20.0)]

        async def main() -> list[float]:
            times = []
            async for _ in AsyncClient(store.world.api, transport=store, random=lambda: 0.0).as_completed(tickets):
                await asyncio.sleep(30.0)
                times.append(asyncio.get_running_loop().time())
            return times

        assert run_virtual(main()) == pytest.approx([40.0, 70.0])
        assert len(store.asked) == 4

    def test_leaving_early(self, store):
        """Whoever leaves the loop leaves no task behind."""
        store.takes = 1.0
        tickets = [store.ticket(1, "succeeded"), *(store.ticket(number, "running") for number in range(2, 20))]

        async def main() -> int:
            async with aclosing(AsyncClient(store.world.api, transport=store).as_completed(tickets)) as ended:
                async for _ in ended:
                    break
            return len(asyncio.all_tasks())

        assert run_virtual(main()) == 1
        assert store.in_flight == 0

    def test_cancellation(self, store):
        """A wait that is cancelled cancels its requests."""
        store.takes = 100.0

        async def main() -> int:
            waiting = asyncio.create_task(AsyncClient(store.world.api, transport=store).wait_all([store.ticket(1, "running")]))
            await asyncio.sleep(15.0)
            assert store.in_flight == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert asyncio.get_running_loop().time() == 15.0
            return len(asyncio.all_tasks())

        assert run_virtual(main()) == 1
        assert store.in_flight == 0


def test_waits_begin_in_slices(store):
    """Beginning thousands of waits is no one piece of work: whoever drives it can look elsewhere in between."""
    begun: list[Ticket] = []

    def begin(ticket: Ticket) -> Any:
        begun.append(ticket)
        yield Wait(seconds=5.0)
        return b"1"

    schedule = WaitSchedule([store.ticket(1)] * (2 * AT_A_TIME + 1), begin=begin, read=json.loads, monotonic=lambda: 0.0)
    counts = []
    while schedule.pause() == 0.0:
        assert list(schedule.turns()) == []
        counts.append(len(begun))
    assert counts == [AT_A_TIME, 2 * AT_A_TIME, 2 * AT_A_TIME + 1]
    assert (schedule.pause(), schedule.left) == (5.0, 2 * AT_A_TIME + 1)


class TestSender:
    FETCH = Fetch(to="store", url="https://store.test/1")

    def test_side_by_side(self):
        """As many requests as there are threads are under way at once."""
        together = threading.Barrier(4, timeout=10)

        def send(fetch: Fetch) -> NoAnswer:
            together.wait()
            return NoAnswer(reason="none")

        with Sender(send, threads=4, sleep=lambda _: None) as sender:
            for number in range(4):
                sender.send(number, self.FETCH)
            came = [sender.receive(within=10) for _ in range(4)]
        assert {each[0] for each in came if each is not None} == {0, 1, 2, 3}
        assert sender.out == 0
        assert not [each for each in threading.enumerate() if each.name.startswith("offpoll-client")]

    @pytest.mark.parametrize("threads", [0, 2])
    def test_what_a_transport_raises(self, threads):
        """An error of the transport is raised in the caller's own thread."""

        def send(fetch: Fetch) -> NoAnswer:
            raise ConfigurationError("a header")

        with Sender(send, threads=threads, sleep=lambda _: None) as sender:
            sender.send(1, self.FETCH)
            with pytest.raises(ConfigurationError, match="a header"):
                sender.receive(within=10)

    def test_time_is_up(self):
        """Nothing came within the time: None, and the time is slept by the client's own sleep where nothing is under way."""
        slept: list[float] = []
        release = threading.Event()

        def send(fetch: Fetch) -> NoAnswer:
            release.wait(10)
            return NoAnswer(reason="none")

        with Sender(send, threads=1, sleep=slept.append) as sender:
            assert sender.receive(within=7.0) is None
            sender.send(1, self.FETCH)
            assert sender.receive(within=0.01) is None
            release.set()
            assert sender.receive(within=10.0) is not None
        assert slept == [7.0]


def test_a_transport_of_the_caller_s_own_is_used_by_one_thread(store):
    """It need not bear threads: all its requests come from the caller's."""
    threads = set()

    class Transport:
        def send(self, fetch: Fetch) -> Response | NoAnswer:
            threads.add(threading.get_ident())
            return store.answer(fetch)

        def close(self) -> None:
            """Close nothing."""

    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    client = Client(store.world.api, transport=Transport(), sleep=sleep, monotonic=lambda: now[0])
    ended = client.wait_all([store.ticket(number, "running", "succeeded") for number in range(1, 30)], max_in_flight=8)
    assert [waited.result()["number"] for waited in ended] == list(range(1, 30))
    assert threads == {threading.get_ident()}
