"""Arguments of wrong types: every public callable says in a sentence what it takes, and no AttributeError comes out of its inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.fake_aws import FakeAws, fake_aws

from offpoll import (
    AsyncClient,
    Client,
    Offpoll,
    Service,
    Settings,
    Ticket,
    application,
    async_connect,
    async_status_board,
    connect,
    router,
    status_board,
)
from offpoll.errors import OffpollError

ID = "0" * 32

WRONG: tuple[Any, ...] = (
    None, 1, -1, 1.5, float("nan"), float("inf"), 10**400, True, "", "x", "https://[", "http://x y", b"x", b"\xff", "\ud800", "\0",
    [], {}, (), object(), print, int, ["x"], {"a": 1}, {1: 2}, ("a",),
)  # fmt: skip

app = Offpoll()


@app.operation("order")
def order(number: int) -> int:
    return number


class Made:
    """One of each object, and a ticket of an operation that goes on."""

    def __init__(self, aws: FakeAws) -> None:
        self.api = aws.api.base
        self.service, self.board = connect(app), status_board()
        self.client = Client(self.api, retry_timeout=0.0)
        self.board.open(ID, kind="order")
        self.ticket = self.client.submit("order", {})
        aws.api.store = aws.api.document("running")

    def close(self) -> None:
        for each in (self.service, self.board, self.client):
            each.close()


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    with fake_aws() as fake, pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("AWS_", "OFFPOLL_")):
                patch.delenv(name)
        for name, value in fake.environment().items():
            patch.setenv(name, value)
        one = Made(fake)
        yield one
        one.close()


#: For each callable: what it is, its other arguments, and the names of those to get wrong.
CALLS: dict[str, tuple[Callable[[Made], Callable[..., Any]], Callable[[Made], dict[str, Any]], str]] = {
    "Client": (
        lambda _: Client,
        lambda made: {"base_url": made.api},
        "base_url auth headers proxy ca request_timeout retry_timeout",
    ),
    "AsyncClient": (
        lambda _: AsyncClient,
        lambda made: {"base_url": made.api},
        "base_url auth headers proxy ca request_timeout retry_timeout",
    ),
    "connect": (
        lambda _: _closed(connect),
        lambda _: {"app": app},
        "app environ public_url bucket lease concurrency attempts secret prefix",
    ),
    "async_connect": (lambda _: async_connect, lambda _: {"app": app}, "app environ public_url attempts timeout lateness_weight queue_url"),
    "status_board": (lambda _: _closed(status_board), lambda _: {}, "environ bucket prefix link_lifetime_cap"),
    "async_status_board": (lambda _: async_status_board, lambda _: {}, "environ bucket public_store_endpoint"),
    "Service": (lambda _: Service, lambda _: {}, "service"),
    "application": (lambda _: application, lambda _: {}, "service"),
    "router": (lambda _: router, lambda _: {}, "service"),
    "Settings": (lambda _: Settings, lambda _: {}, "secret attempts public_url lease lateness_weight"),
    "operation": (lambda _: _operation, lambda _: {"kind": "order"}, "kind timeout attempts lateness_weight show_result handler"),
    "fetch": (lambda _: Offpoll().fetch, lambda _: {}, "kind"),
    "Service.submit": (
        lambda made: made.service.submit,
        lambda _: {"kind": "order", "input": 1},
        "kind input owner idempotency_key traceparent tracestate",
    ),
    **{
        f"Service.{name}": (
            lambda made, name=name: getattr(made.service, name),  # type: ignore[misc]
            lambda _: {"kind": "order", "operation_id": ID},
            "kind operation_id owner",
        )
        for name in ("get", "status_link", "cancel")
    },
    "Service.resubmit": (lambda made: made.service.resubmit, lambda _: {"operation_id": ID}, "operation_id owner"),
    "StatusBoard.open": (
        lambda made: made.board.open,
        lambda _: {"operation_id": ID, "kind": "order"},
        "operation_id kind owner base_url mean interval",
    ),
    "StatusBoard.key": (lambda made: made.board.key, lambda _: {"operation_id": ID}, "owner"),
    "StatusBoard.link": (lambda made: made.board.link, lambda _: {"key": f"status/public/{ID}"}, "key estimate"),
    "StatusBoard.read": (lambda made: made.board.read, lambda _: {}, "key"),
    "StatusBoard.publish": (
        lambda made: made.board.publish,
        lambda _: {"operation_id": ID, "status": "running"},
        "operation_id status owner attempt",
    ),
    "Client.submit": (lambda made: made.client.submit, lambda _: {"kind": "order", "input": {}}, "kind input idempotency_key"),
    "Client.resume": (lambda made: made.client.resume, lambda _: {}, "reference"),
    "Client.wait": (
        lambda made: lambda it, **rest: made.client.wait(it, **{"timeout": 0, **rest}),
        lambda made: {"it": made.ticket},
        "it timeout result_type",
    ),
    "Client.wait_all": (
        lambda made: lambda tickets, **rest: made.client.wait_all(tickets, **{"timeout": 0, **rest}),
        lambda made: {"tickets": [made.ticket]},
        "tickets timeout max_in_flight result_type",
    ),
    "Client.poll": (
        lambda made: lambda it, timeout: list(made.client.poll(it, timeout=timeout)),
        lambda made: {"it": made.ticket, "timeout": 0},
        "it",
    ),
    "Client.result": (
        lambda made: lambda it, **rest: made.client.result(it, **{"result_type": None, **rest}),
        lambda made: {"it": made.ticket},
        "it result_type",
    ),
    "Client.cancel": (lambda made: made.client.cancel, lambda _: {}, "ticket"),
}


def _closed(make: Callable[..., Any]) -> Callable[..., None]:
    return lambda **arguments: make(**arguments).close()


def _operation(kind: Any, handler: Any = order, **limits: Any) -> None:
    Offpoll().operation(kind, **limits)(handler)


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name, (_, _, wrong) in CALLS.items() for argument in wrong.split()])
def test_a_sentence(made: Made, name: str, argument: str) -> None:
    """Whatever an argument is, the call takes it or raises one of offpoll's errors, whose text is for people."""
    call, others, _ = CALLS[name]
    for wrong in WRONG:
        if name == "Client.wait" and argument == "timeout" and wrong in (None, float("inf"), 1.5, 1):
            continue  # these it takes, and waits
        try:
            call(made)(**{**others(made), argument: wrong})
        except OffpollError as error:
            said = str(error)
        else:
            said = "taken"
        assert said


def test_a_saved_ticket_of_a_wrong_type() -> None:
    """`Ticket.from_json` documents a ValueError, and raises it for anything else than a saved ticket."""
    for wrong in WRONG:
        with pytest.raises(ValueError, match="saved ticket"):
            Ticket.from_json(wrong)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Client(123), "API's address"),  # type: ignore[arg-type]
        (lambda: connect("orders:app", environ=dict(fake_environment())), "connect takes an Offpoll, .* not 'orders:app'"),  # type: ignore[arg-type]
        (lambda: Client("http://a").wait(None), "."),  # type: ignore[call-overload]
        (lambda: Client("http://a").submit(None, {}), "a kind is a lowercase letter"),  # type: ignore[arg-type]
        (lambda: Settings(attempts=10**400), "ATTEMPTS=.a number beyond all limits"),
        (lambda: Settings(public_url="https://["), "PUBLIC_URL"),
        (lambda: Offpoll().operation("order", attempts=10**400)(order), "attempts, not a int"),
    ],
)
def test_what_it_says(call: Callable[[], Any], words: str) -> None:
    """The sentence says what is taken, and what came."""
    with pytest.raises(OffpollError, match=words):
        call()


def fake_environment() -> dict[str, str]:
    fake = FakeAws()
    fake.origin = "http://127.0.0.1:9"
    return fake.environment()
