"""Spans of completions: how they are kept, and how they fade."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offpoll.estimate.histogram import bucket_of
from offpoll.estimate.history import MAX_SPANS, Span, calibration, completions, extended, faded

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def span(count: int, *, seconds: float = 1.0, ago: float = 0.0, lasting: float = 10.0, inside: int = 0, late: int = 0) -> Span:
    ended_at = NOON - timedelta(seconds=ago)
    return Span(
        began_at=ended_at - timedelta(seconds=lasting),
        ended_at=ended_at,
        buckets={bucket_of(seconds): count},
        seconds=count * seconds,
        inside=inside,
        late=late,
    )


def weight_of(seconds: float, *spans: Span) -> float:
    """Return the share of one time in the total weight."""
    measured = faded(spans, NOON)
    return measured.weights.get(bucket_of(seconds), 0.0)


def test_an_hour_halves() -> None:
    """If completions are few, one counts half after an hour."""
    assert weight_of(1.0, span(1, ago=3600)) / weight_of(1.0, span(1)) == pytest.approx(0.5, rel=0.01)


def test_a_hundred_completions_halve() -> None:
    """If completions are many, one counts half after a hundred newer ones, however soon."""
    alone = weight_of(1.0, span(1, ago=20))
    assert weight_of(1.0, span(1, ago=20), span(100, seconds=9.0)) / alone == pytest.approx(0.5, rel=0.01)
    assert weight_of(1.0, span(1, ago=20), span(200, seconds=9.0)) / alone == pytest.approx(0.25, rel=0.01)


def test_whichever_is_sooner() -> None:
    """An hour and a hundred completions together do not make a quarter: the stronger of the two counts."""
    assert weight_of(1.0, span(1, ago=3600), span(100, seconds=9.0)) / weight_of(1.0, span(1)) == pytest.approx(0.5, rel=0.01)


def test_other_processes_completions_fade_too() -> None:
    """Spans of all processes fade together, in any order, because newer completions are newer wherever they were measured."""
    old, new = span(50, seconds=1.0, ago=60), span(200, seconds=9.0)
    assert faded([old, new], NOON).weights == faded([new, old], NOON).weights
    assert faded([old, new], NOON).share_below(5.0) < 0.15


def test_after_two_hundred_completions_a_new_regime_rules() -> None:
    """The newest two hundred completions have three quarters of the weight."""
    measured = faded([span(1000, seconds=1.0, ago=60), span(200, seconds=2.0)], NOON)
    assert measured.share_below(1.5) == pytest.approx(0.25, abs=0.01)


def test_reports_of_a_quarter_minute_are_one() -> None:
    """Reports of several processes at the same time make one span; a later report begins another."""
    spans: tuple[Span, ...] = ()
    for ago in (60, 58, 30, 0):
        spans = extended(spans, span(2, ago=ago))
    assert [each.completions for each in spans] == [4, 2, 2]


def test_the_past_is_blurred_and_the_present_is_not() -> None:
    """Few spans remain: recent ones as short as a report, older ones longer in proportion to their age. Nothing is lost."""
    spans: tuple[Span, ...] = ()
    for number in range(240):
        spans = extended(spans, span(1, ago=7200 - 30 * number, lasting=30))
    assert len(spans) == MAX_SPANS
    assert sum(each.completions for each in spans) == 240
    lengths = [(each.ended_at - each.began_at).total_seconds() for each in spans]
    assert lengths[-1] == 30
    newest = spans[-1].ended_at
    assert all(
        length <= max(60, 0.8 * (newest - each.began_at).total_seconds()) for length, each in zip(lengths[1:], spans[1:], strict=True)
    )


def test_spans_without_weight_are_dropped() -> None:
    """A span with a thousand newer completions is dropped."""
    spans = extended(extended((), span(5, ago=60)), span(1001))
    assert len(extended(spans, span(1, ago=-60))) == 2


def test_a_late_report_finds_its_place() -> None:
    """A process that could not write for a while does not make its old times new."""
    spans = extended(extended((), span(1, seconds=9.0)), span(100, seconds=1.0, ago=600))
    assert [each.completions for each in spans] == [100, 1]


def test_completions_between_instants() -> None:
    """A span counts with the part of it that lies within the interval."""
    spans = [span(10, ago=0, lasting=10), span(10, ago=20, lasting=10), span(10, ago=100, lasting=10)]
    count = completions(spans, since=NOON - timedelta(seconds=25), until=NOON - timedelta(seconds=5))
    assert count == pytest.approx(10)


def test_calibration() -> None:
    """The share of known operations that ended as predicted fades as service times do; without data there is none."""
    assert calibration([span(3)], NOON).share is None
    assert calibration([span(10, inside=8, late=1)], NOON).share == pytest.approx(8 / 9)
    changed = calibration([span(100, inside=100, ago=60), span(300, late=300)], NOON)
    assert changed.share is not None
    assert changed.share < 0.1
