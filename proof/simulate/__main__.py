"""Runs `python -m proof.simulate --operations N --seed S`: decides what is printed where, and the exit code."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack

from proof.simulate.run import WAVE, RunProgress, Totals, run, waves

__all__ = ["main"]

ABOUT = f"""\
Simulate API, workers and clients under faults: the unchanged production code, on virtual time and in-memory stores. The seed draws crashes,
partitions, outages, lost and late answers, duplicate and reordered messages, lapsed visibility, wrong clocks, slow and raising handlers,
cancels, and a rolling deployment that adds a kind. Every write is checked, and so is the world once it rests after each wave of {WAVE:,}
operations. The same seed gives the same run, to the byte of its log."""

EXAMPLES = """\
examples:
  python -m proof.simulate --operations 20000              a fresh seed, printed first
  python -m proof.simulate --operations 20000 --seed 7     the same run again
  python -m proof.simulate --operations 20000 --seed 7 --wave 3 --log wave.log    one wave of it, with everything that happened

The last line is one JSON object: operations, seed, faults (kind: count), and for each of these the number of affected operations:
  lost       accepted, but not ended, and nothing left to end it
  doubled    two outcomes, two ends, two bodies under one key, or a handler that began despite an outcome
  regressed  a document whose rank went down, or a terminal one that changed
  stuck      not ended although a message is left; messages left; an unexpected exception inside the product
Exit code 0: all four are 0. 1: they are not, and the first case is printed as a timeline. 130: interrupted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m proof.simulate", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=_count, default=WAVE, metavar="N", help=f"how many operations (default: {WAVE})")
    parser.add_argument("--seed", type=int, metavar="S", help="a whole number (default: a fresh one, which is printed first)")
    parser.add_argument("--wave", type=int, metavar="K", help="play only this wave of the run, numbered as in a timeline")
    parser.add_argument("--log", metavar="FILE", help="write every event to this file")
    given = parser.parse_args(arguments)
    if given.wave is not None and not 0 <= given.wave < waves(given.operations):
        parser.error(f"--wave {given.wave}: {given.operations:,} operations have the waves 0 to {waves(given.operations) - 1}")
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(4), "big")
    if given.seed is None:
        _say(f"seed {seed}")
    totals, code = Totals(seed=seed), 0
    with ExitStack() as stack:
        log = None if given.log is None else stack.enter_context(open(given.log, "w", encoding="utf-8"))
        try:
            for totals in run(operations=given.operations, seed=seed, only=given.wave, log=log, progress=_progress):
                code = 0 if totals.ok else 1
        except KeyboardInterrupt:
            sys.stderr.write("\ninterrupted: only complete waves are counted\n")
            code = code or 130
    for line in totals.timeline:
        _say(line)
    _say(totals.to_json())
    return code


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _progress(now: RunProgress) -> None:
    hours, rest = divmod(int(now.seconds), 3600)
    rate = now.operations / now.took
    sys.stderr.write(
        f"{now.operations:>9,} operations, {now.faults:,} faults, {hours}:{rest // 60:02}:{rest % 60:02} of virtual time, {rate:.0f}/s\n"
    )


if __name__ == "__main__":
    sys.exit(main())
