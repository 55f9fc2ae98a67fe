"""Fixtures for all tests: an event loop to run coroutines in, and the real servers, started once a session and only if used."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from tests.support.servers import Server, ceph, ministack, require_ceph

# botocore reads this once, when it is imported. With CRT it orders the query of a presigned URL differently.
os.environ["BOTO_DISABLE_CRT"] = "true"

# A shell lets what it runs in the background ignore Ctrl-C, and what that starts inherits it: also the commands that are interrupted here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

T = TypeVar("T")


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Run coroutines in one event loop for the whole test: what one call leaves behind, the next one finds."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """AWS in one process."""
    with ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3."""
    require_ceph()
    with ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the server they use, so that `-m 'not ceph'` needs no list."""
    for item in items:
        for name in ("ministack", "ceph"):
            if f"{name}_server" in getattr(item, "fixturenames", ()):
                item.add_marker(getattr(pytest.mark, name))
