"""Fixtures of the client tests: a scripted world, and the sync and the async client in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.client_store import Store
from tests.support.client_world import AsyncFace, SyncFace, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def make(request: pytest.FixtureRequest, world: World) -> Callable[..., Any]:
    """Make a client of the world: the sync one, then the async one."""
    return lambda **options: request.param(world, **options)


@pytest.fixture
def store(world: World, monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store(world)
    monkeypatch.setattr(world, "answer", made.answer)
    return made
