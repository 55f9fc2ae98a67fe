"""The names in `import offpoll`, and the cost of importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import offpoll

HEAVY = ("boto3", "botocore", "fastapi", "starlette", "typer", "rich", "pydantic", "uvicorn", "ministack", "asyncio")


def test_all_is_pinned() -> None:
    """Adding or removing a public name is a decision, recorded here."""
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
def test_every_name_can_be_loaded(name: str) -> None:
    """Each public name can be loaded, and `dir` lists it."""
    assert getattr(offpoll, name) is not None
    assert name in dir(offpoll)


def test_an_unknown_name() -> None:
    """A private or unknown name raises AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = offpoll.Nothing


def loaded(code: str) -> set[str]:
    found = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_pulls_in_nothing_heavy() -> None:
    """Importing the package alone loads nothing heavy."""
    assert not loaded("import offpoll") & set(HEAVY)


def test_a_client_needs_no_server() -> None:
    """A client loads no web framework, no AWS SDK and no pydantic."""
    assert not loaded("from offpoll import Client, AsyncClient, Ticket, Fail, WaitTimeout") & set(HEAVY[:-1])
