"""What a process and its descendants use: CPU and memory, as Linux accounts for them.

A worker may be a parent with a pool of children, which are alive while it is measured, so its own account (`time.process_time`) has not
everything. Children that have ended are not counted.
"""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["cpu_seconds", "memory_mib"]


def family(pid: int) -> list[int]:
    """Return a process and all its descendants, parents first."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants so far: user and system, all threads, to the nanosecond."""
    return sum(time.clock_gettime(_cpu_clock(each)) for each in family(pid))


def _cpu_clock(pid: int) -> int:
    """Return the clock of another process's CPU time, as clock_getcpuclockid(3) does, which Python does not offer."""
    return (~pid << 3) | 2


def memory_mib(pid: int) -> float:
    """Return the peak of a process's memory in MiB, and what its descendants have for themselves alone now."""
    parent, *others = family(pid)
    return (_kib(parent, "status", "VmHWM") + sum(_kib(each, "smaps_rollup", "Private_") for each in others)) / 1024


def _kib(pid: int, name: str, field: str) -> int:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))
