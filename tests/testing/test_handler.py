"""`offpoll.testing.run`: one handler, alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pydantic
import pytest

from offpoll.errors import ConfigurationError, Fail, InvalidInput
from offpoll.operation import Operation, Progress
from offpoll.testing import run


class Order(pydantic.BaseModel):
    sku: str


async def handle(order: Order, operation: Operation) -> dict[str, Any]:
    operation.progress(0.5, "half")
    await asyncio.sleep(3600)
    operation.progress(1.0)
    return {"sku": order.sku, "attempt": operation.attempt, "state": operation.state, "owner": operation.owner}


def test_success() -> None:
    """`run` returns the outcome and every progress call, and takes no real time."""
    began = time.monotonic()
    result = run(handle, Order(sku="A1"), attempt=2, state="pool", owner="me")
    assert time.monotonic() - began < 5
    assert result.status == "succeeded"
    assert result.result == {"sku": "A1", "attempt": 2, "state": "pool", "owner": "me"}
    assert result.progress == [Progress(fraction=0.5, message="half"), Progress(fraction=1.0)]
    assert (result.error, result.exception) == (None, None)


def test_an_input_may_be_json() -> None:
    """An input may be JSON. An invalid input fails as it would in a worker."""
    assert run(handle, {"sku": "A1"}).result["sku"] == "A1"
    refused = run(handle, {"sku": 5})
    assert (refused.status, (refused.error or {})["code"]) == ("failed", "invalid_input")
    with pytest.raises(InvalidInput):
        run(handle, object())


def test_failures() -> None:
    """`Fail` is an outcome. An exception is the outcome of the last attempt, and the test can look at it."""

    def fail(order: Order) -> None:
        raise Fail("none", "None left.")

    def burst(order: Order) -> None:
        raise ZeroDivisionError("x")

    failed, broken = run(fail, {"sku": "A1"}), run(burst, {"sku": "A1"})
    assert (failed.error, failed.exception) == ({"code": "none", "message": "None left."}, None)
    assert (broken.error or {})["cause"] == "ZeroDivisionError"
    assert isinstance(broken.exception, ZeroDivisionError)


def test_real_time() -> None:
    """A handler with real I/O runs on a real loop."""

    async def real(number: int) -> str:
        return type(asyncio.get_running_loop()).__name__

    assert run(real, 1, virtual=False).result != "VirtualLoop"
    assert run(real, 1).result == "VirtualLoop"


def test_an_invalid_handler() -> None:
    """An invalid handler is refused as by `@app.operation`."""
    with pytest.raises(ConfigurationError):
        run(lambda one, two: None, 1)


def test_the_kind_of_a_lone_handler() -> None:
    """The kind is named after the handler, unless the test names it or the name can be no kind."""

    def create_order(number: int, operation: Operation) -> str:
        return operation.kind

    def docs(number: int, operation: Operation) -> str:  # a path of the API itself
        return operation.kind

    assert run(create_order, 1).result == "create_order"
    assert run(create_order, 1, kind="order").result == "order"
    assert run(docs, 1).result == "operation"
