"""The status link: a presigned URL and when it expires. Decides how to show a link: never whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offpoll.frozen import quick
from offpoll.instant import from_wire, to_wire
from offpoll.limits import quote

__all__ = ["StatusLink"]

#: The characters of URLs (RFC 3986, 2).
_URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%"


@quick
@dataclass(frozen=True, kw_only=True)
class StatusLink:
    """A URL that reads one status document until `expires_at`, by GET and without credentials.

    Everybody who has the URL can read the document, so `repr`, and with it the log, leaves out its signature.
    """

    href: str
    expires_at: datetime

    def to_dict(self) -> dict[str, str]:
        """Return the JSON object `{href, expires_at}`."""
        return {"href": self.href, "expires_at": to_wire(self.expires_at)}

    def to_json(self) -> str:
        """Return the link as JSON text."""
        href = self.href
        # Most of a presigned URL is a session token. Checking that nothing needs an escape costs a tenth of looking for what does.
        plain = href.isascii() and not href.encode().translate(None, _URL)
        text = f'"{href}"' if plain else quote(href)
        return f'{{"href":{text},"expires_at":"{to_wire(self.expires_at)}"}}'

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
