"""The threads of the sync client: who sends its requests."""

from __future__ import annotations

import threading

import pytest

from offpoll.client import Client
from offpoll.client.driver_blocking import Sender
from offpoll.errors import ConfigurationError
from offpoll.exchange import Fetch, NoAnswer, Response


class TestSender:
    FETCH = Fetch(to="store", url="https://store.test/1")

    def test_side_by_side(self):
        """Each thread has a request under way at the same time, and all threads end with the sender."""
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
        """A transport's error is raised in the caller's thread."""

        def send(fetch: Fetch) -> NoAnswer:
            raise ConfigurationError("a header")

        with Sender(send, threads=threads, sleep=lambda _: None) as sender:
            sender.send(1, self.FETCH)
            with pytest.raises(ConfigurationError, match="a header"):
                sender.receive(within=10)

    def test_time_is_up(self):
        """If nothing comes in time, `receive` returns None; with no request under way it sleeps by the client's `sleep`."""
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


def test_one_thread_uses_the_transport_of_a_caller(store):
    """A transport that the caller made need not be thread-safe: all its requests come from the caller's thread."""
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
