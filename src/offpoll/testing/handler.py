"""Runs one handler alone: how its operation would end, and which progress it reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offpoll.kind import RESERVED, Kind
from offpoll.object_json import NO_INPUT
from offpoll.operation import PUBLIC, Operation, Outcome, Progress, Status, is_kind
from offpoll.testing.virtual import START, run_virtual
from offpoll.work.handle import Ended, perform
from offpoll.work.verdict import exhausted

__all__ = ["Run", "run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one attempt of a handler led to.

    Attributes:
        outcome: how the operation would end if this were its last attempt.
        progress: every `progress()` call, in order.
        exception: what the handler raised, unless it was `Fail`; the operation would get another attempt.
    """

    outcome: Outcome
    progress: list[Progress] = field(default_factory=list)
    exception: BaseException | None = None

    @property
    def status(self) -> Status:
        """The outcome's status."""
        return self.outcome.status

    @property
    def result(self) -> Any:
        """The result as clients would read it, None if there is none."""
        return None if self.outcome.result is None else json.loads(self.outcome.result)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error as clients would read it, None if there is none."""
        return None if self.outcome.error is None else dict(self.outcome.error)


def run(
    handler: Callable[..., Any],
    input: Any = NO_INPUT,
    *,
    kind: str = "",
    operation_id: str = "0" * 32,
    owner: str = PUBLIC,
    attempt: int = 1,
    state: Any = None,
    created_at: datetime = START,
    virtual: bool = True,
) -> Run:
    """Run a handler on an input, with a worker's checks of input and result.

    Args:
        handler: the plain function.
        input: an object of its input type, its JSON form, or JSON as bytes; nothing for a handler without input.
        kind, operation_id, owner, attempt, created_at: of the Operation that the handler gets. The kind is named after the handler
            unless you name it.
        state: what the lifespan would yield.
        virtual: run on virtual time, so that sleeps cost nothing. False for a handler that does real I/O.

    Raises:
        ConfigurationError: it is not a handler.
        InvalidInput: the input has no JSON form, or would reach the handler changed.
    """
    one = Kind.of(kind or _named_after(handler), handler)
    raised: list[BaseException] = []
    progress: list[Progress] = []
    operation = Operation(
        id=operation_id, kind=one.name, owner=owner, attempt=attempt, created_at=created_at, state=state, _report=progress.append
    )

    async def invoke(kind: Kind, arguments: dict[str, Any]) -> Any:
        try:
            return await kind.handler(**arguments) if kind.is_async else kind.handler(**arguments)
        except BaseException as error:
            raised.append(error)
            raise

    async def main() -> Run:
        text = one.dump_input(input)
        ended = await perform(one, text, operation, invoke=invoke, result_limit=1 << 30)
        outcome = ended.outcome if isinstance(ended, Ended) else exhausted(attempt, cause=ended.code)
        return Run(outcome=outcome, progress=progress, exception=raised[-1] if raised and not isinstance(ended, Ended) else None)

    return run_virtual(main()) if virtual else asyncio.run(main())


def _named_after(handler: Callable[..., Any]) -> str:
    """Return a function's name if a kind can have it, as `create_order`. The app knows the kind, the handler does not."""
    name = getattr(handler, "__name__", "")
    return name if is_kind(name) and name not in RESERVED else "operation"
