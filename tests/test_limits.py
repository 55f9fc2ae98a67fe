"""Text and members of errors in a form that every store accepts. `test_document` tests the sizes."""

from __future__ import annotations

import json

from offpoll.limits import json_error, well_formed
from offpoll.operation import Progress


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    """Undecodable bytes, as in Python's file names, are replaced, so that every store accepts the text."""
    assert well_formed("a\ud800b") == "a�b"
    assert well_formed("😀") == "😀"
    error = json_error({"code": "x\ud800", "message": "\udfff", "na\ud800me": ["\udcff", {"k": "\ud83d"}], "ok": "é"})
    assert error == {"code": "x�", "message": "�", "na�me": ["�", {"k": "�"}], "ok": "é"}
    json.dumps(error, ensure_ascii=False).encode()
    assert Progress(message="\ud800 of 3").fitted().message == "� of 3"


def test_members_without_a_json_form() -> None:
    """Each member that JSON cannot express becomes well-formed text on its own."""
    error = json_error({"code": "a", "message": "b", "n": float("nan"), "s\ud800": "\ud800"})
    assert error == {"code": "a", "message": "b", "n": "nan", "s�": "�"}
