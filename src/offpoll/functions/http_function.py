"""The API's function: an event in, an answer out, and a line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from offpoll.errors import DependencyUnavailable
from offpoll.exchange import Response
from offpoll.functions.environment import Context, Environment, seconds_left
from offpoll.functions.http_events import request_of, response_of
from offpoll.http.endpoint import Endpoint, Request
from offpoll.http.problem import problem_of
from offpoll.operation import is_operation_id

__all__ = ["HttpFunction"]

access = logging.getLogger("offpoll.access")

#: So long before the function's time is over the caller gets an answer, seconds. Later it would be the gateway's 502, which says nothing.
LEAVE_BEFORE = 0.5


class HttpFunction:
    """Answers HTTP events.

    Args:
        environment: runs them.
        endpoint: answers requests.
        kinds: the service's kinds, by name.
    """

    def __init__(self, *, environment: Environment, endpoint: Endpoint, kinds: Collection[str]) -> None:
        self._environment, self._endpoint, self._kinds = environment, endpoint, kinds

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer one event.

        Raises:
            ValueError: it is no HTTP event.
        """
        return self._environment.run(self._answer(event, context), context=context)

    async def _answer(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        began, request = time.perf_counter(), request_of(event, kinds=self._kinds)
        try:
            async with asyncio.timeout(max(0.0, seconds_left(context) - LEAVE_BEFORE)):
                answer = await self._endpoint.answer(request)
        except TimeoutError:
            answer = problem_of(DependencyUnavailable("the API", "the function's time is over; give it more than 10 s"))
        extra = {"status": answer.status, "milliseconds": round((time.perf_counter() - began) * 1000, 1), **_operation(request, answer)}
        access.info("%s %s %d", request.method, request.path[:500], answer.status, extra=extra)
        return response_of(answer)


def _operation(request: Request, answer: Response) -> dict[str, str]:
    """Return which operation a request was about, where it was about one: by its path, or by the answer's `Location`."""
    parts = [*request.path.split("/"), *answer.headers.get("location", "").split("/")]
    return next(({"operation_id": part} for part in parts if is_operation_id(part)), {})
