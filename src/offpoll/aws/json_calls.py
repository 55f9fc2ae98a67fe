"""AWS's JSON protocol: one verb is one POST with a target header and a JSON body.

Decides how a verb is sent and its answer read. Must not know what the verbs mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from offpoll.aws.service import AwsResponse, AwsService
from offpoll.aws.wire import DEADLINE, PATIENCE, Wire
from offpoll.limits import encode

__all__ = ["JsonCalls"]


class JsonCalls:
    """The verbs of one JSON service.

    Args:
        wire: makes the calls.
        service: whom to ask.
        target: what stands before the verb in `x-amz-target`, as `AmazonSQS`.
    """

    def __init__(self, wire: Wire, service: AwsService, *, target: str) -> None:
        self.service = service
        self._wire = wire
        self._target = target
        self._path = service.endpoint.path or "/"
        self._headers: dict[str, Mapping[str, str]] = {}

    async def call(self, verb: str, fields: Mapping[str, Any], *, deadline: float = DEADLINE, patience: float = PATIENCE) -> AwsResponse:
        """Make one call and return its answer. Raises as `Wire.call` does."""
        return await self.call_text(verb, encode(fields), deadline=deadline, patience=patience)

    async def call_text(self, verb: str, text: str, *, deadline: float = DEADLINE, patience: float = PATIENCE) -> AwsResponse:
        """Make one call whose fields are JSON text already."""
        headers = self._headers.get(verb)
        if headers is None:
            headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{self._target}.{verb}"}
            self._headers[verb] = headers
        return await self._wire.call(
            self.service, "POST", self._path, headers=headers, body=text.encode(), deadline=deadline, patience=patience
        )

    def read(self, answer: AwsResponse) -> dict[str, Any]:
        """Return the JSON object that a 200 carries.

        Raises:
            DependencyUnavailable: it carries none; the effect is unknown.
        """
        try:
            fields = json.loads(answer.body) if answer.body else {}
        except ValueError as error:
            raise self.service.garbage(answer) from error
        if not isinstance(fields, dict):
            raise self.service.garbage(answer)
        return fields
