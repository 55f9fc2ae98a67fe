"""Polls one operation with scripted answers, and the answers that stores and APIs give."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from offpoll.client.flows import Finished, advance
from offpoll.client.polling import Polling
from offpoll.document import Document, PollHint
from offpoll.exchange import Fetch, NoAnswer, Response, Shown, Wait
from offpoll.link import StatusLink
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
API = "https://api.test"
SELF = f"{API}/order/{ID}"
LINK = "https://store.test/1?signature=old"
FRESH = "https://store.test/1?signature=new"

EXPIRED = Response(status=403, headers={}, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
EXPIRED_TOKEN = Response(
    status=400, headers={}, body=b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
DENIED = Response(status=403, headers={}, body=b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
MISSING = Response(status=404, headers={}, body=b"<Error><Code>NoSuchKey</Code></Error>")
SLOW_DOWN = Response(status=503, headers={}, body=b"<Error><Code>SlowDown</Code></Error>")
TIMEOUT = NoAnswer(reason="timed out")
HTML = Response(status=200, headers={"content-type": "text/html"}, body=b"<html>Log in to the hotel's network</html>")
REDIRECT = Response(status=302, headers={"location": "https://elsewhere.test/"})
NOT_MODIFIED = Response(status=304, headers={})


def http_date(instant: datetime) -> str:
    return instant.strftime("%a, %d %b %Y %H:%M:%S GMT")


def document(**fields: object) -> Document:
    made = Document(
        id=ID,
        kind="order",
        status="queued",
        created_at=NOW,
        updated_at=NOW,
        poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=2.0),
        links={"self": SELF, "status_link": SELF + "/status-link", "cancel": SELF + "/cancel"},
    )
    return replace(made, **fields)


def done(status: str = "succeeded", **fields: object) -> Document:
    return document(status=status, revision=9, attempt=1, poll=None, **fields)


def shows(shown: Document, *, date: datetime | None = None, status: int = 200, etag: str = '"e"') -> Response:
    headers = {"etag": etag, "content-type": "application/json", **({} if date is None else {"date": http_date(date)})}
    return Response(status=status, headers=headers, body=shown.to_bytes())


def fresh_link() -> Response:
    return Response(status=200, headers={}, body=json.dumps({"href": FRESH, "expires_at": "2030-01-01T02:00:00.000Z"}).encode())


def problem(status: int, **members: object) -> Response:
    headers = {"content-type": "application/problem+json"}
    return Response(status=status, headers=headers, body=json.dumps({"title": "t", "status": status, **members}).encode())


def ticket(**fields: object) -> Ticket:
    link = StatusLink(href=LINK, expires_at=NOW + timedelta(hours=1))
    return replace(Ticket(document=document(), link=link, location=f"/order/{ID}", retry_after=10, answered_at=NOW), **fields)


class Run:
    """Drives one `Polling` with scripted answers, and keeps what it did."""

    def __init__(
        self, answers: Iterable[Response | NoAnswer], *, of: Ticket | None = None, random: float = 0.5, elapsed: float = 0.0
    ) -> None:
        self.waits: list[float] = []
        self.fetches: list[Fetch] = []
        self.shown: list[Document] = []
        self.steps: list[str] = []
        self.result: Document | None = None
        self.polling = Polling(ticket=of or ticket(), base_url=API, random=lambda: random)
        self._drive(iter(answers), elapsed)

    def _drive(self, answers, elapsed) -> None:
        flow, reply = self.polling.run(elapsed=elapsed), None
        while not isinstance(event := advance(flow, reply), Finished):
            reply = None
            match event:
                case Wait():
                    self.waits.append(event.seconds)
                    self.steps.append("wait")
                case Fetch():
                    reply = next(answers, None)
                    if reply is None:
                        return
                    self.fetches.append(event)
                    self.steps.append(f"{event.method} {event.to}" + (" link" if event.url.endswith("/status-link") else ""))
                case Shown():
                    self.shown.append(event.document)
        self.result = event.value
