"""W3C Trace Context: what of a caller's headers is carried along. Anything else is dropped: a trace is a courtesy, never an error."""

from __future__ import annotations

import re

__all__ = ["carried"]

#: A `traceparent` (W3C Trace Context, 3.2): version, trace, parent and flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

#: A `tracestate` of at most the 512 characters that everybody has to carry (3.3.1.5).
_TRACESTATE = re.compile(r"[ -~]{1,512}")


def carried(traceparent: str, tracestate: str) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` as they travel with an operation; empty where they are not what the standard says."""
    if not _TRACEPARENT.fullmatch(traceparent):
        return "", ""
    return traceparent, tracestate if _TRACESTATE.fullmatch(tracestate) else ""
