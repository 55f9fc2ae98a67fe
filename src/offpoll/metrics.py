"""Metrics: what is counted for alarms and dashboards, beside the log.

Decides how a count is written. Must not know what is counted, nor why. A count is best effort and never fails its caller.

    Metrics       the protocol: one verb
    NoMetrics     counts nothing: the log says it
    EmfMetrics    a JSON line in CloudWatch's embedded metric format, of which CloudWatch Logs makes a metric: no call, no permission
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from offpoll.instant import utc_now

__all__ = [
    "ENDED_EARLY",
    "ENDED_INSIDE",
    "ENDED_LATE",
    "MESSAGES_PARKED",
    "NAMESPACE",
    "EmfMetrics",
    "Metrics",
    "NoMetrics",
]

#: Under which all of offpoll's metrics are found in CloudWatch.
NAMESPACE = "offpoll"

#: A message was put into the parking queue: somebody's operation that will not be worked on by itself.
MESSAGES_PARKED = "MessagesParked"

#: Operations that ended between the earliest and the latest end which their submitter was told, before, and after; by kind. The first is
#: 80 % of all three where estimates are right.
ENDED_INSIDE, ENDED_EARLY, ENDED_LATE = "EndedInsideEstimate", "EndedBeforeEstimate", "EndedAfterEstimate"


class Metrics(Protocol):
    """Something that counts. Safe to be called from any thread."""

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Add to a counter. Each set of dimensions is a metric of its own (and is billed as one): few values each, never an id."""


class NoMetrics:
    """Counts nothing."""

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Do nothing."""


class EmfMetrics:
    """Writes each count as one line in the embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    Args:
        write: takes a line, newline included, to where CloudWatch Logs reads it: with nothing around it on that line.
        clock: the wall clock.
    """

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._write, self._clock = write, clock

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Write the line."""
        metric = {"Namespace": NAMESPACE, "Dimensions": [sorted(dimensions)], "Metrics": [{"Name": name, "Unit": "Count"}]}
        described = {"Timestamp": round(self._clock().timestamp() * 1000), "CloudWatchMetrics": [metric]}
        try:
            self._write(json.dumps({"_aws": described, **dimensions, name: value}, separators=(",", ":")) + "\n")
        except (OSError, ValueError):
            pass  # the stream is closed or its reader is gone: nobody is left to be told, and the work goes on
