"""Middleware that comes along, and what a handler knows of its submitter's trace."""

from __future__ import annotations

import logging

import pytest

from offpoll import Offpoll, Operation
from offpoll.http.endpoint import Request, read_all
from offpoll.middleware import OperationFilter, operation_log
from offpoll.testing import system


@pytest.fixture
def records() -> list[logging.LogRecord]:
    """Log records of the logger `shop`, after the filter."""
    seen: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Keep()
    handler.addFilter(OperationFilter())
    logger = logging.getLogger("shop")
    logger.setLevel(logging.INFO)
    logger.handlers = [handler]
    return seen


def test_log_records_know_their_operation(records: list[logging.LogRecord]) -> None:
    """What is logged inside a handler carries id, kind and attempt; what is logged outside carries none."""
    app = Offpoll(middleware=[operation_log])

    @app.operation("order")
    async def create_order(order: int) -> None:
        logging.getLogger("shop").info("inside")

    with system(app) as running:
        ticket = running.client.submit("order", 1)
        running.client.wait(ticket)
    logging.getLogger("shop").info("outside")
    told = [(record.getMessage(), vars(record)["operation_id"], vars(record)["kind"], vars(record)["attempt"]) for record in records]
    assert told == [("inside", ticket.operation_id, "order", 1), ("outside", "-", "-", 0)]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_submitters_trace_reaches_the_handler() -> None:
    """`traceparent` and `tracestate` of the POST travel with the message."""
    app, traces = Offpoll(), []

    @app.operation("order")
    async def create_order(order: int, operation: Operation) -> None:
        traces.append((operation.traceparent, operation.tracestate))

    with system(app) as running:
        headers = {"host": "api.invalid", "traceparent": TRACE, "tracestate": "v=1"}
        request = Request(method="POST", path="/order", headers=headers, scheme="https", read=read_all(b"1"))
        running.run(running.endpoint.answer(request))
        running.advance(10)
    assert traces == [(TRACE, "v=1")]
