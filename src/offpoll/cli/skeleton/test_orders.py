"""Tests how orders end. Run them with `python -m pytest`: they open no port, and time is virtual."""

import pytest
from orders import app, create_order

from offpoll import OperationFailed
from offpoll.testing import run, system


def test_an_order_is_priced() -> None:
    """The handler alone: its result and its progress messages."""
    ended = run(create_order, {"sku": "A1", "quantity": 2})
    assert ended.status == "succeeded"
    assert ended.result["total_cents"] == 2500
    assert [each.message for each in ended.progress] == ["reserving stock", "packing"]


def test_an_unknown_sku_fails_at_once() -> None:
    """The whole service in memory, as a client sees it."""
    with system(app) as orders:
        ticket = orders.client.submit("order", {"sku": "Z9", "quantity": 1})
        with pytest.raises(OperationFailed, match="no Z9"):
            orders.client.wait(ticket)
