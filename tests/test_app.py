"""The app: what a user registers on it."""

from __future__ import annotations

import pytest

from offpoll.app import Offpoll
from offpoll.errors import ConfigurationError
from offpoll.settings import Settings


async def handle(number: int) -> int:
    return number


def test_decorated_handlers_stay_plain() -> None:
    """Registering returns a handler or a fetch hook unchanged."""
    app = Offpoll()
    assert app.operation("order")(handle) is handle
    assert app.fetch("order")(handle) is handle


def test_invalid_registrations() -> None:
    """Two handlers for one kind, an app without handlers, and a fetch hook without its kind are refused."""
    app = Offpoll()
    with pytest.raises(ConfigurationError, match="no operations"):
        app.kinds(Settings())
    app.operation("order")(handle)
    with pytest.raises(ConfigurationError, match="two handlers"):
        app.operation("order")(handle)
    app.fetch("invoice")(handle)
    with pytest.raises(ConfigurationError, match="invoice"):
        app.kinds(Settings())
