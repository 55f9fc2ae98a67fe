"""What `import offpoll` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import offpoll

HEAVY = ("boto3", "botocore", "fastapi", "starlette", "typer", "rich", "pydantic", "uvicorn", "ministack", "asyncio")


def test_all_is_pinned() -> None:
    """A name that comes or goes is a decision, written down here."""
    assert sorted(offpoll.__all__) == [
        "ApiError",
        "ApiUnavailable",
        "AsyncClient",
        "AsyncService",
        "AsyncStatusBoard",
        "Caller",
        "Client",
        "ConfigurationError",
        "Document",
        "Fail",
        "Forbidden",
        "Offpoll",
        "OffpollError",
        "Operation",
        "OperationCanceled",
        "OperationFailed",
        "Progress",
        "Service",
        "Settings",
        "Snapshot",
        "StatusBoard",
        "Ticket",
        "Unauthorized",
        "WaitResult",
        "WaitTimeout",
        "application",
        "async_connect",
        "async_status_board",
        "connect",
        "router",
        "status_board",
    ]


@pytest.mark.parametrize("name", offpoll.__all__)
def test_every_name_is_there(name: str) -> None:
    """Each public name can be loaded, and `dir` shows it."""
    assert getattr(offpoll, name) is not None
    assert name in dir(offpoll)


def test_an_unknown_name() -> None:
    """A name that is not public is missing as from any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = offpoll.Nothing


def loaded(code: str) -> set[str]:
    found = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_pulls_in_nothing_heavy() -> None:
    """The package alone is nearly free."""
    assert not loaded("import offpoll") & set(HEAVY)


def test_a_client_needs_no_server() -> None:
    """A client loads neither a web framework nor an AWS SDK nor pydantic."""
    assert not loaded("from offpoll import Client, AsyncClient, Ticket, Fail, WaitTimeout") & set(HEAVY[:-1])
