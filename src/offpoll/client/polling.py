"""Polling: when to ask, whom, and what an answer means. Pure: no I/O, no clock, no randomness of its own.

`Polling.run` is a generator of `exchange.Event` that returns the terminal document. The sync, the async and the JavaScript client all
drive this one decision.

    store answers                     what it means                          what follows
    200 document, 304                 known                                  wait
    none, 5xx, 408, 429               silent: an outage                      wait: the same schedule goes on; if it lasts, the fallback
    400, 403 "expired"                the link has ended                     fresh link, read again, else ask the API
    other 403, 404                    refused                                ask the API, from the second on with a fresh link first
    anything else                     misread: a proxy's page, another's     wait; from the second on as refused
                                      document, a redirect

A trouble (the last three) is followed up the 1st, 2nd, 4th and 8th time in a row, and the 16th raises: no link, store or API, however
broken, is asked without a wait between or for ever.

The fallback: a store that this client cannot reach (3 polls in a row without an answer, 10 with an outage's, or 4 in trouble while the API
helps) leaves the API. It is asked at every poll from then on, after the store, and the polls are four times further apart and at least ten
seconds. The first good answer of the store ends that.

A document in the store says how an operation is, never whom to ask: whoever can write one could send the client, and its credentials, where
they like. The API is asked by the links of the ticket, which it gave itself, and a fresh link is followed to the ticket's own store only.
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
from offpoll.link import StatusLink
from offpoll.poll_plan import DEFAULT_INTERVAL, MAX_PAUSE, PollPlan, pause, plan
from offpoll.ticket import Ticket

__all__ = ["PollPlan", "Polling", "plan"]

#: Troubles in a row that are followed up, and the one at which polling gives up.
FOLLOWED_UP = frozenset({1, 2, 4, 8})
GIVE_UP = 16

#: Polls in a row after which the API is asked instead: without any answer, as behind a firewall; with an outage's answer, which is
#: everybody's, so that the API is spared the rush for a while; in trouble, if the API could help.
UNREACHABLE_AFTER = 3
OUT_OF_ORDER_AFTER = 10
IN_TROUBLE_AFTER = 4

#: How much further apart the polls of the fallback are. One at the API costs 15.5 times as much (6.20 USD a million against 0.40 in the
#: reference case of bench and docs), and the best interval grows with the square root of a poll's price (see `poll_plan`).
API_SLOWDOWN = 4.0

#: The fallback's polls are at least so many seconds apart, however short the operation: a firewall has many clients behind it.
API_INTERVAL = 10.0

#: A store that did not answer before is given so many seconds, not all of `request_timeout`: the API waits for its turn.
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
        ticket: of the operation.
        base_url: the API's address, for documents without links.
        random: gives numbers from 0 to 1, for jitter.

    Attributes:
        document: the newest known.
        link: the one in use.
        trouble: what was wrong with the last poll, for people; empty where nothing was.
        falls_back: whether the API is asked in place of the store.
    """

    ticket: Ticket
    base_url: str
    random: Callable[[], float]

    def __post_init__(self) -> None:
        self.document: Document = self.ticket.document
        self.link: StatusLink = self.ticket.link
        self.trouble = ""
        self.falls_back = False
        self._hint: PollHint | None = self.document.poll
        self._etag: str | None = None
        self._troubles = self._silences = 0
        self._asked = 0  # seconds that an outage's answers ask to be left alone for
        self._reply: Response | NoAnswer | None = None

    def run(self, *, elapsed: float = 0.0) -> Flow[Document]:
        """Poll until the operation is done.

        Args:
            elapsed: seconds since the ticket's answer came.

        Raises:
            ApiError: the API knows no such operation, refuses to say, or nothing that can be read was there for `GIVE_UP` polls.
        """
        document, shown = self.document, self.document
        if document.done:  # a repeated submit met an operation that had ended
            yield Shown(document=document)
        seconds = self._first_pause(elapsed)
        while not document.done:
            yield Wait(seconds=seconds)
            yield from self._look()
            document = self.document
            if document is not shown:
                shown = document
                yield Shown(document=document)
            seconds = self._next_pause()
        return document

    # --- one poll --------------------------------------------------------------------------------

    def _look(self) -> Flow[None]:
        """Ask the store, and whatever follows from its answer: at most four requests."""
        finding = yield from self._read_store()
        if finding is _Finding.SILENT:
            yield from self._bear_silence()
        elif finding is not _Finding.KNOWN:
            yield from self._follow_up(finding)

    def _bear_silence(self) -> Flow[None]:
        """Count a poll without a usable answer; if it is not the first ones, ask the API."""
        self._silences += 1
        if self._silences >= (OUT_OF_ORDER_AFTER if isinstance(self._reply, Response) else UNREACHABLE_AFTER):
            self.falls_back = True
        if self.falls_back:
            yield from self._ask_api()

    def _follow_up(self, finding: _Finding) -> Flow[None]:
        """Do what may cure a trouble: a fresh link, and the API where that does not help.

        Raises:
            ApiError: it has lasted too long.
        """
        self._silences = 0
        self._troubles += 1
        if self._troubles >= GIVE_UP:
            raise self._given_up()
        again = self._troubles > 1
        if not self.falls_back and (self._troubles not in FOLLOWED_UP or (finding is _Finding.MISREAD and not again)):
            return
        # What asking the API did not cure, a fresh link may: the signer's credentials may be gone.
        if (finding is _Finding.EXPIRED or (again and not self.falls_back)) and (yield from self._renew_link()):
            finding = yield from self._read_store()
        if finding in (_Finding.KNOWN, _Finding.SILENT):
            return
        if (yield from self._ask_api()) and self._troubles >= IN_TROUBLE_AFTER:
            self.falls_back, self._troubles = True, IN_TROUBLE_AFTER

    def _given_up(self) -> ApiError:
        status = self._reply.status if isinstance(self._reply, Response) else 0
        return ApiError(
            f"operation {self.ticket.operation_id} may go on, but its status cannot be read, {GIVE_UP} times in a row: {self.trouble}",
            status=status,
        )

    def _read_store(self) -> Generator[Event, Reply, _Finding]:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        self._asked = 0
        timeout = PROBE_TIMEOUT if self.falls_back else inf
        self._reply = yield Fetch(to="store", url=self.link.href, headers=headers, max_bytes=MAX_STORE_BYTES, timeout=timeout)
        finding = self._judge(self._reply)
        if finding is _Finding.KNOWN:
            self._troubles = self._silences = 0
            self.trouble, self.falls_back = "", False
        return finding

    def _judge(self, reply: Reply) -> _Finding:
        """Say what the store's answer means, and take over the document that it brings."""
        if not isinstance(reply, Response):
            self.trouble = "the store gave no answer: " + (reply.reason if reply else "")
            return _Finding.SILENT
        self.trouble = f"the store answered {reply.status} {_error_code(reply.body)}".rstrip()
        if is_outage(reply.status):
            self._asked = reply.retry_after or 0
            return _Finding.SILENT
        if reply.status == 304 and self._etag is not None:
            return _Finding.KNOWN
        if reply.status == 200 and self._take(reply):
            self._etag = reply.headers.get("etag")
            return _Finding.KNOWN
        if reply.status in (400, 403) and self._is_expired(reply):
            return _Finding.EXPIRED
        return _Finding.REFUSED if reply.status in (403, 404) else _Finding.MISREAD

    def _is_expired(self, answer: Response) -> bool:
        """Tell an ended link: stores say so in words of their own, and their clock says it too."""
        return b"expired" in answer.body.lower() or (answer.date is not None and answer.date >= self.link.expires_at)

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
            self.trouble += "; the fresh link leads to another store than the ticket's, and is not followed"
            return False
        self.link = link
        return True

    def _ask_api(self) -> Generator[Event, Reply, bool]:
        """Ask for the operation itself, and take over what the API says; False where it says nothing.

        Raises:
            ApiError: it knows no such operation, or refuses to say.
        """
        reply = yield Fetch(to="api", url=operation_url(self.document, "self", base_url=self.base_url))
        if not isinstance(reply, Response) or is_outage(reply.status):
            self.trouble += f"; the API {f'answered {reply.status}' if isinstance(reply, Response) else 'gave no answer'}"
            self._asked = max(self._asked, (isinstance(reply, Response) and reply.retry_after) or 0)
            return False
        self._reply = reply
        if reply.status == 202:
            return self._take(reply)
        ended = read_operation(reply, document=self.document)
        if ended is not None:
            self.document = ended
        elif reply.status in (401, 403) or (reply.status in (404, 410) and reply.problem):
            raise reply.refusal()
        else:
            self.trouble += f"; the API answered {reply.status}"
        return ended is not None

    def _take(self, answer: Response) -> bool:
        """Take over the document in an answer; False where there is none, or another operation's."""
        try:
            document = Document.from_bytes(answer.body)
        except (MalformedDocument, ArithmeticError) as error:
            self.trouble = f"the answer is not a status document: {error}"
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

    # --- when ------------------------------------------------------------------------------------

    def _first_pause(self, elapsed: float) -> float:
        """Seconds until the first poll: what the ticket's answer asked for, less what has passed since."""
        date = self.ticket.answered_at
        planned = min(MAX_PAUSE, float(self.ticket.retry_after)) if date is None or self._hint is None else self._spread(date)
        return max(0.0, planned - elapsed)

    def _next_pause(self) -> float:
        """Seconds until the next poll; longer where an outage's answer asks for it, and while the API is asked."""
        slower = self._slower() if self.falls_back else 0.0
        planned = self._spread(self._reply.date if isinstance(self._reply, Response) else None)
        return max(planned, slower, min(MAX_PAUSE, float(self._asked)))

    def _slower(self) -> float:
        interval = max(API_INTERVAL, API_SLOWDOWN * (DEFAULT_INTERVAL if self._hint is None else self._hint.interval))
        updated_at = self.document.updated_at
        return pause(PollHint(not_before=updated_at, interval=interval), date=None, updated_at=updated_at, random=self.random)

    def _spread(self, date: datetime | None) -> float:
        return pause(self._hint, date=date, updated_at=self.document.updated_at, random=self.random)


def _error_code(body: bytes) -> str:
    """Return the `<Code>` of an S3 error, cut; empty where there is none."""
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0][:64].decode("ascii", "replace")
    return code if code.isprintable() else ""


def _origin(href: str) -> tuple[str, str]:
    """Return scheme and authority, which is what decides who reads a request.

    Raises:
        ValueError: this is no URL.
    """
    parts = urlsplit(href)
    return parts.scheme, parts.netloc.lower()
