"""The status link: a presigned URL, for how long it works, and how to show it: never whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offpoll.document import Estimate
from offpoll.frozen import quick
from offpoll.instant import from_wire, to_wire
from offpoll.limits import quote

__all__ = ["LinkLifetime", "StatusLink"]

#: A link works for this many times the time left until the latest end (the 90 % quantile). The 99 % quantile is 2.0 times the 90 % one if
#: times are exponential, 2.4 times if they are log-normal and deviate as much as their mean, 3.1 times if half as much again. So about
#: one operation in a hundred outlives its link, and its client asks for a new one, which costs one request to the API. A longer link
#: would help only that client, and anybody who finds the link.
MARGIN = 3.0

#: If only a mean is known, the latest end counts as that of an exponential distribution: ln 10 times the mean.
LATEST_OVER_MEAN = math.log(10)

#: Lifetimes are whole minutes, in seconds: links signed within one second share most of the signing if they have the same lifetime.
STEP = 60


@quick
@dataclass(frozen=True, kw_only=True)
class StatusLink:
    """A URL that reads one status document until `expires_at`, by GET and without credentials.

    Everybody who has the URL can read the document, so `repr`, and with it the log, leaves out its signature.
    """

    href: str
    expires_at: datetime
    escaped: bool = field(default=False, compare=False)  # whether its signer knows that JSON has nothing to escape in `href`

    def to_dict(self) -> dict[str, str]:
        """Return the JSON object `{href, expires_at}`."""
        return {"href": self.href, "expires_at": to_wire(self.expires_at)}

    def to_json(self) -> str:
        """Return the link as JSON text."""
        href = f'"{self.href}"' if self.escaped else quote(self.href)  # scanning a session token costs more than everything else here
        return f'{{"href":{href},"expires_at":"{to_wire(self.expires_at)}"}}'

    @classmethod
    def from_dict(cls, fields: Any) -> StatusLink:
        """Read the JSON object.

        Raises:
            ValueError: it is not a status link.
        """
        if not isinstance(fields, dict) or not isinstance(fields.get("href"), str) or not isinstance(fields.get("expires_at"), str):
            raise ValueError("a status link is an object with href and expires_at")
        return cls(href=fields["href"], expires_at=from_wire(fields["expires_at"]))

    def __repr__(self) -> str:
        return f"StatusLink(href={self.href.partition('?')[0] + '?…'!r}, expires_at={to_wire(self.expires_at)!r})"


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
