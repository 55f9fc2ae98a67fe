"""Runs `python -m proof.restarts`: options, signals, the last line and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from offpoll.errors import OffpollError
from proof.chaos.deployment import Deployment
from proof.restarts.run import Finished, Options, run

DESCRIPTION = """\
Restart workers under load. The embedded AWS, the API and three workers run on this machine. Orders arrive all the time, and one worker
after the other gets SIGTERM and is replaced. An order that a stopping worker received but never ran would be lost, or would wait for its
visibility timeout.
"""

EPILOG = """\
The last line on stdout is one JSON object: how many orders were accepted, how many were lost, how long they waited from the 202 until a
handler began, and how long workers took to end. The exit code is 1 if one was lost, or waited longer than --late.

  python -m proof.restarts --restarts 100
"""


def main() -> int:
    """Run, and return the exit code: 0 if everything held, 1 if not, 2 if the run failed, 130 if a signal ended it."""
    options, late = _options()
    folder = Path(tempfile.mkdtemp(prefix="offpoll-restarts-"))
    try:
        finished = asyncio.run(_finish(options, folder))
    except OffpollError as error:
        _tell(f"the run failed: {error} Logs are in {folder}")
        return 2
    if finished is None:
        _tell("ended by a signal: no process is left")
        return 130
    report = _report(options, finished, late)
    sys.stdout.write(json.dumps(report) + "\n")
    wrong = bool(report["lost"] or report["late"] or finished.codes != {0})
    if wrong:
        _tell(f"logs are in {folder}; lost: {finished.lost[:5]}, exit codes of workers: {sorted(finished.codes)}")
    else:
        shutil.rmtree(folder)
    return int(wrong)


def _options() -> tuple[Options, float]:
    parser = argparse.ArgumentParser(
        prog="python -m proof.restarts", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--restarts", type=int, default=100, help="how many workers are restarted (default: %(default)d)")
    parser.add_argument("--rate", type=float, default=8.0, help="orders a second (default: %(default)g)")
    parser.add_argument("--lease", type=float, default=60.0, help="seconds; also the visibility timeout (default: %(default)g)")
    parser.add_argument("--late", type=float, default=2.0, help="seconds after which a start is late (default: %(default)g)")
    parser.add_argument("--settle", type=float, default=180.0, help="seconds for everything to end afterwards (default: %(default)g)")
    given = parser.parse_args()
    return Options(restarts=given.restarts, rate=given.rate, lease=given.lease, settle=given.settle), given.late


async def _finish(options: Options, folder: Path) -> Finished | None:
    """Run to the end, or until a signal (None). Either way, end every process."""
    secret = "the secret of restarts".ljust(32, ".")
    deployment = Deployment(folder=folder, lease=options.lease, secret=secret)
    return await deployment.finish(run(options, deployment, tell=_tell))


def _report(options: Options, finished: Finished, late: float) -> dict[str, object]:
    return {
        "operations": len(finished.waited) + len(finished.lost),
        "restarts": options.restarts,
        "lost": len(finished.lost),
        "late": sum(each > late for each in finished.waited),
        "again": finished.again,
        "queued_to_started": _spread(finished.waited),
        "sigterm_to_exit": _spread(finished.drained),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum, seconds."""
    ordered = sorted(seconds) or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) for name, share in shares.items()}


_BEGAN = time.monotonic()


def _tell(line: str) -> None:
    sys.stderr.write(f"[{time.monotonic() - _BEGAN:6.1f} s] {line}\n")


if __name__ == "__main__":
    sys.exit(main())
