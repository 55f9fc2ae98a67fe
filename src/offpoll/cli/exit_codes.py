"""The exit codes of every command.

    0    done; also a worker that drained, and a server that was stopped
    1    failed: an operation, a dependency that does not respond, a handler's startup
    2    usage or configuration: an option, a setting, a module, a bucket, a permission
    130  interrupted

The clients, `submit` and `wait`, have four more: see `BY_OUTCOME`.
"""

from __future__ import annotations

__all__ = ["BY_OUTCOME", "FAILED", "INTERRUPTED", "MISUSED"]

FAILED = 1
MISUSED = 2
INTERRUPTED = 130

#: The exit codes of `submit` and `wait`, by the `outcome` that `--json` prints.
BY_OUTCOME = {"succeeded": 0, "failed": FAILED, "canceled": 3, "timed_out": 4, "refused": 5, "unavailable": 6}
