"""Counts for alarms and dashboards, beside the log. Counting is best effort and never fails its caller."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from offpoll.instant import utc_now

__all__ = [
    "ATTEMPTS",
    "ENDED_EARLY",
    "ENDED_INSIDE",
    "ENDED_LATE",
    "MESSAGES_PARKED",
    "NAMESPACE",
    "OPERATIONS_ACCEPTED",
    "OPERATIONS_ENDED",
    "PUBLISH_CONFLICTS",
    "SERVICE_TIME",
    "EmfMetrics",
    "Metrics",
    "NoMetrics",
]

#: CloudWatch shows all of offpoll's metrics under this name.
NAMESPACE = "offpoll"

#: A message went to the parking queue: somebody's operation, which waits for a person.
MESSAGES_PARKED = "MessagesParked"

#: Operations that ended between the earliest and the latest end that their submitter was told, before, and after; by kind. The first is
#: 80 % of all three if estimates are right.
ENDED_INSIDE, ENDED_EARLY, ENDED_LATE = "EndedInsideEstimate", "EndedBeforeEstimate", "EndedAfterEstimate"

#: A submit was answered with a ticket; by kind. A repeated submit counts again.
OPERATIONS_ACCEPTED = "OperationsAccepted"

#: An outcome was recorded; by kind and status.
OPERATIONS_ENDED = "OperationsEnded"

#: How many claims an operation took until its outcome was recorded, and how many seconds since the first one; by kind.
ATTEMPTS, SERVICE_TIME = "Attempts", "ServiceTime"

#: A document was not written because another writer was faster. The publish looked again.
PUBLISH_CONFLICTS = "PublishConflicts"


class Metrics(Protocol):
    """Counts and measures. Any thread may call it."""

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Add to a counter. Each set of dimensions is a separate metric, and is billed as one: few values each, never an id."""

    def observe(self, name: str, value: float, *, unit: str, **dimensions: str) -> None:
        """Add a measured value. `unit` is CloudWatch's word for it: `Seconds`, or `None` if it has none."""


class NoMetrics:
    """Counts nothing."""

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Do nothing."""

    def observe(self, name: str, value: float, *, unit: str, **dimensions: str) -> None:
        """Do nothing."""


class EmfMetrics:
    """Writes each count and each value as a line that CloudWatch Logs turns into a metric: no call, no permission.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    Args:
        write: takes a line, newline included, to where CloudWatch Logs reads it, with nothing else on that line.
        clock: the wall clock.
    """

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._write, self._clock = write, clock

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Write the line."""
        self._line(name, value, "Count", dimensions)

    def observe(self, name: str, value: float, *, unit: str, **dimensions: str) -> None:
        """Write the line."""
        self._line(name, value, unit, dimensions)

    def _line(self, name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
        metric = {"Namespace": NAMESPACE, "Dimensions": [sorted(dimensions)], "Metrics": [{"Name": name, "Unit": unit}]}
        described = {"Timestamp": round(self._clock().timestamp() * 1000), "CloudWatchMetrics": [metric]}
        try:
            self._write(json.dumps({"_aws": described, **dimensions, name: value}, separators=(",", ":")) + "\n")
        except (OSError, ValueError):
            pass  # the stream is closed or its reader is gone: nobody is left to tell, and the work goes on
