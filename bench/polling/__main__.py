"""Compares the cost of polling by our plan, by today's clients and by the optimum, over queues of various loads.

Cost = polls + λ x the time from the end to the poll that sees it. The mean duration is 1, so λ says how many polls it is worth to learn of
the end one mean duration earlier. `workloads` has the queues, `optimum` the cost and the optimum, `clients` the peers, `compare` tunes each
peer in its favour, `system` runs the real client in a simulated system, and `plot` draws.

1. Cost over the optimum's. The optimum gets the same estimate as our plan and knows the distribution behind it, and how wrong estimates
   are. A peer gets no estimate, but for each workload and λ the stretch that costs it least.
2. At load 85 % with the product's default weight: polls, delay, and the polls that a peer needs for a delay no longer than ours. "Known":
   p10 and mean include the estimate's own error, as those of a calibrated estimate do.
3. The λ that the project's goal for that load takes, how it depends on the number of servers, and the limits of a plan from p10 and mean.
4. How a weight per second and a relative one treat short and long operations: the case for the default.
5. As 2, but counted: real client, API and worker on virtual time, with right estimates and with the product's own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from bench.polling.clients import PEERS, SECONDS
from bench.polling.compare import Outcome, best, cheapest, curve, peer, planned, same_delay
from bench.polling.plot import plot
from bench.polling.system import run
from bench.polling.workloads import LOADS, MIXES, SPLIT, Seen, Workload, calibrated, seen, simulate
from bench.report import Options, finish, options, table

from offpoll.lateness import DEFAULT_WEIGHT, PerDuration, read_weight

#: Servers of a queue by default.
SERVERS = 4

#: λ that the averages cover, further λ to show, and estimate errors.
WEIGHTS, BEYOND, ERRORS = (0.1, 0.3, 1.0, 3.0), (10.0, 30.0), (0.0, 0.3)

#: Intervals that people choose by hand, seconds, for operations of `SECONDS` seconds: neither the best nor the worst case for them.
BY_HAND = (1.0, 2.0, 5.0)

#: The project's goal at load 85 %.
MOST_POLLS, MOST_DELAY, MOST_P95 = 3.7, 0.09, 0.22

#: Costs over the optimum's, by client and λ.
Ratios = Mapping[str, Mapping[float, Sequence[float]]]


def default_weight() -> float:
    """Return the product's default λ, for a mean duration of `SECONDS`."""
    weight = read_weight(DEFAULT_WEIGHT)
    return weight.polls if isinstance(weight, PerDuration) else weight * SECONDS


def queue(mix: str, given: Options, *, load: float, servers: int = SERVERS, seed: int = 0) -> Workload:
    """Simulate one workload."""
    draw = {**MIXES, **SPLIT}[mix]
    cell = 0.02 if given.quick else 0.01
    return simulate(mix, draw, load=load, servers=servers, arrivals=given.pick(80_000, 20_000), cell=cell, seed=seed)


def estimates(workload: Workload, given: Options, *, error: float) -> list[Seen]:
    """Return the estimates of a workload."""
    return list(seen(workload, error=error, points=given.pick(24, 12)))


# --- 1: cost over the optimum's --------------------------------------------------------------------


def over_optimum(mixes: Sequence[str], given: Options, *, seed: int) -> Ratios:
    """Return each client's costs over the optimum's: for each λ, one for each load, mix and error."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for workload in (queue(mix, given, load=load, seed=seed) for load in LOADS for mix in mixes):
        for error in ERRORS:
            known = estimates(workload, given, error=error)
            for weight in shown(given):
                optimum = best(known, weight=weight).cost
                for name, cost in costs(workload, known, weight=weight):
                    found[name][weight].append(cost / optimum)
    return found


def shown(given: Options) -> tuple[float, ...]:
    """Return the λ of the first table."""
    return WEIGHTS if given.quick else (*WEIGHTS, *BEYOND)


def costs(workload: Workload, known: Sequence[Seen], *, weight: float) -> Iterator[tuple[str, float]]:
    """Yield the cost of each client."""
    yield "offpoll", planned(known, weight=weight).cost
    for seconds in BY_HAND:
        polls, delay = peer(workload, "fixed", seconds / SECONDS)
        yield f"fixed {seconds:g} s", polls + weight * delay
    for name in PEERS:
        yield name, cheapest(workload, name, weight=weight)


def show_costs(runs: Sequence[Ratios]) -> tuple[dict[str, float], dict[str, float]]:
    """Print the first table; return the average and the worst ratio by client."""
    average, worst, rows = {}, {}, []
    for name in runs[0]:
        counted = [[ratio for weight in WEIGHTS for ratio in run[name][weight]] for run in runs]
        means = [fmean(each) for each in counted]
        average[name], worst[name] = fmean(means), max(map(max, counted))
        single = [f"{fmean(ratio for run in runs for ratio in run[name][weight]):.3f}" for weight in runs[0][name]]
        rows.append((name, f"{average[name]:.3f}", f"{min(means):.3f}-{max(means):.3f}", f"{worst[name]:.3f}", *single))
    loads = ", ".join(f"{load:.0%}" for load in LOADS)
    heads = ["", f"λ {WEIGHTS[0]:g}-{WEIGHTS[-1]:g}", "over seeds", "worst", *(f"λ {weight:g}" for weight in runs[0]["offpoll"])]
    table(f"Cost over the optimum's: M/G/{SERVERS}, loads {loads}, mixes {', '.join(MIXES)}, estimates right and 30 % wrong", heads, rows)
    return average, worst


# --- 2 and 3: at load 85 % -------------------------------------------------------------------------


def show_default(given: Options, *, weight: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Print the second table; return our figures by mix and error, and each peer's polls over ours for no longer a delay."""
    rows, figures, ratios = [], {}, defaultdict[str, list[float]](list)
    for mix in MIXES:
        workload = queue(mix, given, load=0.85)
        right, wrong = (estimates(workload, given, error=error) for error in ERRORS)
        for error, known in (("0 %", right), ("30 %", wrong), ("30 %, known", calibrated(wrong))):
            mine = planned(known, weight=weight, relative=True)
            name = f"{mix}, error {error}"
            figures[name] = figure(mine)
            rows.append(row(name, mine, best(known, weight=weight, relative=True)))
            for client in PEERS:
                ratios[client].append(same_delay(workload, client, delay=mine.delay) / mine.polls)
    table(f"At load 85 %, weight {weight:g}/duration: polls, mean delay and p95 in % of the mean duration", HEADS, rows)
    times = {name: fmean(found) for name, found in ratios.items()}
    table(
        "Polls for a delay no longer than ours, over ours",
        ("", "average"),
        [(name, f"{ratio:.2f}" if ratio < math.inf else "never") for name, ratio in times.items()],
    )
    return figures, times


HEADS = ("", "polls", "delay", "p95", "optimum: polls", "delay", "p95", "cost over optimum's")


def figure(outcome: Outcome) -> dict[str, float]:
    """Return an outcome's figures for JSON."""
    return {"polls": round(outcome.polls, 2), "delay": round(outcome.delay, 3), "p95": round(outcome.delay_quantile(0.95), 3)}


def row(name: str, mine: Outcome, optimum: Outcome) -> tuple[str, ...]:
    """Return a row of a table with `HEADS`."""
    cells = [name]
    for outcome in (mine, optimum):
        cells += [f"{outcome.polls:.2f}", f"{outcome.delay:.1%}", f"{outcome.delay_quantile(0.95):.0%}"]
    return (*cells, f"{mine.cost / optimum.cost:.3f}")


def show_goal(given: Options) -> dict[str, dict[str, object]]:
    """Print the third table: the λ at which the delay meets the goal, and its price."""
    rows, found = [], {}
    for name, known in goals(given):
        weight = weight_for(known, delay=MOST_DELAY)
        mine = planned(known, weight=weight)
        reached = mine.polls <= MOST_POLLS and mine.delay_quantile(0.95) <= MOST_P95
        found[name] = {"weight": round(weight), **figure(mine), "reached": reached}
        rows.append((*row(name, mine, best(known, weight=weight)), f"{weight:.0f}", "yes" if reached else "no"))
    goal = f"polls at most {MOST_POLLS}, p95 at most {MOST_P95:.0%}"
    table(f"At load 85 %: the λ at which the mean delay is {MOST_DELAY:.0%}. {goal}?", (*HEADS, "λ", "reached"), rows)
    return found


def goals(given: Options) -> Iterator[tuple[str, list[Seen]]]:
    """Yield the workloads of the third table: the three mixes together, and each mix alone with right estimates."""
    for servers in (SERVERS,) if given.quick else (1, 2, 4, 8):
        queues = {mix: queue(mix, given, load=0.85, servers=servers) for mix in (*MIXES, *SPLIT)}
        for error in ERRORS:
            each = {mix: estimates(workload, given, error=error) for mix, workload in queues.items()}
            together = [replace(one, share=one.share / len(MIXES)) for mix in MIXES for one in each[mix]]
            yield f"{servers} servers, all three, error {error * 100:.0f} %", together
            if not error and not given.quick:
                yield from ((f"{servers} servers, {mix}, error 0 %", known) for mix, known in each.items())


def weight_for(known: Sequence[Seen], *, delay: float) -> float:
    """Return the λ with which our plan has this mean delay."""
    low, high = 1.0, 1000.0
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if planned(known, weight=middle).delay > delay else (low, middle)
    return high


def show_weights(given: Options, *, weight: float) -> None:
    """Print the fourth table: a weight per second and the default one, for short and for long operations."""
    known = estimates(queue("lognormal", given, load=0.85), given, error=0.0)
    rows = []
    for seconds in (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0):
        cells = [f"{seconds:g} s"]
        for each, relative in ((seconds, False), (weight, True)):
            made = planned(known, weight=each, relative=relative, seconds=seconds)
            cells += [f"{made.polls:.1f}", f"{made.delay * seconds:.2g} s", f"{made.delay:.1%}"]
        rows.append(cells)
    heads = ("mean duration", "1 a second: polls", "delay", "of the mean", f"{weight:g}/duration: polls", "delay", "of the mean")
    table("A weight per second and a relative one, load 85 %, lognormal", heads, rows)


# --- 5: end to end ---------------------------------------------------------------------------------


def show_system(given: Options, *, weight: float) -> dict[str, dict[str, float]]:
    """Print the fifth table: the counts beside the formula's figures."""
    figures = {}
    for mix in MIXES if not given.quick else ["mixed"]:
        workload = queue(mix, given, load=0.85)
        figures[f"{mix}, formula"] = figure(planned(estimates(workload, given, error=0.0), weight=weight, relative=True))
        for name, right in (("estimates right", workload), ("its own estimates", None)):
            counted = run(MIXES[mix], load=0.85, servers=SERVERS, operations=given.pick(3000, 200), seed=1, right=right)
            figures[f"{mix}, {name}"] = {
                "polls": round(counted.polls, 2),
                "delay": round(counted.delay, 3),
                "p95": round(counted.delay_p95, 3),
            }
    rows = [(name, f"{each['polls']:.2f}", f"{each['delay']:.1%}", f"{each['p95']:.0%}") for name, each in figures.items()]
    table(f"Real client, API and worker at load 85 %, {SERVERS} slots, the default weight", ("", "polls", "delay", "p95"), rows)
    return figures


def drawn(given: Options) -> str:
    """Return the plot for load 85 %, mixed service times, and estimates that are 30 % wrong."""
    workload = queue("mixed", given, load=0.85)
    known = estimates(workload, given, error=0.3)
    weights = [0.5 * 1.5**step for step in range(18)]
    curves = {
        name: [(each.polls, each.delay) for each in (follow(known, weight=weight) for weight in weights)]
        for name, follow in {"offpoll": planned, "optimum": best}.items()
    }
    curves |= {name: curve(workload, name) for name in PEERS}
    return plot("Polls against delay: load 85 %, mixed service times, estimates 30 % wrong", curves)


def main() -> None:
    given = options(__doc__ or "", plot=True)
    weight = default_weight()
    average, worst = show_costs([over_optimum(list(MIXES), given, seed=seed) for seed in range(given.pick(5, 1))])
    at_default, times = show_default(given, weight=weight)
    goal = show_goal(given)
    if not given.quick:
        show_weights(given, weight=weight)
    counted = show_system(given, weight=weight)
    if given.plot is not None:
        given.plot.write_text(drawn(given))
    finish(
        "polling",
        {name: ratio for name, ratio in times.items() if ratio < math.inf},
        given,
        over_optimum={name: round(ratio, 3) for name, ratio in average.items()},
        worst_over_optimum={name: round(ratio, 3) for name, ratio in worst.items()},
        at_load_85=at_default,
        goal=goal,
        end_to_end=counted,
    )


if __name__ == "__main__":
    main()
