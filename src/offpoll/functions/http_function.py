"""The API's function: turns an HTTP event into a response, and logs a line for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
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

#: How long before the function's time is over it stops waiting and responds, seconds. Later the caller would get the gateway's bare 502.
RESPOND_BEFORE = 0.5


class HttpFunction:
    """Answers HTTP events."""

    def __init__(self, *, environment: Environment, endpoint: Endpoint, kinds: Collection[str]) -> None:
        self._environment, self._endpoint, self._kinds = environment, endpoint, kinds

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer one event.

        Raises:
            ValueError: the event is not an HTTP event.
        """
        return self._environment.run(self._answer(event, context), context=context)

    async def _answer(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        began, request = time.perf_counter(), request_of(event, kinds=self._kinds)
        try:
            async with asyncio.timeout(max(0.0, seconds_left(context) - RESPOND_BEFORE)):
                response = await self._endpoint.answer(request)
        except TimeoutError:
            response = problem_of(DependencyUnavailable("the API", "the function's time is over; give it more than 10 s"))
        extra = {"status": response.status, "milliseconds": round((time.perf_counter() - began) * 1000, 1), **_operation(request, response)}
        access.info("%s %s %d", request.method, request.path[:500], response.status, extra=extra)
        return response_of(response if request.method != "HEAD" else replace(response, body=b""), event)


def _operation(request: Request, response: Response) -> dict[str, str]:
    """Return the id of the request's operation, for the log: from the path or the response's `Location`; empty if there is none."""
    parts = [*request.path.split("/"), *response.headers.get("location", "").split("/")]
    return next(({"operation_id": part} for part in parts if is_operation_id(part)), {})
