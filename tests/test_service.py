"""The service: submitting from code, the lifespan, and the headers of its responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.lab import lab, single

from offpoll.app import Offpoll
from offpoll.document import PollHint
from offpoll.errors import ConfigurationError, InputTooLarge, OperationNotFound
from offpoll.kind import record_lifetime
from offpoll.operation import Operation
from offpoll.poll_plan import plan
from offpoll.service import AsyncService
from offpoll.settings import Settings
from offpoll.testing import START


async def handle(number: int, operation: Operation) -> Any:
    return operation.state


def test_submitting_needs_a_secret() -> None:
    """A process that submits refuses to start without a secret."""
    with lab(single(handle), workers=0) as one, pytest.raises(ConfigurationError, match="OFFPOLL_SECRET"):
        AsyncService(single(handle), settings=Settings(), dependencies=one.system.service.dependencies)


def test_record_lifetime() -> None:
    """Records live for their window plus the longest timeout, and never as long as documents."""
    kinds = single(handle, timeout=1000).kinds(Settings())
    assert record_lifetime(Settings(), kinds) == Settings().record_window + 1000
    with pytest.raises(ConfigurationError, match="OFFPOLL_DOCUMENT_WINDOW"):
        record_lifetime(Settings(document_window=Settings().record_window + 1000), kinds)


def test_submit_from_code() -> None:
    """An object of the handler's type counts as the same input as its JSON: the same key gives the same operation."""
    with lab(single(handle), workers=0) as one:
        submit = one.system.service.submit
        first = one.system.run(submit("order", 5, idempotency_key="k"))
        assert one.system.run(submit("order", b" 5 ", idempotency_key="k")).operation_id == first.operation_id
        assert first.document.links == {}
        assert first.headers["location"] == f"/order/{first.operation_id}"


def test_invalid_submits() -> None:
    """An unknown kind, an invalid owner, a large input or an invalid address is refused, and nothing is created."""
    with lab(single(handle), workers=0, input_limit=3) as one:
        submit = one.system.service.submit
        for wrong, error in (
            (submit("invoice", 5), OperationNotFound),
            (submit("order", 5, owner=""), ConfigurationError),
            (submit("order", 12345), InputTooLarge),
            (submit("order", 5, base_url="https://[1"), ValueError),
        ):
            with pytest.raises(error):
                one.system.run(wrong)
        assert (one.writes, one.messages) == (0, 0)


def test_values_from_callers_are_bounded() -> None:
    """An address too long for a document gives no links and does not travel; nor does an invalid trace. Neither raises an error."""
    with lab(single(handle), workers=0) as one:
        submit = one.system.service.submit
        for base_url, kept in (("https://api.example.com/" + "p" * 376, True), ("https://api.example.com/" + "p" * 377, False)):
            ticket = one.system.run(submit("order", 5, base_url=base_url, traceparent="00-aa-bb-01", tracestate="z" * 300_000))
            attributes = one.system.queue.peek()[-1].attributes
            assert attributes.get("base_url", "") == (base_url if kept else "")
            assert bool(ticket.document.links) is kept
            assert attributes.keys().isdisjoint({"traceparent", "tracestate"})


@pytest.mark.parametrize(
    ("seconds", "interval", "expected"),
    [(4.2, 2.0, 5), (0.1, 2.0, 1), (-1, 2.0, 2), (-1, 0.2, 1), (-1, float("nan"), 3600), (-1, float("inf"), 3600), (1e9, 2.0, 3600)],
)
def test_retry_after(seconds: float, interval: float, expected: int) -> None:
    """Retry-After is whole seconds until the next poll, at least one. Nonsense in a stored document becomes an hour, never an error."""
    with lab(single(handle), workers=0) as one:
        document = one.document(one.submit())
        hint = PollHint(not_before=START + timedelta(seconds=seconds), interval=interval)
        assert one.system.service.retry_after(replace(document, poll=hint)) == expected
        assert one.system.service.retry_after(replace(document, poll=None)) == 1
        assert one.system.service.retry_after(replace(document, status="failed")) == 0


def test_lifespan_and_connections() -> None:
    """The lifespan's state is available while the service runs. Connections close at the end, even if the service fails."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Offpoll) -> AsyncIterator[str]:
        events.append("up")
        try:
            yield "state"
        finally:
            events.append("down")

    async def close() -> None:
        events.append("closed")

    with lab(single(handle), workers=0) as one:
        app = Offpoll(lifespan=lifespan)
        app.operation("order")(handle)
        dependencies = replace(one.system.service.dependencies, close=close)
        service = AsyncService(app, settings=one.system.service.settings, dependencies=dependencies)

        async def main() -> None:
            async with service.running() as running:
                assert running.state == "state"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())
    assert events == ["up", "down", "closed"]


@pytest.mark.parametrize("guess", [0.3, 10.0, 400.0])
def test_retry_after_is_the_first_poll_of_the_plan(guess: float) -> None:
    """A client that knows only HTTP waits until the plan's first poll, rounded up to whole seconds."""
    with lab(single(lambda number: number), workers=0, expected_service_time=guess) as one:
        service = one.system.service
        ticket = one.system.run(service.submit("order", b"1"))
        estimate, created_at = ticket.document.estimate, ticket.document.created_at
        assert estimate is not None
        assert estimate.earliest is not None
        assert estimate.mean is not None
        earliest, mean = ((each - created_at).total_seconds() for each in (estimate.earliest, estimate.mean))
        first = plan(earliest=earliest, mean=mean, lateness_weight=service.kinds["order"].lateness_weight).first
        assert 0 <= int(ticket.headers["retry-after"]) - first < 1.001
