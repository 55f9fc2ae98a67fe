"""Polls one operation: decides when to ask, whom to ask, and what a response means. Does no I/O, and has no clock or randomness.

`Polling.run` is a generator of `exchange.Event` that returns the terminal document. The blocking and the async client both drive it.

    the store's response              means                                  next step
    200 document, 304                 known                                  wait
    none, 5xx, 408, 429               silent: an outage                      wait, on the same schedule; if it lasts, the fallback
    400, 403 "expired"                expired: the link has ended            fresh link, read again, else ask the API
    other 403, 404                    refused                                ask the API, from the second time after a fresh link
    anything else                     misread: a proxy's page, another       wait; from the second time like refused
                                      operation's document, a redirect

The last three are troubles. The client follows up the 1st, 2nd, 4th and 8th in a row, and the 16th raises. So it never asks a broken store
or API without a pause, or without end.

Fallback: if the client cannot reach the store (3 polls in a row without a response, 10 with an outage's, or 4 troubles while the API
helps), only the API is left. Every poll then asks the store and after it the API. Polls are four times further apart, and at least ten
seconds. The store's first good response ends the fallback.

Documents cannot redirect clients or credentials: their links are ignored, because a writer of documents could point them anywhere. The
client uses the links that the API put in the ticket, and follows a fresh link only to the ticket's own store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from math import inf
from urllib.parse import urlsplit

from offpoll.document import Document, PollHint
from offpoll.errors import ApiError, MalformedDocument
from offpoll.exchange import (
    MAX_STORE_BYTES,
    Event,
    Fetch,
    Flow,
    NoAnswer,
    Reply,
    Response,
    Shown,
    Wait,
    is_outage,
    operation_url,
    read_operation,
)
from offpoll.instant import from_http_date
from offpoll.link import StatusLink
from offpoll.poll_plan import DEFAULT_INTERVAL, MAX_PAUSE, pause
from offpoll.ticket import Ticket

__all__ = ["Polling"]

#: Troubles in a row that the client follows up, and the one at which it gives up.
FOLLOWED_UP = frozenset({1, 2, 4, 8})
GIVE_UP = 16

#: Polls in a row after which the client falls back to the API: without any response, as behind a firewall; with an outage's response (all
#: clients get that, so waiting longer spares the API a rush); in trouble, if the API could help.
UNREACHABLE_AFTER = 3
OUT_OF_ORDER_AFTER = 10
IN_TROUBLE_AFTER = 4

#: How much further apart the fallback's polls are. A poll of the API costs 15.5 times as much (6.20 USD a million against 0.40, in the
#: reference case of bench and docs), and the best interval grows with the square root of a poll's price (see `poll_plan`).
API_SLOWDOWN = 4.0

#: The fallback's shortest interval, seconds, even for short operations: one firewall has many clients behind it.
API_INTERVAL = 10.0

#: The timeout of a store that did not respond before, seconds, instead of `request_timeout`: the request to the API waits for it.
PROBE_TIMEOUT = 3.0


class _Finding(Enum):
    KNOWN = "known"
    SILENT = "silent"
    EXPIRED = "expired"
    REFUSED = "refused"
    MISREAD = "misread"


@dataclass(kw_only=True)
class Polling:
    """The polls of one operation.

    Args:
        base_url: the API's address, for documents without links.
        random: returns numbers from 0 to 1, for jitter.

    Attributes:
        document, link: the newest.
        trouble: describes what went wrong with the last poll, for people; empty if nothing did.
        falls_back: whether polls also ask the API.
    """

    ticket: Ticket
    base_url: str
    random: Callable[[], float]

    def __post_init__(self) -> None:
        self.document, self.link = self.ticket.document, self.ticket.link
        self.trouble, self.falls_back = "", False
        self._hint: PollHint | None = self.document.poll
        self._etag: str | None = None
        self._written_at: datetime | None = None  # when the store wrote what the etag names
        self._troubles = self._silences = 0
        self._retry_after = 0  # seconds, from an outage's response
        self._reply: Response | NoAnswer | None = None

    def run(self, *, elapsed: float = 0.0) -> Flow[Document]:
        """Poll until the operation is done.

        Args:
            elapsed: seconds since the client received the ticket.

        Raises:
            ApiError: the API knows no such operation or refuses to say, or the status was unreadable `GIVE_UP` times in a row.
        """
        shown = self.document
        if shown.done:  # a repeated submit met an operation that had ended
            yield Shown(document=shown)
        seconds = self._first_pause(elapsed)
        while not self.document.done:
            yield Wait(seconds=seconds)
            yield from self._look()
            if self.document is not shown:
                shown = self.document
                yield Shown(document=shown)
            seconds = self._next_pause()
        return self.document

    def _look(self) -> Flow[None]:
        """Ask the store, and do what its response requires: at most four requests."""
        finding = yield from self._read_store()
        if finding is _Finding.SILENT:
            yield from self._note_silence()
        elif finding is not _Finding.KNOWN:
            yield from self._follow_up(finding)

    def _note_silence(self) -> Flow[None]:
        """Count a poll without a usable response. After enough of them, ask the API."""
        self._silences += 1
        if self._silences >= (OUT_OF_ORDER_AFTER if isinstance(self._reply, Response) else UNREACHABLE_AFTER):
            self.falls_back = True
        if self.falls_back:
            yield from self._ask_api()

    def _follow_up(self, finding: _Finding) -> Flow[None]:
        """Try to cure a trouble with a fresh link, or else with the API.

        Raises:
            ApiError: the trouble has lasted too long.
        """
        self._silences = 0
        self._troubles += 1
        if self._troubles >= GIVE_UP:
            status = self._reply.status if isinstance(self._reply, Response) else 0
            text = f"operation {self.ticket.operation_id} may go on, but its status was unreadable {GIVE_UP} times in a row: {self.trouble}"
            raise ApiError(text, status=status)
        again = self._troubles > 1
        if not self.falls_back and (self._troubles not in FOLLOWED_UP or (finding is _Finding.MISREAD and not again)):
            return
        # A fresh link may cure what asking the API did not: the signer's credentials may be gone.
        if (finding is _Finding.EXPIRED or (again and not self.falls_back)) and (yield from self._renew_link()):
            finding = yield from self._read_store()
        if finding in (_Finding.KNOWN, _Finding.SILENT):
            return
        if (yield from self._ask_api()) and self._troubles >= IN_TROUBLE_AFTER:
            self.falls_back, self._troubles = True, IN_TROUBLE_AFTER

    def _read_store(self) -> Generator[Event, Reply, _Finding]:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        self._retry_after = 0
        timeout = PROBE_TIMEOUT if self.falls_back else inf
        self._reply = yield Fetch(to="store", url=self.link.href, headers=headers, max_bytes=MAX_STORE_BYTES, timeout=timeout)
        finding = self._judge(self._reply)
        if finding is _Finding.KNOWN:
            self._troubles = self._silences = 0
            self.trouble, self.falls_back = "", False
        return finding

    def _judge(self, reply: Reply) -> _Finding:
        """Classify the store's response, and adopt a document in it."""
        if not isinstance(reply, Response):
            self.trouble = "the store gave no answer: " + (reply.reason if reply else "")
            return _Finding.SILENT
        self.trouble = f"the store answered {reply.status} {_error_code(reply.body)}".rstrip()
        if is_outage(reply.status):
            self._retry_after = reply.retry_after or 0
            return _Finding.SILENT
        if reply.status == 304 and self._etag is not None:
            return _Finding.KNOWN
        if reply.status == 200 and self._adopt(reply):
            self._etag = reply.headers.get("etag")
            self._written_at = from_http_date(reply.headers.get("last-modified"))
            return _Finding.KNOWN
        if reply.status in (400, 403) and self._is_expired(reply):
            return _Finding.EXPIRED
        return _Finding.REFUSED if reply.status in (403, 404) else _Finding.MISREAD

    def _is_expired(self, response: Response) -> bool:
        """Tell whether the link has ended: each store has its own words for that, and its clock shows it too."""
        return b"expired" in response.body.lower() or (response.date is not None and response.date >= self.link.expires_at)

    def _renew_link(self) -> Generator[Event, Reply, bool]:
        reply = yield Fetch(to="api", method="POST", url=operation_url(self.document, "status_link", base_url=self.base_url), body=b"")
        if not isinstance(reply, Response) or reply.status != 200:
            return False
        try:
            link = StatusLink.from_dict(reply.json())
            moved = _origin(link.href) != _origin(self.ticket.link.href)
        except (ValueError, ArithmeticError):
            return False
        if moved:
            self.trouble += "; the fresh link leads to another store than the ticket's, so it is not followed"
            return False
        self.link = link
        return True

    def _ask_api(self) -> Generator[Event, Reply, bool]:
        """Ask the API for the operation and adopt its response. Return False if that says nothing about the operation.

        Raises:
            ApiError: the API knows no such operation, or refuses to say.
        """
        reply = yield Fetch(to="api", url=operation_url(self.document, "self", base_url=self.base_url))
        if not isinstance(reply, Response) or is_outage(reply.status):
            self.trouble += f"; the API {f'answered {reply.status}' if isinstance(reply, Response) else 'gave no answer'}"
            self._retry_after = max(self._retry_after, (isinstance(reply, Response) and reply.retry_after) or 0)
            return False
        self._reply = reply
        if reply.status == 202:
            self._written_at = None
            return self._adopt(reply)
        ended = read_operation(reply, document=self.document)
        if ended is not None:
            self.document = ended
        elif reply.status in (401, 403) or (reply.status in (404, 410) and reply.problem):
            raise reply.refusal()
        else:
            self.trouble += f"; the API answered {reply.status}"
        return ended is not None

    def _adopt(self, response: Response) -> bool:
        """Adopt the document in a response. Return False if there is none, or another operation's."""
        try:
            document = Document.from_bytes(response.body)
        except (MalformedDocument, ArithmeticError) as error:
            self.trouble = f"the response is not a status document: {error}"
            return False
        if document.id != self.ticket.operation_id:
            self.trouble = "the status document is another operation's"
            return False
        if document.links != self.ticket.document.links:
            document = replace(document, links=self.ticket.document.links)
        self._hint = document.poll or self._hint
        if document != self.document and document.rank >= self.document.rank:
            self.document = document
        return True

    def _first_pause(self, elapsed: float) -> float:
        """Return the seconds until the first poll: as the ticket asks, less the time since it came.

        A saved ticket does not say how old it is. Its first poll is at a random time within one interval,
        so that a restarted fleet does not poll all at once.
        """
        date = self.ticket.answered_at
        if date is None and self.ticket.received is None and not self.ticket.retry_after:
            return min(MAX_PAUSE, self.random() * (DEFAULT_INTERVAL if self._hint is None else max(0.0, self._hint.interval)))
        planned = min(MAX_PAUSE, float(self.ticket.retry_after)) if date is None or self._hint is None else self._spread(date)
        return max(0.0, planned - elapsed)

    def _next_pause(self) -> float:
        """Return the seconds until the next poll. They are more if an outage's response asks for that, and during the fallback."""
        slower = self._slower() if self.falls_back else 0.0
        planned = self._spread(self._reply.date if isinstance(self._reply, Response) else None)
        return max(planned, slower, min(MAX_PAUSE, float(self._retry_after)))

    def _slower(self) -> float:
        interval = max(API_INTERVAL, API_SLOWDOWN * (DEFAULT_INTERVAL if self._hint is None else self._hint.interval))
        updated_at = self.document.updated_at
        return pause(PollHint(not_before=updated_at, interval=interval), date=None, updated_at=updated_at, random=self.random)

    def _spread(self, date: datetime | None) -> float:
        return pause(self._hint, date=date, updated_at=self.document.updated_at, written_at=self._written_at, random=self.random)


def _error_code(body: bytes) -> str:
    """Return the `<Code>` of an S3 error, at most 64 bytes; empty if there is none."""
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0][:64].decode("ascii", "replace")
    return code if code.isprintable() else ""


def _origin(href: str) -> tuple[str, str]:
    """Return scheme and authority, which decide who reads a request. Raises ValueError if this is no URL."""
    parts = urlsplit(href)
    return parts.scheme, parts.netloc.lower()
