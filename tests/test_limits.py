"""What fits into a document, and what has a form at all; the sizes are tested with the documents."""

from __future__ import annotations

import json

from offpoll.limits import json_error, well_formed
from offpoll.operation import Progress


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    """Texts with bytes that were no text, as Python's file names have them, become texts that every store takes."""
    assert well_formed("a\ud800b") == "a�b"
    assert well_formed("😀") == "😀"
    error = json_error({"code": "x\ud800", "message": "\udfff", "na\ud800me": ["\udcff", {"k": "\ud83d"}], "ok": "é"})
    assert error == {"code": "x�", "message": "�", "na�me": ["�", {"k": "�"}], "ok": "é"}
    json.dumps(error, ensure_ascii=False).encode()
    assert Progress(message="\ud800 of 3").fitted().message == "� of 3"


def test_members_that_json_does_not_know() -> None:
    """Each becomes text by itself, well-formed too."""
    error = json_error({"code": "a", "message": "b", "n": float("nan"), "s\ud800": "\ud800"})
    assert error == {"code": "a", "message": "b", "n": "nan", "s�": "�"}
