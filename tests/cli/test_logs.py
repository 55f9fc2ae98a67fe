"""What log lines on stderr look like."""

from __future__ import annotations

import io
import logging

from offpoll.log_lines import about, handler


def test_a_workers_line_names_the_operation() -> None:
    """A line that is written while a handler runs ends with operation, kind and attempt; what the line says already is not repeated."""
    stream = io.StringIO()
    made = handler(stream, form="text", text="%(message)s")
    for message in ("packing", "operation 01: packing"):
        with about(operation_id="01", kind="order", attempt=2):
            record = logging.makeLogRecord({"msg": message})
            made.handle(record)
    made.handle(logging.makeLogRecord({"msg": "idle"}))
    whole, half, idle = stream.getvalue().splitlines()
    assert whole == "packing [operation_id=01 kind=order attempt=2]"
    assert (half, idle) == ("operation 01: packing [kind=order attempt=2]", "idle")
