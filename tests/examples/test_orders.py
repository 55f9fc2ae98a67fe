"""The example app, tested as its own authors would: with nothing but `offpoll.testing`."""

from __future__ import annotations

import pytest
from order_table import MemoryOrderTable, OrderTable
from orders import Order, app, create_order

from offpoll import OperationFailed
from offpoll.testing import run, system


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> MemoryOrderTable:
    """Keep the orders in memory."""
    memory = MemoryOrderTable()
    monkeypatch.setattr(OrderTable, "open", lambda: memory)
    return memory


def test_an_order_is_confirmed_and_written() -> None:
    """The handler returns the confirmation and writes it under the operation's id."""
    table = MemoryOrderTable()
    result = run(create_order, Order(sku="A1", quantity=2), operation_id="a" * 32, state=table)
    assert result.status == "succeeded"
    assert result.result == {"order_id": "a" * 32, "sku": "A1", "quantity": 2, "total_cents": 2500, "status": "packed"}
    assert table.orders["a" * 32] == result.result


def test_progress_only_grows() -> None:
    """Each step reports its progress, from near 0 to near 1."""
    fractions = [each.fraction for each in run(create_order, Order(sku="B2", quantity=1), state=MemoryOrderTable()).progress]
    assert len(fractions) == 7
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] < 1


def test_a_second_attempt_writes_nothing_new() -> None:
    """An attempt that finds the order written leaves it unchanged."""
    table = MemoryOrderTable()
    table.orders["a" * 32] = {"order_id": "a" * 32, "written": "by the first attempt"}
    assert run(create_order, Order(sku="A1", quantity=2), operation_id="a" * 32, attempt=2, state=table).status == "succeeded"
    assert table.orders["a" * 32]["written"] == "by the first attempt"


@pytest.mark.parametrize("sku", ["C3", "Z9"])
def test_a_sold_out_order_fails_for_good(sku: str) -> None:
    """No further attempt is made, and nothing is written."""
    table = MemoryOrderTable()
    result = run(create_order, Order(sku=sku, quantity=1), state=table)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "out_of_stock"
    assert result.exception is None
    assert not table.orders


def test_from_submit_to_the_order(table: MemoryOrderTable) -> None:
    """A client submits, polls the object store, and fetches the order from the app's own table: two requests to the API."""
    with system(app) as running:
        updates = []
        ticket = running.client.submit("order", Order(sku="A1", quantity=2))
        order = running.client.wait(ticket, on_update=updates.append)
        assert order == table.orders[ticket.operation_id]
        assert [each.status for each in updates][-1] == "succeeded"
        shown = [each.progress.fraction for each in updates if each.progress is not None]
        assert shown == sorted(shown)
        assert len(shown) >= 2
        at_api = [url for _, url, _ in running.requests if url.startswith("https://api.invalid/")]
        assert at_api == ["https://api.invalid/order", f"https://api.invalid/order/{ticket.operation_id}"]


def test_the_order_comes_from_the_table(table: MemoryOrderTable) -> None:
    """The response is the table's present content, not the handler's earlier result."""
    with system(app) as running:
        ticket = running.client.submit("order", {"sku": "A1", "quantity": 1})
        running.client.wait(ticket)
        table.orders[ticket.operation_id] = {**table.orders[ticket.operation_id], "quantity": 7}
        assert running.client.result(ticket)["quantity"] == 7


def test_the_client_learns_why_there_is_no_order(table: MemoryOrderTable) -> None:
    """The error's code is the handler's."""
    with system(app) as running:
        ticket = running.client.submit("order", {"sku": "C3", "quantity": 1})
        with pytest.raises(OperationFailed) as raised:
            running.client.wait(ticket)
        assert raised.value.code == "out_of_stock"
    assert not table.orders
