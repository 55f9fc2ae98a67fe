"""Makes a text that a regular expression matches: for examples. It knows what JSON Schemas use, not all of Python's expressions."""

from __future__ import annotations

import re
from re import _parser  # type: ignore[attr-defined]  # the parser of `re`; it was public as `sre_parse` until 3.11
from typing import Any

__all__ = ["matching"]

#: Characters to try for a class, the most legible first; and all others of ASCII that can be printed.
_LEGIBLE = "aA1-_. " + "".join(chr(code) for code in range(33, 127))

_CLASSES = {"CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s"}
_CLASSES |= {"CATEGORY_NOT_SPACE": r"\S", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W"}


def matching(pattern: str, *, least: int = 0, most: int | None = None) -> str | None:
    """Return a text in which the pattern is found, of a length between two bounds; None if none was found."""
    try:
        parsed, compiled = _parser.parse(pattern), re.compile(pattern)
        for more in range(max(least, 1) + 1):
            text = "".join(_text(node, more, groups={}) for node in parsed)
            padded = text + "a" * (least - len(text))
            for each in (text, padded):
                if least <= len(each) and (most is None or len(each) <= most) and compiled.search(each):
                    return each
    except (re.error, LookupError, ValueError, RecursionError):  # an expression of another language, or of a part that is not known here
        return None
    return None


def _text(node: tuple[Any, Any], more: int, groups: dict[int, str]) -> str:
    """Return a text for one node of a parsed expression. Each repeat occurs as often as it must, and `more` times if it may."""
    made = ""
    match str(node[0]), node[1]:
        case "LITERAL", code:
            made = chr(code)
        case ("ANY" | "NOT_LITERAL" | "IN") as name, value:
            made = next((each for each in _LEGIBLE if _is_in(each, name, value)), "")  # none, perhaps
        case (("MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT"), (least, most, inner)):
            made = _all(inner, more, groups) * max(least, min(int(most), more))
        case "BRANCH", (_, branches):
            made = _all(branches[0], more, groups)
        case "SUBPATTERN", (number, _, _, inner):
            made = _all(inner, more, groups)
            if number is not None:
                groups[number] = made
        case "ATOMIC_GROUP", inner:
            made = _all(inner, more, groups)
        case "GROUPREF", number:
            made = groups[number]
        case (("AT" | "ASSERT" | "ASSERT_NOT"), _):
            pass
        case name, _:
            raise KeyError(name)
    return made


def _all(nodes: Any, more: int, groups: dict[int, str]) -> str:
    return "".join(_text(node, more, groups) for node in nodes)


def _is_in(character: str, name: str, value: Any) -> bool:
    if name == "ANY":
        return True
    if name == "NOT_LITERAL":
        return character != chr(value)
    negated = bool(value) and str(value[0][0]) == "NEGATE"
    return negated != any(_is_one(character, str(kind), each) for kind, each in value[1 if negated else 0 :])


def _is_one(character: str, kind: str, value: Any) -> bool:
    if kind == "LITERAL":
        return character == chr(value)
    if kind == "RANGE":
        return bool(value[0] <= ord(character) <= value[1])
    return re.fullmatch(_CLASSES[str(value)], character) is not None
