"""AWS's JSON protocol: each verb is a POST with a target header and a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.wire import DEADLINE, TRY_TIMEOUT, Wire
from offpoll.errors import DependencyRefused
from offpoll.limits import encode

__all__ = ["JsonCalls"]


class JsonCalls:
    """Calls the verbs of one JSON service.

    Args:
        target: the prefix of the verb in `x-amz-target`, as `AmazonSQS`.
        remedies: what the operator can do about an error, by its code.
    """

    def __init__(self, wire: Wire, service: AwsService, *, target: str, remedies: Mapping[str, str]) -> None:
        self.service, self.remedies, self.wire = service, remedies, wire
        self._target = target
        self._path = service.endpoint.path or "/"
        self._headers: dict[str, Mapping[str, str]] = {}

    async def call(
        self, verb: str, fields: Mapping[str, Any], *, deadline: float = DEADLINE, try_timeout: float = TRY_TIMEOUT
    ) -> AwsResponse:
        """Make one call and return the response. Raises as `Wire.call` does."""
        return await self.call_text(verb, encode(fields), deadline=deadline, try_timeout=try_timeout)

    async def call_text(self, verb: str, text: str, *, deadline: float = DEADLINE, try_timeout: float = TRY_TIMEOUT) -> AwsResponse:
        """Make one call with fields that are already JSON text."""
        headers = self._headers.get(verb)
        if headers is None:
            headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{self._target}.{verb}"}
            self._headers[verb] = headers
        return await self.wire.call(
            self.service, "POST", self._path, headers=headers, body=text.encode(), deadline=deadline, try_timeout=try_timeout
        )

    def refusal(self, response: AwsResponse) -> DependencyRefused:
        """Return the error for a refusal that repeating does not change."""
        return self.service.refusal(response, self.remedies)

    def accepted(self, response: AwsResponse) -> dict[str, Any]:
        """Return a success's JSON object. Raises `refusal` for any other status, else as `read` does."""
        if response.status != 200:
            raise self.refusal(response)
        return self.read(response)

    def read(self, response: AwsResponse) -> dict[str, Any]:
        """Return a response's JSON object.

        Raises:
            DependencyUnavailable: the body is not a JSON object; the effect is unknown.
        """
        try:
            fields = json.loads(response.body) if response.body else {}
        except ValueError as error:
            raise self.service.unreadable(response) from error
        if not isinstance(fields, dict):
            raise self.service.unreadable(response)
        return fields
