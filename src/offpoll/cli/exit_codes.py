"""The exit codes of every command.

    0    done; also a worker that drained, and a server that was told to end
    1    it failed: an operation, a dependency that does not answer, a handler's startup
    2    usage or configuration: an option, a setting, a module, a bucket, a permission
    130  interrupted

`submit` and `wait`, which are clients, have four more: see `BY_OUTCOME`.
"""

from __future__ import annotations

__all__ = ["BY_OUTCOME", "FAILED", "INTERRUPTED", "MISUSED"]

FAILED = 1
MISUSED = 2
INTERRUPTED = 130

#: Of `submit` and `wait`, by how the command ended; the words are the `outcome` of `--json`.
BY_OUTCOME = {"succeeded": 0, "failed": FAILED, "canceled": 3, "timed_out": 4, "refused": 5, "unavailable": 6}
