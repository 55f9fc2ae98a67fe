"""How long a status link works: as short as possible, but not shorter than the operation may take, by its estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from offpoll.document import Estimate

__all__ = ["LinkLifetime"]

#: A link works for this many times the time left until the latest end (the 90 % quantile). The 99 % quantile is 2.0 times the 90 % one if
#: times are exponential, 2.4 times if they are log-normal and deviate as much as their mean, 3.1 times if half as much again. So about
#: one operation in a hundred outlives its link, and its client asks for a new one, which costs one request to the API. A longer link
#: would help only that client, and anybody who finds the link.
MARGIN = 3.0

#: If only a mean is known, the latest end counts as that of an exponential distribution: ln 10 times the mean.
LATEST_OVER_MEAN = math.log(10)

#: Lifetimes are whole minutes, in seconds: links signed within one second share most of the signing if they have the same lifetime.
STEP = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkLifetime:
    """How long a link works, seconds: at least `floor`, at most `cap`."""

    floor: float = 600.0
    cap: float = 21_600.0

    def covering(self, estimate: Estimate | None, *, now: datetime) -> float:
        """Return for how many seconds from now a link to a document works.

        Args:
            estimate: the document's. None if it is done, or says nothing: then the floor is enough to read it.
            now: the time of the signature.
        """
        if estimate is None:
            return self.floor
        if estimate.latest is not None:
            left = (estimate.latest - now).total_seconds()
        elif estimate.mean is not None:
            left = LATEST_OVER_MEAN * (estimate.mean - now).total_seconds()
        else:
            return self.floor
        if MARGIN * left <= self.floor:
            return self.floor
        return min(self.cap, math.ceil(MARGIN * left / STEP) * STEP)
