"""An AWS service as the wire sees it, its responses, and the errors they become."""

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
    """A service's response. A tuple, because every call makes one.

    Attributes:
        headers: names in lower case.
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
        """The error that the response reports."""
        return parse_fault(self.status, self.headers, self.body)


class AwsService:
    """One AWS service in one region. Whatever stays the same between calls is computed here.

    Args:
        label: its name in error messages: `S3`.
        name: its name in signatures: `s3`.
    """

    __slots__ = ("budget", "direct", "endpoint", "label", "region", "signer")

    def __init__(self, label: str, *, name: str, region: str, endpoint: AwsEndpoint) -> None:
        self.label = label
        self.region = region
        self.endpoint = endpoint
        self.direct = is_loopback(endpoint.host)
        self.signer = HeaderSigner(service=name, region=region, host=endpoint.host)
        self.budget = RetryBudget()

    def refusal(self, response: AwsResponse, remedies: Mapping[str, str] | None = None) -> DependencyRefused:
        """Return the error for a refusal that repeating does not change. `remedies`: what to do, by error code."""
        fault = response.fault
        return DependencyRefused(self.label, remedy(fault, region=self.region, remedies=remedies), code=fault.code)

    def unreadable(self, response: AwsResponse) -> DependencyUnavailable:
        """Return the error for a response that is not the service's own: a proxy's page, or half a document."""
        text = f"{self.endpoint.origin} sent a response that cannot be read (HTTP status {response.status})"
        return DependencyUnavailable(self.label, text)
