"""Operations end when their 202 said they would: a small run of `bench/calibration.py`, on virtual time."""

from __future__ import annotations

from bench import calibration


def test_four_in_five_end_inside() -> None:
    """Over loads of 70, 85 and 95 %, 75 to 85 % of the operations end between earliest and latest, the others on both sides."""
    ended = [each for load in calibration.LOADS for each in calibration.run(seed=11, load=load, operations=250)]
    assert 0.75 <= calibration.inside(ended) <= 0.85
    places = [each.place for each in ended]
    assert 0.04 <= places.count("early") / len(places) <= 0.16
    assert 0.04 <= places.count("late") / len(places) <= 0.16


def test_again_after_service_times_doubled() -> None:
    """Estimates are right again three minutes and two hundred completions after every handler became twice as slow."""
    ended = calibration.run_doubled(seed=11, load=0.85, operations=300, rarer=2.0)
    assert len(ended) >= 200
    assert 0.75 <= calibration.inside(ended) <= 0.85
