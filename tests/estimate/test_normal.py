"""Quantiles of the normal distribution are the standard library's."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from offpoll.estimate.normal import normal_quantile


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.1, 1 / 30, 0.5, 0.9, 0.95, 0.999999])
def test_it_is_the_librarys(share: float) -> None:
    """To nine digits, which is more than an estimate can use."""
    assert normal_quantile(share) == pytest.approx(NormalDist().inv_cdf(share), abs=1e-9)
