"""Many waits of one client, sync and async: how each ends, in which order, how many requests run at once, and what is left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from tests.support.client_store import identifier

from offpoll.client import AsyncClient
from offpoll.document import Document
from offpoll.errors import ApiError, ConfigurationError, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import Response
from offpoll.testing.virtual import run_virtual

HTML = Response(status=200, headers={"content-type": "text/html"}, body=b"<html>")


class TestEnds:
    def test_results_and_errors_in_order(self, make, store):
        """Each ticket has one outcome, in the tickets' order; errors are values there, and raised by `result()`."""
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
        """Waits are yielded in the order in which they end."""
        tickets = [
            store.ticket(1, "succeeded", first=30.0),
            store.ticket(2, "succeeded", first=10.0),
            store.ticket(3, "succeeded", first=20.0),
        ]
        assert [waited.result()["number"] for waited in make().completed(tickets)] == [2, 3, 1]

    def test_schedules(self, make, store):
        """Each wait asks as often and ends as soon as if it were alone."""
        for number in (1, 2):
            store.ticket(number, "running", "running", "succeeded", first=10.0 * number)
        alone = [store.ticket(number, "running", "running", "succeeded", first=10.0 * number) for number in (1, 2)]
        make().wait_all(alone)
        assert Counter(store.asked) == {"store 1": 3, "api 1": 1, "store 2": 3, "api 2": 1}
        assert store.world.now == pytest.approx(20.1 + 2 * 2.0)

    def test_updates(self, make, store):
        """`on_update` sees every new document of every operation."""
        tickets = [store.ticket(1, "running", "succeeded"), store.ticket(2, "running", "canceled")]
        shown: list[Document] = []
        make().wait_all(tickets, on_update=shown.append)
        assert Counter((int(each.id, 16), each.status) for each in shown) == Counter(
            [(1, "running"), (1, "succeeded"), (2, "running"), (2, "canceled")]
        )

    def test_result_type(self, make, store):
        """Results are converted to the type you ask for; one that does not fit is its ticket's error."""
        ended = make().wait_all([store.ticket(1, "succeeded")], result_type=dict[str, int])
        assert ended[0].result() == {"number": 1}
        ended = make().wait_all([store.ticket(1, "succeeded")], result_type=list[int])
        assert isinstance(ended[0].exception(), ApiError)

    def test_done_before(self, make, store):
        """Tickets of ended operations need no poll, and giving the same ticket twice makes two waits."""
        done = replace(store.ticket(1), document=store.world.document("succeeded", id=identifier(1), links={}, result=7))
        assert [waited.result() for waited in make().wait_all(iter([done, done]))] == [7, 7]
        assert store.asked == []

    def test_none(self, make, store):
        """Without tickets there is no wait and no outcome."""
        assert make().wait_all([]) == []
        assert make().completed([]) == []

    @pytest.mark.parametrize("cap", [0, -1, 1.5, None])
    def test_cap_is_a_count(self, make, store, cap):
        """A cap must be a whole number of at least 1."""
        with pytest.raises(ConfigurationError, match="max_in_flight"):
            make().wait_all([store.ticket(1, "succeeded")], max_in_flight=cap)

    def test_credentials_stay(self, make, store):
        """A ticket that leads to another host ends in an error; the other waits go on."""
        elsewhere = store.ticket(1, "succeeded")
        elsewhere = replace(elsewhere, document=replace(elsewhere.document, links={"self": "https://evil.test/order/1"}))
        ended = make(auth={"Authorization": "t"}).wait_all([elsewhere, store.ticket(2, "succeeded")])
        assert "credentials are for" in str(ended[0].exception())
        assert ended[1].result() == {"number": 2}

    def test_what_on_update_raises(self, make, store):
        """An error in the caller's `on_update` ends all the waits, as it ends a single one."""

        def on_update(document: Document) -> None:
            raise KeyError(document.status)

        with pytest.raises(KeyError, match="succeeded"):
            make().wait_all([store.ticket(1, "succeeded"), store.ticket(2, "running")], on_update=on_update)

    def test_repr(self, make, store):
        """The repr of an outcome shows no signature of a link."""
        assert "signature" not in repr(make().wait_all([store.ticket(1, "succeeded")]))


class TestAsync:
    def test_cap(self, store):
        """However many waits are due at once, at most as many requests run as the cap allows, and no wait is forgotten."""
        store.takes = 0.5
        tickets = [store.ticket(number, "running", "succeeded") for number in range(1, 501)]

        async def main() -> list[Any]:
            return await AsyncClient(store.world.api, transport=store).wait_all(tickets, max_in_flight=7)

        ended = run_virtual(main())
        assert [waited.result()["number"] for waited in ended] == list(range(1, 501))
        assert store.most == 7
        assert Counter(Counter(store.asked).values()) == {1: 500, 2: 500}

    def test_the_others_go_on(self, store):
        """The other waits go on while the caller handles one outcome."""
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
        """Leaving the loop early leaves no task behind."""
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
        """Cancelling a wait cancels its requests."""
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
