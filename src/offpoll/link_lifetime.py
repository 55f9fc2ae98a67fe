"""How long a status link works: as short as possible, but not shorter than the operation may take.

Decides that from the operation's estimate. Pure; knows no store and no signing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from offpoll.document import Estimate

__all__ = ["LinkLifetime"]

#: A link works for so many times what is left until the latest end (the 90 % quantile). The 99 % quantile is 2.0 times the 90 % one where
#: times are exponential, 2.4 times where they are log-normal and deviate as much as their mean, 3.1 times where half as much again: of a
#: hundred operations about one outlives its link, and its client asks for another one, which costs one request to the API. A longer link
#: would be of use to that one, and to whoever finds it.
MARGIN = 3.0

#: Where only a mean is known, the latest end is taken to be where an exponential distribution has it: ln 10 times the mean.
LATEST_OVER_MEAN = math.log(10)

#: Lifetimes are whole minutes, seconds: what links of one second have in common is signed once, as long as their lifetimes are the same.
STEP = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkLifetime:
    """The least and the most seconds for which a link works."""

    floor: float = 600.0
    cap: float = 21_600.0

    def covering(self, estimate: Estimate | None, *, now: datetime) -> float:
        """Return for how many seconds from now a link to a document works.

        Args:
            estimate: the document's. None where it is done, or says nothing: then the floor is enough to read it.
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
