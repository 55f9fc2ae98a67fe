"""Runs `python -m proof.explore`: every scenario, then every planted fault, which it must find. The last line is one JSON object."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed

from proof.explore.mutations import MUTATIONS
from proof.explore.scenarios import SCENARIOS
from proof.explore.search import Found, explore

DESCRIPTION = """\
Run the production code of submitters, workers, a canceller and the dead-letter consumer on the in-memory board, queue and records, in
every order of their calls. Crashes, lost answers, failed calls, repeated deliveries, ended leases and raising handlers each happen as often
as the scenario allows (proof/explore/scenarios.py). Then take one rule after another out of the code (proof/explore/mutations.py), and
look for a run that suffers.

Such a run is printed as a timeline: S, R and O submit (R again, O another body), W1 and W2 work, C cancels, D settles dead letters.

Exit codes: 0 if no rule is broken and every planted fault is found, 1 otherwise.
"""

#: Most states to search for the victim of a planted fault.
MOST_STATES = 60_000


def scenario(number: int) -> Found:
    """Explore one scenario, in a separate process."""
    logging.disable(logging.CRITICAL)
    return explore(SCENARIOS[number])


def mutation(number: int) -> Found:
    """Look for the victim of one planted fault, in a separate process."""
    logging.disable(logging.CRITICAL)
    with MUTATIONS[number].plant():
        return explore(MUTATIONS[number].scenario, limit=MOST_STATES)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m proof.explore", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timelines", action="store_true", help="print the run that suffers from each planted fault")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes at once (default: one for each core)")
    given = parser.parse_args(arguments)
    with ProcessPoolExecutor(given.processes) as pool:
        try:
            return _report(
                {pool.submit(scenario, number): each.name for number, each in enumerate(SCENARIOS)},
                {pool.submit(mutation, number): each.name for number, each in enumerate(MUTATIONS)},
                timelines=given.timelines,
            )
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("stopped", file=sys.stderr)
            return 130


def _report(scenarios: dict[Future[Found], str], mutations: dict[Future[Found], str], *, timelines: bool) -> int:
    began, states, violations, caught = time.monotonic(), 0, 0, 0
    for number, done in enumerate(as_completed([*scenarios, *mutations]), 1):
        found, planted = done.result(), done in mutations
        states += found.states
        violations += not planted and found.broken is not None
        caught += planted and found.broken is not None
        verdict = found.broken or ("NOT FOUND" if planted else "holds")
        seconds = time.monotonic() - began
        print(
            f"[{number}/{len(scenarios) + len(mutations)}, {seconds:4.0f} s] "
            f"{'planted: ' + mutations[done] if planted else scenarios[done]}: {found.states} states: {verdict}",
            flush=True,
        )
        if found.broken and (timelines or not planted):
            print("\n".join(f"    {line}" for line in found.lines), flush=True)
    print(json.dumps({"states": states, "violations": violations, "mutations": len(mutations), "mutations_caught": caught}))
    return 0 if not violations and caught == len(mutations) else 1


if __name__ == "__main__":
    sys.exit(main())
