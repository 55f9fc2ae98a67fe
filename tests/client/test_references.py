"""Whatever a caller has of an operation is enough: each method that is about one operation takes each form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.client_world import ID, ORDER, SELF, STORE

from offpoll.client.references import referred
from offpoll.errors import ConfigurationError
from offpoll.ticket import Ticket

LINK = "https://store.test/status/1?signature=old"


def forms(world: Any) -> dict[str, Any]:
    """Return every form of a reference to the world's operation."""
    ticket = world.ticket()
    body, own = ticket.to_bytes().decode(), f"{world.api}/order/{ID}"
    head = f"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nLocation: /order/{ID}\r\n\r\n"
    return {
        "a ticket": ticket,
        "a saved ticket": ticket.to_json(),
        "a saved ticket, read as JSON": json.loads(ticket.to_json()),
        "the 202 answer's body": body,
        "the same as bytes": body.encode(),
        "the same with a byte order mark": "\ufeff" + body,
        "the same, read as JSON": ticket.body,
        "curl -i": head + body,
        "curl -i after 100 Continue": "HTTP/1.1 100 Continue\r\n\r\n" + head + body,
        "curl -D - -o /dev/null": head,
        "the answer's headers": {"Content-Type": "application/json", "Location": f"/order/{ID}"},
        "links.self": own,
        "links.self by jq without -r": f'"{own}"\n',
        "links.status_link": own + "/status-link",
        "Location": f"/order/{ID}",
        "a status document": ticket.document.to_bytes(),
        "a status link": LINK,
        "the answer of status-link": json.dumps(ticket.link.to_dict()),
    }


@pytest.fixture(params=range(18))
def form(request: pytest.FixtureRequest, world: Any) -> Any:
    found = list(forms(world).values())
    assert len(found) == 18
    return found[request.param]


@pytest.fixture(autouse=True)
def answers(world: Any) -> None:
    fresh = {"href": LINK, "expires_at": "2030-01-01T02:00:00Z"}
    world.on(f"POST /order/{ID}/status-link", world.json(fresh))
    world.on(STORE, world.shows(world.document("running")), world.shows(world.document("succeeded")))
    world.on(SELF, world.json(ORDER))
    world.on(f"POST /order/{ID}/cancel", world.shows(world.document("canceled"), 202))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda client, form: client.wait(form), ORDER),
        (lambda client, form: client.polled(form)[-1].status, "succeeded"),
        (lambda client, form: client.result(form), ORDER),
        (lambda client, form: client.cancel(form).status, "canceled"),
        (lambda client, form: client.resume(form).operation_id, ID),
    ],
    ids=["wait", "poll", "result", "cancel", "resume"],
)
def test_every_form(make: Any, form: Any, call: Callable[..., Any], expected: Any) -> None:
    """Each method takes each form."""
    assert call(make(auth="t"), form) == expected


def test_credentials_stay_with_the_api(make: Any, world: Any, form: Any) -> None:
    """Whatever the form, only the API gets credentials."""
    make(auth="t").wait(form)
    assert {fetch.to: "Authorization" in fetch.headers for fetch in world.seen} == {"store": False, "api": True}


def test_after_resume_the_plan_goes_on(make: Any, world: Any) -> None:
    """`resume` has just looked, so a wait goes on by the plan and does not look again at once."""
    client = make()
    ticket = client.resume(f"/order/{ID}")
    before = len(world.seen)
    client.wait(ticket)
    assert world.now >= 1.0
    assert [fetch.to for fetch in world.seen[before:]] == ["store", "api"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        ([], "not list"),
        ("", "empty"),
        ("   ", "empty"),
        ("a ticket", "neither JSON nor an address"),
        ("<html>", "neither JSON nor an address"),
        ("{", "property name"),
        ("{}", "neither `status_link`"),
        ({}, "neither `status_link`"),
        (b"\xff", "neither JSON nor an address"),
        ('{"spec":"offpoll-ticket/9"}', "another version"),
        ('{"spec":"offpoll/1","status_link":{"href":"https://store.test/?S3CRET"}}', "cannot be read"),
        ('{"spec":"offpoll/1"}', "missing or wrong field"),
        ('{"href":"https://store.test/?S3CRET","expires_at":"S3CRET"}', "this is not a ticket"),
    ],
)
def test_anything_else(make: Any, world: Any, reference: Any, words: str) -> None:
    """Anything else is a sentence that says what is expected, at once, and without the link that may be in it."""
    for call in ("wait", "resume", "result", "cancel"):
        with pytest.raises(ConfigurationError, match="202 answer") as caught:
            getattr(make(), call)(reference)
        assert words in str(caught.value)
        assert "signature" not in str(caught.value)
    assert world.seen == []


def test_a_ticket_file_by_curl(world: Any) -> None:
    """A file with the API's 202 answer is a saved ticket, too."""
    saved = Ticket.from_json(world.ticket().to_bytes())
    assert (saved.document, saved.link, saved.retry_after, saved.answered_at) == (world.document(), world.ticket().link, 0, None)
    assert referred(saved.to_json()) == saved
