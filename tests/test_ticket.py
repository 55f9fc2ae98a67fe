"""The ticket: writing and reading a 202 response, and saving tickets."""

from __future__ import annotations

import json
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from offpoll.document import Document, PollHint
from offpoll.errors import ApiError
from offpoll.link import StatusLink
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
HREF = "https://store.test/status/public/" + ID + "?X-Amz-Signature=secret"


def make_ticket(**fields: object) -> Ticket:
    document = Document(
        id=ID,
        kind="order",
        status="queued",
        created_at=NOW,
        updated_at=NOW,
        poll=PollHint(not_before=NOW + timedelta(seconds=10), interval=2.0),
        links={"self": f"https://api.test/order/{ID}"},
    )
    ticket = Ticket(
        document=document,
        link=StatusLink(href=HREF, expires_at=NOW + timedelta(hours=1)),
        location=f"/order/{ID}",
        retry_after=10,
    )
    return replace(ticket, **fields)


def answer_of(ticket: Ticket, **headers: str) -> dict:
    return {
        "status": 202,
        "headers": {**ticket.headers, "Date": "Tue, 01 Jan 2030 00:00:00 GMT", **headers},
        "body": json.dumps(ticket.body).encode(),
    }


class TestResponse:
    """Tickets as 202 responses."""

    def test_body_is_the_document_and_the_link(self):
        """The body of a 202 is the document itself with `status_link` beside its fields."""
        ticket = make_ticket()
        assert ticket.body == {**ticket.document.to_dict(), "status_link": {"href": HREF, "expires_at": "2030-01-01T01:00:00.000Z"}}

    def test_headers(self):
        """A 202 has Location, an integer Retry-After and no-store; Operation-Location is optional."""
        assert make_ticket().headers == {"location": f"/order/{ID}", "retry-after": "10", "cache-control": "no-store"}
        assert make_ticket(operation_location=True).headers["operation-location"] == HREF

    def test_round_trip(self):
        """A client reads the same ticket that a server wrote, with the time of the response."""
        ticket = make_ticket(operation_location=True)
        read = Ticket.from_answer(**answer_of(ticket))
        assert read == replace(ticket, answered_at=NOW)
        assert read.document.unknown == {}

    def test_header_names_in_any_case(self):
        """Header names are read in any case."""
        answer = answer_of(make_ticket())
        answer["headers"] = {name.upper(): value for name, value in answer["headers"].items()}
        assert Ticket.from_answer(**answer).answered_at == NOW

    def test_retry_after_may_be_a_date(self):
        """A Retry-After that is a date is measured from the response's own Date."""
        answer = answer_of(make_ticket(), **{"Retry-After": "Tue, 01 Jan 2030 00:00:07 GMT"})
        assert Ticket.from_answer(**answer).retry_after == 7

    def test_refusal_has_the_problems_words(self):
        """A 4xx with a problem document raises an error with its title and detail."""
        body = json.dumps({"title": "The input is not valid", "detail": "quantity: missing", "code": "invalid_input"}).encode()
        with pytest.raises(ApiError, match="The input is not valid: quantity: missing") as caught:
            Ticket.from_answer(status=422, headers={}, body=body)
        assert (caught.value.status, caught.value.problem["code"]) == (422, "invalid_input")

    @pytest.mark.parametrize("status", [200, 201, 302, 404, 500])
    def test_only_a_202_is_a_ticket(self, status):
        """Any status but 202 raises an error, whatever the body."""
        with pytest.raises(ApiError) as caught:
            Ticket.from_answer(status=status, headers={}, body=json.dumps(make_ticket().body).encode())
        assert caught.value.status == status

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b"null",
            b"{}",
            b"[" * 100_000,
            json.dumps(make_ticket().document.to_dict()).encode(),
            json.dumps({**make_ticket().body, "spec": "offpoll/9"}).encode(),
            json.dumps({**make_ticket().body, "id": "../../x"}).encode(),
            json.dumps({**make_ticket().body, "revision": float("inf")}).encode(),
            json.dumps({**make_ticket().body, "status_link": {"href": 1}}).encode(),
        ],
    )
    def test_a_202_from_elsewhere(self, body):
        """A 202 that is not offpoll's raises an error that says so."""
        with pytest.raises(ApiError, match="not offpoll's"):
            Ticket.from_answer(status=202, headers={}, body=body)


class TestSaving:
    """Tickets as files."""

    def test_saved_and_read(self):
        """A saved ticket has document, link and location. The time of the response is dropped, so that a wait polls at once."""
        ticket = make_ticket(answered_at=NOW, received=5.0)
        assert Ticket.from_json(ticket.to_json()) == replace(ticket, answered_at=None, retry_after=0)
        assert Ticket.from_json(ticket.to_json()).received is None

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"spec": "offpoll-ticket/2"}, "saved as offpoll-ticket/2, by another version"),
            ({"spec": "other/1"}, "not a saved ticket"),
            ({"spec": 1}, "not a saved ticket"),
            ({"document": {"spec": "offpoll/2"}}, "cannot be read: this reads offpoll/1"),
            ({"document": {**make_ticket().document.to_dict(), "id": "../x"}}, "32 lowercase hex"),
            ({"document": {**make_ticket().document.to_dict(), "revision": float("inf")}}, "cannot be read"),
            ({"status_link": {"href": HREF}}, "cannot be read"),
            ({"status_link": {"href": HREF, "expires_at": "tomorrow"}}, "cannot be read"),
        ],
    )
    def test_a_damaged_ticket(self, change, words):
        """The error says what is wrong with a ticket, and does not show its link."""
        text = json.dumps({**json.loads(make_ticket().to_json()), **change})
        with pytest.raises(ValueError, match=words) as caught:
            Ticket.from_json(text)
        assert "secret" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("text", [make_ticket().to_json()[:-1], "[" * 100_000, b"\xff", make_ticket().to_json() + "x"])
    def test_not_json(self, text):
        """A truncated or endlessly nested ticket is refused as not JSON; no part of the error shows its text."""
        with pytest.raises(ValueError, match="a saved ticket is JSON") as caught:
            Ticket.from_json(text)
        assert caught.value.__cause__ is None

    def test_small(self):
        """A saved ticket is little larger than its document and its link."""
        ticket = make_ticket()
        assert len(ticket.to_json()) < len(ticket.document.to_bytes()) + len(HREF) + 200

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"spec":"offpoll-ticket/2"}', '{"spec":"offpoll-ticket/1"}', "null"])
    def test_other_texts_are_refused(self, text):
        """Anything that is not a saved ticket, or is a newer one, raises ValueError."""
        with pytest.raises(ValueError, match=r"."):
            Ticket.from_json(text)


def test_repr_hides_the_signature():
    """`repr` never shows the link's query."""
    assert "secret" not in repr(make_ticket(operation_location=True, answered_at=NOW))
