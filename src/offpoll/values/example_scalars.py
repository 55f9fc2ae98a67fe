"""Makes example texts and numbers for JSON Schemas. Decides what a legible example is: `text`, `1`, noon on a day to come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from offpoll.values.pattern_text import matching

__all__ = ["TEXTS", "number", "text"]

#: Texts by format, of JSON Schema and of pydantic. If a type refuses one, the next is tried: a schema cannot say what is past or future.
_FORMATS: Mapping[str, tuple[str, ...]] = {
    "date-time": ("2030-01-01T12:00:00Z", "2000-01-01T12:00:00Z", "2030-01-01T12:00:00", "2000-01-01T12:00:00"),
    "date": ("2030-01-01", "2000-01-01"),
    "time": ("12:00:00", "12:00:00Z"),
    "duration": ("PT1H", "P1D"),
    "uuid": ("00000000-0000-4000-8000-000000000001",),
    "email": ("someone@example.com",),
    "idn-email": ("someone@example.com",),
    "name-email": ("Someone <someone@example.com>",),
    "uri": (
        "https://example.com/",
        "ftp://example.com/",
        "ws://example.com/",
        "file:///tmp/example",
        "redis://localhost:6379/0",
        "amqp://localhost",
        "kafka://localhost:9092",
    ),
    "multi-host-uri": ("postgresql://someone@localhost:5432/example", "mongodb://localhost:27017/example", "https://example.com/"),
    "hostname": ("example.com",),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
    "ipvanyaddress": ("192.0.2.1",),
    "ipv4network": ("192.0.2.0/24",),
    "ipv6network": ("2001:db8::/32",),
    "ipvanynetwork": ("192.0.2.0/24",),
    "ipv4interface": ("192.0.2.1/24",),
    "ipv6interface": ("2001:db8::1/32",),
    "ipvanyinterface": ("192.0.2.1/24",),
    "binary": ("text", "74657874"),  # in hex, if the type is configured so
    "base64": ("dGV4dA==",),
    "base64url": ("dGV4dA==",),
    "path": ("example.txt",),
    "file-path": ("/etc/hosts",),
    "directory-path": ("/tmp",),  # noqa: S108 - an example for a type whose values must exist
    "regex": (".*",),
    "color": ("red",),
    "phone": ("tel:+1-202-555-0123", "+12025550123"),
    "decimal": ("1",),
}

#: All of them: for a text of which the schema says nothing, and a validator wants something.
TEXTS = tuple(dict.fromkeys(each for texts in _FORMATS.values() for each in texts))

#: How far from a bound to look for a number.
_STEPS = 8


def text(schema: Mapping[str, Any], turn: int) -> str:
    """Return a text for a schema of type string; another one each turn, where there are several."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if "pattern" in schema:
        made = matching(schema["pattern"], least=least, most=most)
        if made is not None:
            return _varied(made, turn) if turn and matching(schema["pattern"]) == "" else made
    named = str(schema.get("format", ""))
    if named.startswith("uuid") and named[4:].isdigit():
        return f"00000000-0000-{named[4:]}000-8000-00000000000{turn % 10}"
    choices = _FORMATS.get(named) or (("dGV4dA==",) if schema.get("contentEncoding") == "base64" else ())
    if choices:
        return choices[turn % len(choices)]
    made = _varied("text", turn)
    made += "x" * (least - len(made))
    return made if most is None else made[len(made) - most :] if turn else made[:most]


def number(schema: Mapping[str, Any], turn: int, *, whole: bool) -> float:
    """Return a number for a schema of type integer or number: 1 if possible, else one near a bound; another one each turn.

    Raises:
        ValueError: there is none between the bounds.
    """
    found = [each for each in _numbers(schema, whole=whole) if _fits(each, schema)]
    if not found:
        raise ValueError("no number is between the bounds")
    chosen = found[turn % len(found)]
    return int(chosen) if whole or chosen.denominator == 1 else float(chosen)


def _numbers(schema: Mapping[str, Any], *, whole: bool) -> Iterator[Fraction]:
    low, high = _bound(schema, "minimum", "exclusiveMinimum"), _bound(schema, "maximum", "exclusiveMaximum")
    step = _exact(schema["multipleOf"]) if "multipleOf" in schema else Fraction(1) if whole else None
    if whole and step is not None:
        step = Fraction(step.numerator)  # the multiples of a half that are whole are those of one
    if step is None:
        yield from (Fraction(each) for each in (1, 0, -1))
        yield from (each for each in (low, high) if each is not None)
        if low is not None:
            yield (low + (low + 2 if high is None else high)) / 2
        elif high is not None:
            yield high - 1
        return
    first = Fraction(1) if low is None or low <= 1 else low
    starts = [first, *([] if high is None else [high]), *([] if low is None else [low])]
    for start in starts:
        near = math.ceil(start / step) if start is not high else math.floor(start / step)
        ways = range(_STEPS) if start is not high else range(0, -_STEPS, -1)
        yield from ((near + way) * step for way in ways)


def _fits(value: Fraction, schema: Mapping[str, Any]) -> bool:
    return (
        ("minimum" not in schema or value >= _exact(schema["minimum"]))
        and ("maximum" not in schema or value <= _exact(schema["maximum"]))
        and ("exclusiveMinimum" not in schema or value > _exact(schema["exclusiveMinimum"]))
        and ("exclusiveMaximum" not in schema or value < _exact(schema["exclusiveMaximum"]))
    )


def _bound(schema: Mapping[str, Any], *names: str) -> Fraction | None:
    found = [_exact(schema[name]) for name in names if name in schema]
    return found[0] if found else None


def _exact(value: Any) -> Fraction:
    """Return the number that the schema's author wrote: 0.1 is a tenth."""
    return Fraction(str(value))


def _varied(made: str, turn: int) -> str:
    return made if not turn else f"{made}{turn}"
