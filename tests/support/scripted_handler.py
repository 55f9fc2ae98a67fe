"""A handler for tests of the worker: a script says how each run ends, and the handler counts its runs."""

from __future__ import annotations

import asyncio
from typing import Any

from offpoll.operation import Operation


class ScriptedHandler:
    """A handler that counts its runs.

    Args:
        script: for each run, the exception it raises or the result it returns; None, and every later run, returns the input.
        seconds: that each run takes.

    Attributes:
        began: the attempt of each run.
        ended: `ended` or `cancelled` for each run that is over.
    """

    def __init__(self, *script: Any, seconds: float = 1.0) -> None:
        self.script, self.seconds = list(script), seconds
        self.began: list[int] = []
        self.ended: list[str] = []

    def function(self) -> Any:
        async def handle(number: int, operation: Operation) -> Any:
            step = self.script[len(self.began)] if len(self.began) < len(self.script) else None
            self.began.append(operation.attempt)
            try:
                await asyncio.sleep(self.seconds)
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("ended")
            if isinstance(step, BaseException):
                raise step
            return number if step is None else step

        return handle
