"""`repr`, and with it logs and tracebacks, shows no secret, no credentials and no link's signature."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.lab import lab, single

from offpoll.app import Caller
from offpoll.client.request_guard import RequestGuard
from offpoll.exchange import Fetch, Response
from offpoll.http.endpoint import Request, read_all
from offpoll.link import StatusLink
from offpoll.settings import Settings

SECRET = "hunter2-" * 4
LINK = f"https://bucket.example.com/status/public/0?X-Amz-Signature={SECRET}"
HEADERS = {"authorization": f"Bearer {SECRET}", "operation-location": LINK}


@pytest.mark.parametrize(
    "value",
    [
        Settings(secret=SECRET),
        RequestGuard(base_url="https://api.example.com", auth={"Authorization": SECRET}, request_timeout=1),
        RequestGuard(base_url="https://api.example.com", auth=("user", SECRET), request_timeout=1),
        Caller(method="GET", path="/order", headers=HEADERS),
        Request(method="POST", path="/order", headers=HEADERS, scheme="https", read=read_all(SECRET.encode())),
        Response(status=202, headers=HEADERS, body=LINK.encode()),
        Fetch(to="store", url=LINK, headers=HEADERS, body=SECRET.encode()),
        StatusLink(href=LINK, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_hide_secrets(value: object) -> None:
    """The `repr` of a value that holds a secret does not show it."""
    assert SECRET not in repr(value)
    assert SECRET not in f"{value}"


def test_a_service_hides_its_secret() -> None:
    """Neither a service nor its parts show the secret, as text or as bytes."""

    async def handle(number: int) -> int:
        return number

    with lab(single(handle), workers=0, secret=SECRET) as one:
        service = one.system.service
        for part in (service, service.settings, service.dependencies, service._submitter, service._lookup):
            assert SECRET not in repr(part)
