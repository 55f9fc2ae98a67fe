"""Measures what one `AsyncClient` pays to wait for 10,000 operations at once: memory and CPU for each ticket, requests in flight.

It compares `wait_all` with the obvious way: a task for each ticket that awaits `client.wait`, and a semaphore in front of the network. Both
have the same cap, and talk to a stub store and API in another process. The tickets were saved, so all are due within one interval of 2 s: a
burst. Each way runs in a separate process. CPU is that process's user and system time; memory is the growth of its resident set.

The bench fails if more requests than the cap were in flight, or if an operation was forgotten or fetched twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.report import cpu_seconds, finish, options, table
from bench.wait_stub import WARM, document

from offpoll.client import AsyncClient, AsyncHttpTransport
from offpoll.document import Document
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.link import StatusLink
from offpoll.ticket import Ticket

HERE = Path(__file__).parent
CAP = 32

#: As long as the query of a link signed with temporary credentials.
QUERY = "X-Amz-Signature=" + "a" * 64 + "&X-Amz-Security-Token=" + "t" * 700


@contextmanager
def stub(seconds: float) -> Iterator[str]:
    """Run the stub and yield its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "wait_stub.py"), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def tickets(origin: str, numbers: range) -> Iterator[Ticket]:
    """Make tickets as if they had been saved and read again."""
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    for number in numbers:
        identifier = f"{number:032x}"
        shown = Document.from_dict(document(origin, identifier, "queued"))
        link = StatusLink(href=f"{origin}/status/public/{identifier}?{QUERY}", expires_at=expires_at)
        yield Ticket.from_json(Ticket(document=shown, link=link, location="", retry_after=0).to_json())


def resident() -> int:
    """Return this process's resident set, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Capped:
    """The network behind a semaphore, for the way with tasks."""

    def __init__(self) -> None:
        self._network, self._room = AsyncHttpTransport(), asyncio.Semaphore(CAP)

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        async with self._room:
            return await self._network.send(fetch)

    async def close(self) -> None:
        await self._network.close()


async def by_wait_all(origin: str, given: list[Ticket]) -> list[Any]:
    async with AsyncClient(origin) as client:
        return [waited.result() for waited in await client.wait_all(given, max_in_flight=CAP)]


async def by_tasks(origin: str, given: list[Ticket]) -> list[Any]:
    transport = Capped()
    try:
        client = AsyncClient(origin, transport=transport)
        return await asyncio.gather(*(client.wait(ticket) for ticket in given))
    finally:
        await transport.close()


WAYS = {"wait_all": by_wait_all, "a task for each ticket": by_tasks}


async def _peak(begun: int, most: list[int]) -> None:
    while True:
        most[0] = max(most[0], resident() - begun)
        await asyncio.sleep(0.1)


async def _wait(way: str, origin: str, given: list[Ticket]) -> tuple[list[Any], int]:
    most = [0]
    looking = asyncio.create_task(_peak(resident(), most))
    try:
        return await WAYS[way](origin, given), most[0]
    finally:
        looking.cancel()


def child(way: str, origin: str, count: int) -> None:
    """Wait in one way, and print the cost."""
    # Connections, imports and the allocator's first pages are not measured.
    asyncio.run(WAYS[way](origin, list(tickets(origin, range(WARM, WARM + 50)))))
    begun = resident()
    given = list(tickets(origin, range(count)))
    held = resident() - begun
    cpu, wall = cpu_seconds(), time.perf_counter()
    results, grown = asyncio.run(_wait(way, origin, given))
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    forgotten = sum(result != {"id": ticket.operation_id} for result, ticket in zip(results, given, strict=True))
    print(json.dumps({"cpu": cpu, "wall": wall, "ticket": held / count, "wait": grown / count, "forgotten": forgotten}))


def measure(way: str, count: int, seconds: float) -> dict[str, float]:
    """Measure one way, with a new process and a new stub."""
    with stub(seconds) as origin:
        command = [sys.executable, __file__, "--child", way, origin, str(count)]
        said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        with urlopen(f"{origin}/counts", timeout=10) as counts:
            said |= json.load(counts)
    if said["forgotten"] or said["operations"] != count or said["twice"] or said["most"] > CAP:
        raise SystemExit(f"{way}: {said}")
    return said  # type: ignore[no-any-return]


def row(way: str, said: dict[str, float], count: int) -> tuple[object, ...]:
    """Return a way's row of the table under `HEADS`."""
    memory = (f"{said[name] / 1024:.1f}" for name in ("ticket", "wait"))
    cpu = (f"{said['cpu'] / units * 1e6:.0f}" for units in (count, said["polls"] + count))
    return way, *memory, *cpu, f"{said['polls'] / count:.1f}", said["most"], said["connections"], f"{said['wall']:.1f}"


HEADS = "", "KiB a ticket", "KiB a wait", "CPU µs a ticket", "CPU µs a request", "polls a ticket", "most in flight", "connections", "s"


def main() -> None:
    given = options(__doc__ or "")
    count, seconds = given.pick(10_000, 1_000), float(given.pick(20, 2))
    found = {way: measure(way, count, seconds) for way in WAYS}
    rows = [row(way, said, count) for way, said in found.items()]
    table(f"{count:,} operations that end within {seconds:.0f} s, {CAP} requests in flight at most", HEADS, rows)
    ours, theirs = found["wait_all"], found["a task for each ticket"]
    # A faster machine polls more often, so CPU is compared by the request.
    ours["request"], theirs["request"] = (said["cpu"] / (said["polls"] + count) for said in (ours, theirs))
    ratios = {name: theirs[figure] / ours[figure] for name, figure in {"tasks, CPU a request": "request", "tasks, memory": "wait"}.items()}
    figures = {
        "tickets": count,
        "kib_per_ticket": round(ours["ticket"] / 1024, 2),
        "kib_per_wait": round(ours["wait"] / 1024, 2),
        "cpu_us_per_ticket": round(ours["cpu"] / count * 1e6),
        "in_flight": ours["most"],
        "cap": CAP,
        "forgotten": ours["forgotten"],
    }
    finish("wait_all", ratios, given, **figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
