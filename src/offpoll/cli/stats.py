"""`offpoll stats`: shows how long operations take, how many wait, and whether estimates are right."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.options import Reference

if TYPE_CHECKING:
    from offpoll.operators.stats import KindStats, Stats

__all__ = ["stats"]

#: With fewer ends than this, a measured share of 80 % may really be 60 % or 100 %.
FEW = 30.0


def stats(
    app: Reference,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON object, for scripts. Times are seconds, shares 0 to 1.")] = False,
) -> None:
    """Show for each kind how many operations ended, how long they take, and how many ended within their estimate.

    **inside** is the share of operations that ended between the earliest and the latest end in their 202. These are the 10 % and the 90 %
    quantile, so 80 % is right. A smaller share with many *early* means that operations got faster, or that you added workers, within the
    last hour. A smaller share with many *late* means slower operations or fewer workers; it recovers within a few hundred completions. A
    much larger share means that operations nearly always take the same time.

    Service times run from claim to decision. A completion counts half after an hour, or after a hundred newer ones of its kind. Workers
    report every 10 s. **inside** leaves out canceled operations, and those whose document an earlier attempt rewrote. Queue depths may lag
    by a minute.

    It needs a worker's settings (see `offpoll config`) and permissions, and no secret. If an `offpoll dev` runs here, it uses that one,
    unless variables name another store.

    Exit codes: 0 shown, even if nothing was measured yet; 2 usage or configuration, also if a dependency refuses; 6 a dependency does not
    respond.

    Example: `offpoll stats orders:app --json | jq .kinds.order.ended.inside_share`
    """
    from offpoll.cli.dev.environment import adopt
    from offpoll.cli.logs import configure

    configure("warning")
    adopt(os.environ)
    found = asyncio.run(_look(app))
    if json_:
        print(json.dumps(_fields(found), indent=2))
    else:
        print("\n".join(_lines(found)))


async def _look(reference: str) -> Stats:
    from offpoll.instant import utc_now
    from offpoll.operators.stats import look
    from offpoll.settings import Settings
    from offpoll.wiring import dependencies, load_app

    settings = Settings.load(environ=os.environ)
    kinds = load_app(reference).kinds(settings)
    own = dependencies(settings, environ=os.environ)
    try:
        return await look(own, kinds, now=utc_now())
    finally:
        await own.close()


def _fields(found: Stats) -> dict[str, Any]:
    from offpoll.instant import to_wire

    return {
        "at": to_wire(found.at),
        "kinds": {name: _kind(each) for name, each in found.kinds.items()},
        "queue": asdict(found.queue),
        "dead_letters": asdict(found.dead_letters),
        "parking": asdict(found.parking),
    }


def _kind(each: KindStats) -> dict[str, Any]:
    ended = each.calibration
    return {
        "completions_last_hour": round(each.completions),
        "completions_per_second": round(each.rate, 4),
        "service_time": {name: _rounded(getattr(each, name)) for name in ("p10", "p50", "p90", "mean")},
        "ended": {name: round(count, 2) for name, count in asdict(ended).items()} | {"inside_share": _rounded(ended.share)},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _lines(found: Stats) -> Iterator[str]:
    width = max(len("kind"), *(len(name) for name in found.kinds))
    yield f"{'kind':<{width}}  {'ended/h':>8} {'per s':>8}  {'p10':>8} {'p50':>8} {'p90':>8} {'mean':>8}   inside"
    for name, each in found.kinds.items():
        times = " ".join(f"{_seconds(value):>8}" for value in (each.p10, each.p50, each.p90, each.mean))
        yield f"{name:<{width}}  {each.completions:>8.0f} {each.rate:>8.3g}  {times}   {_calibration(each)}"
    yield ""
    for label, depth in (("queue", found.queue), ("dead letters", found.dead_letters), ("parking", found.parking)):
        yield f"{label:<12}  {depth.visible} visible, {depth.in_flight} in flight, {depth.delayed} delayed"


def _calibration(each: KindStats) -> str:
    ended = each.calibration
    if ended.share is None:
        return "not known yet"
    few = f" (of few: {ended.known:.0f})" if ended.known < FEW else ""
    return f"{ended.share:.0%}, {ended.early / ended.known:.0%} early, {ended.late / ended.known:.0%} late{few}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} s"
