"""A service as the wire sees it, and what it answers. Decides how a refusal is told; must not know what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from offpoll.aws.endpoints import AwsEndpoint, is_loopback
from offpoll.aws.faults import Fault, parse_fault, remedy
from offpoll.aws.retry import RetryBudget
from offpoll.aws.sigv4 import HeaderSigner
from offpoll.errors import DependencyRefused, DependencyUnavailable
from offpoll.instant import from_http_date

__all__ = ["AwsResponse", "AwsService"]


class AwsResponse(NamedTuple):
    """What a service answered. A tuple, because one is made for every call.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: all of it.
        sent: monotonic time before the try that was answered, seconds.
        received: monotonic time after it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float

    @property
    def date(self) -> datetime | None:
        """The service's own time, whole seconds."""
        return from_http_date(self.headers.get("date"))

    @property
    def fault(self) -> Fault:
        """The error that the answer tells of."""
        return parse_fault(self.status, self.headers, self.body)


class AwsService:
    """One service as the wire sees it. Cheap to keep, so everything fixed is computed here.

    Args:
        label: its name for people: `S3`.
        name: its name in signatures: `s3`.
        region: as `eu-west-1`.
        endpoint: where it is.
    """

    __slots__ = ("budget", "direct", "endpoint", "label", "region", "signer")

    def __init__(self, label: str, *, name: str, region: str, endpoint: AwsEndpoint) -> None:
        self.label = label
        self.region = region
        self.endpoint = endpoint
        self.direct = is_loopback(endpoint.host)
        self.signer = HeaderSigner(service=name, region=region, host=endpoint.host)
        self.budget = RetryBudget()

    def refusal(self, answer: AwsResponse, remedies: Mapping[str, str] | None = None) -> DependencyRefused:
        """Return the error for an answer that will not change. `remedies`: what to do, by error code."""
        fault = answer.fault
        return DependencyRefused(self.label, remedy(fault, region=self.region, remedies=remedies), code=fault.code)

    def garbage(self, answer: AwsResponse) -> DependencyUnavailable:
        """Return the error for an answer that is not the service's: a proxy's page, half a document."""
        return DependencyUnavailable(self.label, f"{self.endpoint.origin} answered what cannot be read (HTTP status {answer.status})")
