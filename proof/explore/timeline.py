"""Puts the steps of a run into words."""

from __future__ import annotations

import re

__all__ = ["line"]

_HOW = {"ok": "", "lost": "  — done, and the answer is LOST", "fail": "  — FAILS, nothing done", "error": "  — the handler RAISES"}

_FACTS = {
    r'"status":"(\w+)"': "{}",
    r"applied=(\w+)": "applied={}",
    r"attempt=(\d+)": "attempt {}",
    r"status=(?:<Status\.\w+: )?'(\w+)'": "{}",
    r"revision=(\d+)": "revision {}",
}


def line(actor: str, call: str, how: str, said: str) -> str:
    """Return one step: who did what, what went wrong with it, and the answer."""
    if not how:
        return f"{actor:3} {call}"
    if how != "ok":
        return f"{actor:3} {call:18}{_HOW[how]}"
    facts = [words.format(found[1]) for pattern, words in _FACTS.items() if (found := re.search(pattern, said))]
    named = re.match(r"(\w+)\(", said)
    if not facts and named:
        facts = [named[1]]
    return f"{actor:3} {call:18}  → {', '.join(facts) or said[:16]}"
