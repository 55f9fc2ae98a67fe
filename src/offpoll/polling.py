"""Polling: when to ask, whom, and what an answer means. Pure: no I/O, no clock, no randomness of its own.

`Polling.run` is a generator of `exchange.Event` that returns the terminal document. The sync, the async and the JavaScript client all
drive this one decision.

    store answers                     what it means                          what follows
    200 document, 304                 known                                  wait
    none, 5xx, 408, 429               silent: an outage                      wait: the same schedule goes on
    400, 403 "expired"                the link has ended                     fresh link, read again, else ask the API
    other 403, 404                    refused                                ask the API, from the second on with a fresh link first
    anything else                     misread: a proxy's page, another's     wait; from the second on as refused
                                      document, a redirect

A trouble (the last three) is followed up the 1st, 2nd, 4th and 8th time in a row, and the 16th raises: no link, store or API, however
broken, is asked without a wait between or for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Literal

from offpoll.document import Document, PollHint
from offpoll.errors import ApiError, MalformedDocument
from offpoll.exchange import MAX_STORE_BYTES, Answer, Event, Fetch, Flow, NoAnswer, Reply, Shown, Wait
from offpoll.link import StatusLink
from offpoll.operation import Status, is_kind, is_operation_id
from offpoll.poll_plan import MAX_PAUSE, PollPlan, pause, plan
from offpoll.ticket import Ticket

__all__ = ["PollPlan", "Polling", "is_outage", "operation_url", "plan", "read_operation"]

#: Troubles in a row that are followed up, and the one at which polling gives up.
FOLLOWED_UP = frozenset({1, 2, 4, 8})
GIVE_UP = 16


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
    """

    ticket: Ticket
    base_url: str
    random: Callable[[], float]

    def __post_init__(self) -> None:
        self.document: Document = self.ticket.document
        self.link: StatusLink = self.ticket.link
        self.trouble = ""
        self._hint: PollHint | None = self.document.poll
        self._etag: str | None = None
        self._troubles = 0
        self._reply: Answer | NoAnswer | None = None

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
        if finding in (_Finding.KNOWN, _Finding.SILENT):
            return
        self._troubles += 1
        if self._troubles >= GIVE_UP:
            status = self._reply.status if isinstance(self._reply, Answer) else 0
            raise ApiError(
                f"operation {self.ticket.operation_id} may go on, but its status cannot be read, {GIVE_UP} times in a row: {self.trouble}",
                status=status,
            )
        again = self._troubles > 1
        if self._troubles not in FOLLOWED_UP or (finding is _Finding.MISREAD and not again):
            return
        # What asking the API did not cure, a fresh link may: the signer's credentials may be gone.
        if (finding is _Finding.EXPIRED or again) and (yield from self._renew_link()):
            finding = yield from self._read_store()
        if finding not in (_Finding.KNOWN, _Finding.SILENT):
            yield from self._ask_api()

    def _read_store(self) -> Generator[Event, Reply, _Finding]:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        self._reply = yield Fetch(to="store", url=self.link.href, headers=headers, max_bytes=MAX_STORE_BYTES)
        finding = self._judge(self._reply)
        if finding is _Finding.KNOWN:
            self._troubles, self.trouble = 0, ""
        return finding

    def _judge(self, reply: Reply) -> _Finding:
        """Say what the store's answer means, and take over the document that it brings."""
        if not isinstance(reply, Answer):
            self.trouble = "the store gave no answer: " + (reply.reason if reply else "")
            return _Finding.SILENT
        self.trouble = f"the store answered {reply.status} {_error_code(reply.body)}".rstrip()
        if is_outage(reply.status):
            return _Finding.SILENT
        if reply.status == 304 and self._etag is not None:
            return _Finding.KNOWN
        if reply.status == 200 and self._take(reply):
            self._etag = reply.headers.get("etag")
            return _Finding.KNOWN
        if reply.status in (400, 403) and self._is_expired(reply):
            return _Finding.EXPIRED
        return _Finding.REFUSED if reply.status in (403, 404) else _Finding.MISREAD

    def _is_expired(self, answer: Answer) -> bool:
        """Tell an ended link: stores say so in words of their own, and their clock says it too."""
        return b"expired" in answer.body.lower() or (answer.date is not None and answer.date >= self.link.expires_at)

    def _renew_link(self) -> Generator[Event, Reply, bool]:
        reply = yield Fetch(to="api", method="POST", url=operation_url(self.document, "status_link", base_url=self.base_url), body=b"")
        if not isinstance(reply, Answer) or reply.status != 200:
            return False
        try:
            self.link = StatusLink.from_dict(reply.json())
        except (ValueError, ArithmeticError):
            return False
        return True

    def _ask_api(self) -> Flow[None]:
        reply = yield Fetch(to="api", url=operation_url(self.document, "self", base_url=self.base_url))
        if not isinstance(reply, Answer) or is_outage(reply.status):
            return
        self._reply = reply
        if reply.status == 202:
            self._take(reply)
            return
        ended = read_operation(reply, document=self.document)
        if ended is not None:
            self.document = ended
        elif reply.status in (401, 403) or (reply.status in (404, 410) and reply.problem):
            raise reply.refusal()
        else:
            self.trouble += f"; the API answered {reply.status}"

    def _take(self, answer: Answer) -> bool:
        """Take over the document in an answer; False where there is none, or another operation's."""
        try:
            document = Document.from_bytes(answer.body)
        except (MalformedDocument, ArithmeticError) as error:
            self.trouble = f"the answer is not a status document: {error}"
            return False
        if document.id != self.ticket.operation_id:
            self.trouble = "the status document is another operation's"
            return False
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
        """Seconds until the next poll; longer where an outage's answer asks for it."""
        if not isinstance(self._reply, Answer):
            return self._spread(None)
        asked = (self._reply.retry_after or 0) if is_outage(self._reply.status) else 0
        return max(self._spread(self._reply.date), min(MAX_PAUSE, float(asked)))

    def _spread(self, date: datetime | None) -> float:
        return pause(self._hint, date=date, updated_at=self.document.updated_at, random=self.random)


def operation_url(document: Document, name: Literal["self", "status_link", "cancel"], *, base_url: str) -> str:
    """Return a link of an operation, made from the API's address where the document has none.

    Raises:
        ApiError: there is none, and the kind or the id is not one that a path may be made of.
    """
    if href := document.links.get(name):
        return href
    if not is_kind(document.kind) or not is_operation_id(document.id):
        raise ApiError(f"the status document has no {name!r} link, and none can be made for kind {document.kind!r}", status=0)
    own = f"{base_url}/{document.kind}/{document.id}"
    return {"self": own, "status_link": own + "/status-link", "cancel": own + "/cancel"}[name]


def read_operation(answer: Answer, *, document: Document) -> Document | None:
    """Read how an operation ended from the answer to `GET {links.self}`; None where it does not say that it has.

    200 with JSON means succeeded. 404 with a problem document whose `operation_status` is `failed` or `canceled` means that, and its
    `error` is the operation's. The document returned is the one given, ended so.
    """
    status: str | None = None
    if answer.status == 200 and "json" in answer.headers.get("content-type", ""):
        try:
            answer.json()
            status = Status.SUCCEEDED
        except ValueError:
            return None
    problem = answer.problem if answer.status == 404 else {}
    if problem.get("operation_status") in (Status.FAILED, Status.CANCELED):
        status = str(problem["operation_status"])
    if status is None:
        return None
    error = problem.get("error")
    return replace(document, status=status, progress=None, estimate=None, poll=None, error=error if isinstance(error, dict) else None)


def is_outage(status: int) -> bool:
    """Tell an answer that says nothing about what was asked: overloaded or broken, for now."""
    return status >= 500 or status in (408, 429)


def _error_code(body: bytes) -> str:
    """Return the `<Code>` of an S3 error, cut; empty where there is none."""
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0][:64].decode("ascii", "replace")
    return code if code.isprintable() else ""
