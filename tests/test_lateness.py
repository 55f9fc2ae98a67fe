"""The lateness weight as users write it: polls per second, or polls per expected duration."""

from __future__ import annotations

import pytest

from offpoll.lateness import DEFAULT_WEIGHT, MAX_WEIGHT, MIN_WEIGHT, PerDuration, per_second, read_weight


@pytest.mark.parametrize(
    ("said", "weight"),
    [
        (4, 4.0),
        (0.05, 0.05),
        ("4", 4.0),
        ("1e-3", 0.001),
        ("30/duration", PerDuration(polls=30.0)),
        (" 2.5 / duration", PerDuration(polls=2.5)),
        (MIN_WEIGHT, MIN_WEIGHT),
        (MAX_WEIGHT, MAX_WEIGHT),
    ],
)
def test_both_forms_are_read(said: float | str, weight: float | PerDuration) -> None:
    """A number is polls per second; a number followed by `/duration` is relative. Spaces do not matter."""
    assert read_weight(said) == weight


@pytest.mark.parametrize(
    "said",
    [0, -1, float("nan"), float("inf"), 1e7, 1e-7, True, None, [], "", "often", "30/", "/duration", "30/second", "30/durations",
     "0/duration", "nan/duration", "1e7/duration", "30/duration/duration", "1_0"],
    ids=repr,
)  # fmt: skip
def test_nonsense_is_refused(said: object) -> None:
    """Anything else, or a number out of range, is refused with an example of what is needed."""
    with pytest.raises(ValueError, match="such as 30/duration"):
        read_weight(said)  # type: ignore[arg-type]


def test_per_second() -> None:
    """A relative weight is divided by the expected duration, which may be zero; an absolute weight stays as it is."""
    assert per_second(PerDuration(polls=30.0), expected=60.0) == 0.5
    assert per_second(4.0, expected=60.0) == 4.0
    assert 0 < per_second(PerDuration(polls=30.0), expected=0.0) < float("inf")


def test_the_default_is_relative() -> None:
    """The default is relative, because nobody knows how long a user's operations take or what a second is worth."""
    assert isinstance(read_weight(DEFAULT_WEIGHT), PerDuration)
