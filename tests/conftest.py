"""Fixtures for all tests: an event loop that runs coroutines, and the real servers, started once a session and only if a test uses them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from tests.support.servers import Server, ceph, ministack, require_ceph

# botocore reads this once, on import. With CRT it orders the query of a presigned URL differently.
os.environ["BOTO_DISABLE_CRT"] = "true"

# A shell makes its background jobs ignore Ctrl-C, and their children inherit that. Some tests interrupt such children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

T = TypeVar("T")


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Run coroutines in one event loop for the whole test: each call finds what earlier calls left behind."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run ministack, which emulates AWS in one process."""
    with ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run Ceph, a real S3."""
    require_ceph()
    with ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the server it uses, so that `-m 'not ceph'` needs no list."""
    for item in items:
        for name in ("ministack", "ceph"):
            if f"{name}_server" in getattr(item, "fixturenames", ()):
                item.add_marker(getattr(pytest.mark, name))
