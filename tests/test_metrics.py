"""Metrics: the line that CloudWatch Logs turns into a metric. A count never fails its caller."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from offpoll.metrics import EmfMetrics, Metrics, NoMetrics


def now() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC)


def test_a_line() -> None:
    """A line is one JSON object, with the value beside its description, as CloudWatch's specification requires."""
    stream = io.StringIO()
    metrics: Metrics = EmfMetrics(stream.write, clock=now)
    metrics.count("MessagesParked")
    metrics.count("OperationsEnded", 3, status="failed", kind="order")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "_aws": {
            "Timestamp": 1893456000000,
            "CloudWatchMetrics": [{"Namespace": "offpoll", "Dimensions": [[]], "Metrics": [{"Name": "MessagesParked", "Unit": "Count"}]}],
        },
        "MessagesParked": 1,
    }
    assert second["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["kind", "status"]]
    assert (second["OperationsEnded"], second["kind"], second["status"]) == (3, "order", "failed")


def test_a_value() -> None:
    """A measured value is written with its unit."""
    stream = io.StringIO()
    EmfMetrics(stream.write, clock=now).observe("ServiceTime", 2.5, unit="Seconds", kind="order")
    line = json.loads(stream.getvalue())
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "ServiceTime", "Unit": "Seconds"}]
    assert (line["ServiceTime"], line["kind"]) == (2.5, "order")


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError("I/O operation on closed file")])
def test_a_stream_that_is_gone(error: Exception) -> None:
    """A broken stream does not stop the caller."""

    def write(line: str) -> None:
        raise error

    EmfMetrics(write).count("MessagesParked")


def test_no_metrics() -> None:
    """`NoMetrics` accepts the same calls."""
    metrics: Metrics = NoMetrics()
    metrics.count("OperationsEnded", 3, status="failed")
    metrics.observe("ServiceTime", 2.5, unit="Seconds", kind="order")
