"""Measures `import offpoll` and `from offpoll import Client` against `import boto3`, and lists the packages that they load.

An import costs the CPU time of a fresh interpreter that does nothing else, less that of one that does nothing at all. Bytecode is cached. A
program that only submits and waits must not pay for a server, so the bench fails if an import loads one of the heavy packages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from bench.report import finish, interpreter_cpu_seconds, measure_pairs, one_core, options, table

HEAVY = ("boto3", "botocore", "fastapi", "starlette", "pydantic", "typer", "rich", "uvicorn")
OURS = {"import offpoll": "import offpoll", "Client": "from offpoll import Client"}


def cost(code: str) -> Callable[[], float]:
    """Return a measurement: the import's CPU seconds, without those of a bare interpreter."""
    return lambda: max(1e-4, interpreter_cpu_seconds(code) - interpreter_cpu_seconds("pass"))


def loaded(code: str) -> list[str]:
    """Return the top-level packages that the code loads, without the standard library's."""
    ask = f"{code}; import sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}} - sys.stdlib_module_names))"
    before, after = (
        set(subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout.split())
        for each in (ask.replace(code, "pass", 1), ask)
    )
    return sorted(name for name in after - before if not name.startswith("_"))


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    rows, worst = [], {}
    for name, code in OURS.items():
        packages = loaded(code)
        heavy = [package for package in packages if package in HEAVY]
        if heavy:
            raise SystemExit(f"{code!r} loads {', '.join(heavy)}")
        mine, theirs, ratios = measure_pairs(cost(code), {"boto3": cost("import boto3")}, pairs=given.pick(15, 5))
        rows.append((name, f"{mine * 1e3:.1f}", f"{theirs['boto3'] * 1e3:.0f}", f"{ratios['boto3']:.1f}", " ".join(packages)))
        worst = {peer: min(ratio, worst.get(peer, ratio)) for peer, ratio in ratios.items()}
    table("CPU ms of an import", ("", "offpoll", "boto3", "times offpoll's", "it loads"), rows)
    finish("imports", worst, given)


if __name__ == "__main__":
    main()
