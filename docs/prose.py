"""Lints the documentation: proselint's checks, the house's own words, the length of lines and sentences. `make lint` runs it.

Code blocks, inline code and comments are not prose; the length of a line counts everywhere except in tables.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from proselint.checks import __register__ as proselints_checks
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).parent.parent

#: Characters of a line, so that two pages stand side by side in an editor. Tables cannot be wrapped.
LONGEST_LINE = 119

#: Words of a sentence. "Under 25 as a rule": few may have more, and none more than a reader can hold.
USUAL_SENTENCE, LONGEST_SENTENCE, SHARE_OF_LONG = 25, 35, 0.02

#: Turns of phrase that we do not use, and what to write.
HOUSE = {
    r"who(so)?ever|whomever": "name the person: anyone who, the client, the worker",
    r"(be|were) (it|they) (for|in|on|by|an?|the)": "whether … or",
    r"so (many|much)(?! as)": "give the number, or say what it depends on",
    r"(that|where) there (is|are)": "name who has it, or what exists",
    r"it (is|was) (?!true |clear |possible )[\w' -]{1,40} (that|who) (?!is )": "put the agent first",
    r"must not know": "say what the module decides; keep this for a boundary that a test holds",
    r"(utili[sz]e|in order to|due to the fact)": "use the plain word",
}

#: Checks of proselint that do not fit here, and why.
EXCEPTIONS = {
    "typography.symbols.curly_quotes": "straight quotes, as in the code that stands beside them",
    "typography.symbols.ellipsis": "found in code only, as `...` in a signature",
    "typography.diacritical_marks": "`resume` is a verb here, and the name of a method",
}


class Fault(NamedTuple):
    """One finding: where, and what to do."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def pages() -> list[Path]:
    """List every page that people read."""
    folders = ("", "docs/", "docs/decisions/", "examples/*/", "src/offpoll/cli/skeleton/")
    return sorted(path for folder in folders for path in ROOT.glob(f"{folder}*.md"))


def prose(text: str) -> str:
    """Return a page with its code and comments blanked, each line in its place."""
    kept, fenced, indented, before = [], False, False, ""
    for line in text.split("\n"):
        fence = line.startswith("```")
        fenced ^= fence
        indented = line.startswith("    ") and (indented or not before.strip())
        before = line
        kept.append("" if fence or fenced or indented or line.startswith("<!--") else line)
    number = itertools.count()  # so that two pieces of code are no repeated word
    plain = re.sub(r"`[^`]*`", lambda code: f"q{next(number)}z" + "\n" * code[0].count("\n"), "\n".join(kept))
    return re.sub(r"\]\([^)]*\)|\]\[\w+\]", "", plain).replace("[", "").replace("*", "")


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield each sentence of a page with its line: paragraphs, items and cells end one, as full stops and colons do."""
    for block in re.finditer(r"(?:[^\n]+\n?)+", text):
        if block[0].startswith("#"):
            continue
        for part in re.finditer(r"(?:(?![.:;?!]\s|\||\n(?:- |\d+\. |\|)).)+", block[0], re.DOTALL):
            yield text.count("\n", 0, block.start() + part.start()) + 1, " ".join(part[0].split())


def words(sentence: str) -> int:
    return len(re.findall(r"\w[\w'.,-]*", sentence))


def faults(page: Path, text: str) -> Iterator[Fault]:
    """Find what is wrong with a page."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE and not line.startswith("|"):
            yield Fault(page, number, f"{len(line)} characters, more than {LONGEST_LINE}")
    plain = prose(text)
    for pattern, instead in HOUSE.items():
        for found in re.finditer(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), plain, re.IGNORECASE):
            yield Fault(page, plain.count("\n", 0, found.start()) + 1, f'"{" ".join(found[0].split())}": {instead}')
    for number, sentence in sentences(plain):
        if words(sentence) > LONGEST_SENTENCE:
            yield Fault(page, number, f'{words(sentence)} words in one sentence, more than {LONGEST_SENTENCE}: "{sentence[:60]}…"')
    for result in LintFile(page.name, plain or " ").lint():
        if result.check_result.check_path not in EXCEPTIONS:
            yield Fault(page, result.pos[0], f"{result.check_result.check_path}: {result.check_result.message}")


def share_of_long(texts: list[str]) -> float:
    """Return the share of sentences that are longer than usual."""
    lengths = [words(sentence) for text in texts for _, sentence in sentences(prose(text))]
    return sum(length > USUAL_SENTENCE for length in lengths) / len(lengths)


def main() -> int:
    CheckRegistry().register_many(proselints_checks)
    texts = {page: page.read_text() for page in pages()}
    found = [str(fault) for page, text in texts.items() for fault in faults(page, text)]
    share = share_of_long(list(texts.values()))
    if share > SHARE_OF_LONG:
        found.append(f"{share:.1%} of all sentences have more than {USUAL_SENTENCE} words; {SHARE_OF_LONG:.0%} may")
    print("\n".join(found) or f"{len(texts)} pages; {share:.1%} of their sentences have more than {USUAL_SENTENCE} words")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
