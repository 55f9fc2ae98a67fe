"""Brings operations in a deployment's stores into a given state, without an API or a worker, for tests of commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from offpoll import Offpoll, Settings
from offpoll.dependencies import Dependencies
from offpoll.operation import Outcome, Record, Status
from offpoll.records import Undecided
from offpoll.wiring import connect, dependencies

__all__ = ["FAILED", "decide", "document", "submit", "through"]

T = TypeVar("T")

#: How an operation fails here.
FAILED = Outcome(status=Status.FAILED, error={"code": "out_of_stock", "message": "There is none left."})


def through(variables: Mapping[str, str], act: Callable[[Dependencies], Awaitable[T]]) -> T:
    """Act on the stores of a deployment."""

    async def main() -> T:
        own = dependencies(Settings.load(environ=variables), environ=variables)
        try:
            return await act(own)
        finally:
            await own.close()

    return asyncio.run(main())


def submit(variables: Mapping[str, str], value: Any, *, owner: str = "ada", kind: str = "order") -> str:
    """Submit an operation, and return its id."""
    app = Offpoll()

    @app.operation(kind)
    def handler(value: Any) -> None:
        """Never runs."""

    with connect(app, environ=variables) as service:
        return service.submit(kind, value, owner=owner, base_url="https://api.example.com").operation_id


def decide(variables: Mapping[str, str], operation_id: str, outcome: Outcome, *, show: bool, input: bytes | None = None) -> Record:
    """Claim an operation and record an outcome, as a worker does that dies then, or after it has shown the outcome."""

    async def act(own: Dependencies) -> Record:
        key = own.board.key(operation_id, owner="ada")
        stored = await own.board.read(key)
        assert stored is not None
        submission = own.board.submission_of(stored.document, owner="ada")
        expires_at = submission.created_at + timedelta(days=14)
        await own.records.claim(submission, seen=0, token="t" * 32, lease=60, expires_at=expires_at)
        update = await own.records.decide(submission, outcome, guard=Undecided(), expires_at=expires_at, input=input)
        assert update.record is not None
        if show:
            await own.board.show(update.record, show_result=True)
        return update.record

    return through(variables, act)


def document(variables: Mapping[str, str], operation_id: str) -> Any:
    """Return the stored document as JSON, or None."""

    async def act(own: Dependencies) -> Any:
        stored = await own.board.read(own.board.key(operation_id, owner="ada"))
        return None if stored is None else stored.document.to_dict()

    return through(variables, act)
