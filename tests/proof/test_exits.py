"""`python -m proof.exits`: documented client snippets end with exit code 0, and the proof can tell."""

from __future__ import annotations

import signal
import sys

import pytest
from proof import exits

#: Runs of each snippet here; `make exits` does more.
RUNS = 4


def test_there_are_snippets_of_both_colours() -> None:
    """The README's and the client page's snippets are found, blocking and awaited."""
    found = exits.snippets()
    assert {name.partition(" ")[0] for name in found} == set(exits.PAGES)
    assert {"await " in code for code in found.values()} == {True, False}
    assert len(found) >= 6


@pytest.mark.parametrize("name", exits.snippets())
def test_each_snippet_ends_well(name: str) -> None:
    """As written, in threads, left behind and cut short."""
    with exits.stub() as base:
        ended, words = exits.run(exits.snippets()[name], base=base, python=sys.executable, runs=RUNS)
    assert dict(ended) == {0: RUNS}, words


@pytest.mark.parametrize(("code", "exit_code"), [("import os; os.abort()", -signal.SIGABRT), ("raise SystemExit(3)", 3)])
def test_a_bad_end_is_seen(code: str, exit_code: int) -> None:
    """A program that aborts, or ends otherwise, is counted as that."""
    with exits.stub() as base:
        ended, _ = exits.run(code, base=base, python=sys.executable, runs=1)
    assert dict(ended) == {exit_code: 1}


def test_no_native_runtime() -> None:
    """The client loads no module of a package with native code: no thread but Python's own runs in its user's process."""
    import subprocess

    code = "import sys; from offpoll import AsyncClient, Client; Client('https://a.test').close(); AsyncClient('https://a.test')"
    code += "; print(sorted({n.partition('.')[0] for n in sys.modules} - sys.stdlib_module_names - {'offpoll', '__main__'}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [each for each in eval(loaded) if not each.startswith(("_", "sitecustomize"))] == []
