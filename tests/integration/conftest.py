"""Fixtures of the integration tests: fresh resources and a new deployment for each test, on servers that last a session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.deployment import Deployment, deployed, settings
from tests.support.servers import Server

from offpoll.cli.dev.resources import make_resources


@pytest.fixture
def deploy(ministack_server: Server, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Give a function that makes resources and a deployment, whose processes the test starts.

    `lease` is a setting of the resources too; all other arguments are environment variables of the processes.
    """
    with ExitStack() as stack:

        def make(*, lease: float = 60.0, **environ: str) -> Deployment:
            name = f"t{uuid.uuid4().hex[:12]}"
            resources = make_resources(ministack_server.origin, settings=settings(lease=lease), attempts=3, name=name)
            return stack.enter_context(deployed(resources, tmp_path, OFFPOLL_LEASE=f"{lease:g}", **environ))

        yield make
