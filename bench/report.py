"""Serves all benches: interleaved pairs, CPU time, tables, and the command line.

A pair is one run of offpoll and one of a peer, directly one after the other, so that a busy machine slows both. A peer's ratio is the
median over the pairs. Each bench takes `--quick` (less than 30 s) and `--json`, which prints one JSON object as the last line:

    {"bench": "presign", "ratios": {"boto3": 71.2}}        boto3 needs 71.2 times what offpoll needs
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options", "cpu_seconds", "finish", "interpreter_cpu_seconds", "measure_pairs", "one_core", "options", "table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line's options: whether to be quick, whether to end with JSON, and where to write a plot."""

    quick: bool
    json: bool
    plot: Path | None = None

    def pick(self, full: int, quick: int) -> int:
        """Return a count for a full or for a quick run."""
        return quick if self.quick else full


def options(description: str, *, plot: bool = False) -> Options:
    """Read the command line. `plot` adds the option `--plot`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: less than 30 s")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    if plot:
        parser.add_argument("--plot", type=Path, metavar="FILE", help="write a plot there, as SVG")
    given = parser.parse_args()
    return Options(quick=given.quick, json=given.json, plot=given.plot if plot else None)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far: user and system, all threads."""
    return time.process_time()


def interpreter_cpu_seconds(code: str, *, environ: Mapping[str, str] | None = None) -> float:
    """Return the CPU seconds, user and system, of a fresh interpreter that runs this code."""
    process = subprocess.Popen([sys.executable, "-c", code], env=environ)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{code!r} failed")
    return usage.ru_utime + usage.ru_stime


def one_core() -> None:
    """Keep this process, its threads and its later children on one core, if the system supports that.

    A process pays for waking an idle core. In a virtual machine that can cost more than the measured call.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure_pairs(
    ours: Callable[[], float], peers: Mapping[str, Callable[[], float]], *, pairs: int
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Measure interleaved pairs.

    Args:
        ours: measures offpoll once and returns the cost of one call, in the peers' unit.
        peers: the same for each peer, by name.
        pairs: how many pairs each peer gets, after one unmeasured run of each.

    Returns:
        Our median cost, each peer's median cost, and each peer's ratio: the median over its pairs of peer / ours.
    """
    for warm_up in (ours, *peers.values()):
        warm_up()
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(pairs):
        for name, peer in peers.items():
            own, other = ours(), peer()
            mine.append(own)
            theirs[name].append(other)
            ratios[name].append(other / own)
    medians = {name: statistics.median(costs) for name, costs in theirs.items()}
    return statistics.median(mine), medians, {name: statistics.median(found) for name, found in ratios.items()}


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table. The first column is aligned to the left, the others to the right."""
    cells = [[str(head) for head in heads], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    print(f"\n{title}")
    for row in cells:
        first, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join([f"{first.strip():<{widths[0]}}", *others]))


def finish(bench: str, ratios: Mapping[str, float], given: Options, **more: object) -> None:
    """Print the last line if `--json` asks for it. `more` are further members."""
    if given.json:
        print(json.dumps({"bench": bench, "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()}, **more}))
    sys.stdout.flush()
