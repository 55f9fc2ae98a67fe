"""Credentials in their forms, further headers, and what happens when the API refuses a token in the middle of a wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.client_world import BROKEN, ID, ORDER, SELF, STORE

from offpoll.client import AsyncClient, Client
from offpoll.errors import ApiError, ConfigurationError
from offpoll.exchange import Response

LINK = f"POST /order/{ID}/status-link"
CANCEL = f"POST /order/{ID}/cancel"
REFUSED = Response(status=401, headers={"content-type": "application/json"}, body=b'{"title":"Unauthorized"}')
CHALLENGED = Response(status=403, headers={"www-authenticate": 'Bearer error="invalid_token"'}, body=b"")
GATEWAYS = Response(status=403, headers={"x-amzn-errortype": "ForbiddenException"}, body=b'{"message":"Forbidden"}')
EXPIRED = Response(status=403, headers={}, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")


class Tokens:
    """Gives another token each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return f"t{self.asked}"


def fresh(world: Any) -> Response:
    return world.json({"href": "https://store.test/2?signature=new", "expires_at": "2030-01-01T02:00:00Z"})


class TestForms:
    @pytest.mark.parametrize(
        ("auth", "header"),
        [
            ("t0ken", "Bearer t0ken"),
            (" t0ken\n", "Bearer t0ken"),
            ("Basic dTpw", "Basic dTpw"),
            ("Token abc", "Token abc"),
            (("u", "p"), "Basic dTpw"),
            ({"Authorization": "Signature x"}, "Signature x"),
            (lambda: "t0ken", "Bearer t0ken"),
            (lambda: ("u", "p"), "Basic dTpw"),
        ],
    )
    def test_what_is_sent(self, make: Any, world: Any, auth: Any, header: str) -> None:
        """A text is a bearer token, unless it names its scheme itself. A callable returns any of the forms."""
        world.on(SELF, world.json(ORDER))
        make(auth=auth).result(world.ticket())
        assert world.seen[0].headers["Authorization"] == header

    @pytest.mark.parametrize(
        "auth", ["", " ", 7, ("u",), ("u", "p", "x"), ("u", 7), {"Authorization": 7}, {"A b": "x"}, {"A": "x\ny"}, ["t"], {"A": "ł"}]
    )
    @pytest.mark.parametrize("client", [Client, AsyncClient])
    def test_no_credentials(self, client: Any, auth: Any) -> None:
        """What cannot be sent is refused when the client is made: an empty variable, a wrong type, a line end."""
        with pytest.raises(ConfigurationError, match="auth"):
            client("https://api.test", auth=auth)

    @pytest.mark.parametrize("given", ["", None, 7, {"A": "x\ny"}])
    def test_no_credentials_of_a_callable(self, make: Any, world: Any, given: Any) -> None:
        """The same holds for what a callable returns; nothing is sent."""
        with pytest.raises(ConfigurationError, match="auth"):
            make(auth=lambda: given).result(world.ticket())
        assert world.seen == []


class TestHeaders:
    def test_only_for_the_api(self, make: Any, world: Any) -> None:
        """Further headers go to the API beside the credentials, and never to the store."""
        world.on(STORE, world.shows(world.document("succeeded")))
        world.on(SELF, world.json(ORDER))
        make(auth="t", headers={"X-Api-Key": "k", "accept": "text/plain"}).wait(world.ticket())
        store, api = (fetch.headers for fetch in world.seen)
        assert "X-Api-Key" not in store
        assert (api["X-Api-Key"], api["Authorization"], api["Accept"]) == ("k", "Bearer t", "application/json")
        assert "accept" not in api

    def test_auth_comes_first(self, make: Any, world: Any) -> None:
        """Of two values for one header, in any case, the one of `auth` is sent."""
        world.on(SELF, world.json(ORDER))
        make(auth="t", headers={"authorization": "other"}).result(world.ticket())
        assert {name.lower(): value for name, value in world.seen[0].headers.items()}["authorization"] == "Bearer t"
        assert len([name for name in world.seen[0].headers if name.lower() == "authorization"]) == 1

    def test_they_are_credentials(self, make: Any, world: Any) -> None:
        """Nobody knows which headers are secret: like credentials, they follow no link to another host."""
        with pytest.raises(ApiError, match="credentials are for"):
            make(headers={"X-Api-Key": "k"}).result(world.ticket(document=world.document(links={"self": f"https://evil.test/order/{ID}"})))
        assert world.seen == []

    @pytest.mark.parametrize(
        "headers", [{"Host": "x"}, {"content-LENGTH": "1"}, {"Idempotency-Key": "k"}, {"X": "a\r\nb"}, {"": "x"}, {"X": None}, "X: y"]
    )
    @pytest.mark.parametrize("client", [Client, AsyncClient])
    def test_refused(self, client: Any, headers: Any) -> None:
        """Headers that the client sets itself, or that no request may have, are refused when the client is made."""
        with pytest.raises(ConfigurationError, match="headers"):
            client("https://api.test", headers=headers)


#: Each path on which a client asks the API: what to call, and the request that is refused once.
PATHS: dict[str, tuple[str, Callable[[Any, Any], Any], Any]] = {
    "submit": ("POST /order", lambda client, world: client.submit("order", {}).operation_id, ID),
    "resume": (LINK, lambda client, world: client.resume(f"/order/{ID}").operation_id, ID),
    "resume, from the API": (SELF, lambda client, world: client.resume(f"/order/{ID}").operation_id, ID),
    "a fresh link": (LINK, lambda client, world: client.wait(world.ticket()), ORDER),
    "the result": (SELF, lambda client, world: client.wait(world.ticket()), ORDER),
    "the result alone": (SELF, lambda client, world: client.result(world.ticket()), ORDER),
    "many": (SELF, lambda client, world: [each.result() for each in client.wait_all([world.ticket()])], [ORDER]),
    "as they end": (SELF, lambda client, world: [each.result() for each in client.completed([world.ticket()])], [ORDER]),
    "poll": (LINK, lambda client, world: client.polled(world.ticket())[-1].status, "succeeded"),
    "cancel": (CANCEL, lambda client, world: client.cancel(world.ticket()).status, "canceled"),
    "the fallback": (SELF, lambda client, world: client.wait(world.ticket()), ORDER),
}


@pytest.fixture
def scripted(world: Any) -> Callable[[str, Response], None]:
    """Script all paths; the request of one of them is refused once."""

    def script(path: str, refusal: Response) -> None:
        running, ended = world.document("running"), world.document("succeeded")
        answers: dict[str, list[Any]] = {
            "POST /order": [world.accepted()],
            LINK: [fresh(world)],
            CANCEL: [world.shows(world.document("canceled"), 202)],
            SELF: [world.json(ORDER)],
            STORE: [EXPIRED] if path in ("a fresh link", "poll") else [world.shows(ended)],
            "GET /2": [BROKEN] if path == "resume, from the API" else [world.shows(ended if path != "resume" else running)],
        }
        if path == "the fallback":
            answers[STORE] = [BROKEN]
        request = PATHS[path][0]
        answers[request] = [refusal, *answers[request]]
        for each, script in answers.items():
            world.on(each, *script)

    return script


class TestRefused:
    """A token ends in the middle of a wait."""

    @pytest.mark.parametrize("refusal", [REFUSED, CHALLENGED, GATEWAYS], ids=["401", "403 with a challenge", "a gateway's 403"])
    @pytest.mark.parametrize("path", PATHS)
    def test_once(self, make: Any, world: Any, scripted: Any, path: str, refusal: Response) -> None:
        """`auth` is asked once more, and the same request goes on with the new token."""
        scripted(path, refusal)
        tokens = Tokens()
        request, call, expected = PATHS[path]
        assert call(make(auth=tokens), world) == expected
        sent = [fetch for fetch in world.seen if f"{fetch.method} /{fetch.url.split('?')[0].split('/', 3)[3]}" == request]
        first, second = sent[0], sent[1]
        assert (first.url, first.body, first.method) == (second.url, second.body, second.method)
        assert first.headers["Authorization"] != second.headers["Authorization"]
        assert first.headers.get("Idempotency-Key") == second.headers.get("Idempotency-Key")
        assert tokens.asked == len([fetch for fetch in world.seen if fetch.to == "api"])

    @pytest.mark.parametrize("path", PATHS)
    def test_for_good(self, make: Any, world: Any, scripted: Any, path: str) -> None:
        """If the new token is refused, too, the refusal is the error: there is no third try."""
        scripted(path, REFUSED)
        request, call, _ = PATHS[path]
        world.on(request, REFUSED)
        if request == LINK:
            world.on(SELF, REFUSED)
        with pytest.raises(ApiError, match="Unauthorized") as caught:
            call(make(auth=Tokens()), world)
        assert caught.value.status == 401
        times = [f"{fetch.method} {fetch.url}" for fetch in world.seen if fetch.to == "api"]
        assert max(map(times.count, times)) == 2

    @pytest.mark.parametrize("auth", ["t", ("u", "p"), {"Authorization": "t"}, lambda: "same", None])
    def test_no_other_credentials(self, make: Any, world: Any, auth: Any) -> None:
        """Credentials that cannot change are not sent twice."""
        world.on(SELF, REFUSED)
        with pytest.raises(ApiError):
            make(auth=auth).result(world.ticket())
        assert len(world.seen) == 1

    def test_another_403(self, make: Any, world: Any) -> None:
        """offpoll's own 403 is about what the caller may do, not about who it is."""
        world.on(SELF, Response(status=403, headers={}, body=b'{"title":"Not allowed","code":"forbidden"}'))
        tokens = Tokens()
        with pytest.raises(ApiError):
            make(auth=tokens).result(world.ticket())
        assert tokens.asked == 1

    def test_an_async_callable(self, world: Any) -> None:
        """An async callable is asked again in the same way."""
        from tests.support.client_world import AsyncFace

        tokens = Tokens()

        async def auth() -> str:
            return tokens()

        world.on(SELF, REFUSED, world.json(ORDER))
        assert AsyncFace(world, auth=auth).result(world.ticket()) == ORDER
        assert tokens.asked == 2
