"""Runs `python -m proof.chaos`: options, signals, the last line and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from offpoll.errors import OffpollError
from proof.chaos.deployment import Deployment
from proof.chaos.evidence import Violation
from proof.chaos.run import Finished, Options, run
from proof.chaos.timeline import timeline
from proof.chaos.verify import counts, verify

DESCRIPTION = """\
Prove the protocol with real processes. The embedded AWS, the API and three workers run on this machine, and a swarm of clients places
orders. A seed decides which process is killed (SIGKILL) or frozen (SIGSTOP … SIGCONT), and when. Once all is quiet, bucket, table, queues,
the handlers' journal and everything that clients saw are compared.
"""

EPILOG = """\
The last line on stdout is one JSON object: the number of accepted operations, the seed, the faults of each kind, and four counts
that must be 0 (lost, doubled, regressed, stuck). If one is not, the command prints the first violation as a timeline, keeps the logs, and
exits with 1. The same seed gives the same orders and the same faults; what they hit depends on the machine.

  python -m proof.chaos --minutes 2
  python -m proof.chaos --minutes 0.2 --seed 7 --rate 10
"""


def main() -> int:
    """Run, and return the exit code: 0 if everything held, 1 if not, 2 if the run failed, 130 if a signal ended it."""
    options, data = _options()
    _without_proxy()
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="offpoll-chaos-", dir=data))
    tell = _teller()
    tell(f"seed {options.seed}")
    try:
        finished = asyncio.run(_finish(options, folder, tell=tell))
    except OffpollError as error:
        tell(f"the run failed: {error} Logs are in {folder}")
        return 2
    violations = [] if finished is None else verify(finished.evidence)
    if finished is None:
        tell("ended by a signal: no process is left")
    else:
        _report(options, finished, violations, folder)
    if not violations and data is None:
        shutil.rmtree(folder)
    return 130 if finished is None else int(bool(violations))


def _teller() -> Callable[[str], None]:
    """Return a function that writes a line of progress to stderr."""
    began = time.monotonic()

    def tell(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:6.1f} s] {line}\n")

    return tell


def _options() -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(
        prog="python -m proof.chaos", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=_positive, required=True, help="how long orders and faults keep coming")
    parser.add_argument("--seed", type=int, help="draws orders and faults (default: a fresh one)")
    parser.add_argument("--rate", type=_positive, default=6.0, help="orders a second (default: %(default)g)")
    parser.add_argument("--at-once", type=_count, default=40, help="most customers at a time (default: %(default)d)")
    parser.add_argument("--lease", type=_positive, default=3.0, help="seconds; faults last about as long (default: %(default)g)")
    parser.add_argument("--settle", type=_positive, default=180.0, help="seconds for everything to end afterwards (default: %(default)g)")
    parser.add_argument("--data", type=Path, help="keep the logs, in a new folder in this one (default: only after a violation)")
    given = parser.parse_args()
    options = Options(
        seconds=given.minutes * 60,
        seed=secrets.randbits(32) if given.seed is None else given.seed,
        rate=given.rate,
        at_once=given.at_once,
        lease=given.lease,
        settle=given.settle,
    )
    return options, given.data


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


async def _finish(options: Options, folder: Path, *, tell: Callable[[str], None]) -> Finished | None:
    """Run to the end, or until a signal (None). Either way, end every process."""
    secret = f"the secret of chaos with seed {options.seed}".ljust(32, ".")
    deployment = Deployment(folder=folder, lease=options.lease, secret=secret)
    return await deployment.finish(run(options, deployment, tell=tell))


def _report(options: Options, finished: Finished, violations: Sequence[Violation], folder: Path) -> None:
    """Write a summary and the first violation to stderr, then the JSON object to stdout."""
    evidence = finished.evidence
    operations = list(evidence.accepted())
    outcomes = Counter(str(evidence.records[each].status) for _, each in operations if each in evidence.records)
    again = sum(evidence.records[each].attempt > 1 for _, each in operations if each in evidence.records)
    left = Counter(f"{message.queue} ({message.body[:40]})" for message in evidence.messages)
    seen = sum(map(len, evidence.sightings.values()))
    say = [
        f"operations: {len(operations)}, {dict(outcomes)}; {again} took several attempts; {len(evidence.runs)} runs of handlers",
        f"documents read by clients: {seen}; messages left: {dict(left) or 'none'}",
    ]
    if violations:
        say += ["", f"{len(violations)} violations; logs are in {folder}. The first:", ""]
        say += timeline(violations[0], evidence, finished.events, folder)
        say += ["", "the others:", *(f"  {each.count}: {each.operation_id or '-'}: {each.what}" for each in violations[1:])]
    sys.stderr.write("\n".join([*say, ""]))
    last = {"operations": len(operations), "seed": options.seed, "faults": finished.faults, **counts(violations)}
    sys.stdout.write(json.dumps(last) + "\n")


def _without_proxy() -> None:
    """Bypass any proxy for loopback, here and in the children."""
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1", "localhost")))
    os.environ.update(NO_PROXY=direct, no_proxy=direct)


if __name__ == "__main__":
    sys.exit(main())
