"""Credentials go to the API they were given for, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from tests.support.client_world import ID, ORDER, SELF

from offpoll.errors import ApiError, ConfigurationError


class TestCredentials:
    @pytest.mark.parametrize(
        ("auth", "header"),
        [
            ({"Authorization": "Bearer t"}, "Bearer t"),
            (lambda: {"Authorization": "Bearer fresh"}, "Bearer fresh"),
            (("user", "pässword"), "Basic " + base64.b64encode("user:pässword".encode()).decode()),
        ],
    )
    def test_forms(self, make, world, auth, header):
        """Credentials may be headers, a user and a password, or a callable."""
        world.on(SELF, world.json(ORDER))
        make(auth=auth).result(world.ticket())
        assert world.seen[0].headers["Authorization"] == header

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.test",
            "https://api.test:444",
            "https://api.test.evil.test",
            "https://api.test@evil.test",
            "https://evil.test\\@api.test",
            "https://evil.test#@api.test",
            "ftp://api.test",
            "//api.test",
        ],
    )
    def test_other_origins(self, make, world, elsewhere):
        """A client with credentials does not follow a link to another origin; the error says whom they are for."""
        ticket = world.ticket(document=world.document(links={"self": f"{elsewhere}/order/{ID}"}))
        with pytest.raises(ApiError, match=r"credentials are for https://api\.test"):
            make(auth=("user", "password")).result(ticket)
        assert world.seen == []

    def test_without_credentials_a_link_is_followed(self, make, world):
        """A client without credentials has nothing to lose, and follows a link to another host."""
        world.on(SELF, world.json(ORDER))
        assert make().result(world.ticket(document=world.document(links={"self": f"https://other.test/order/{ID}"}))) == ORDER

    @pytest.mark.parametrize("address", ["http://api.test", "http://api.test:80"])
    def test_tls_proxy(self, make, world, address):
        """An API behind a TLS proxy may write `http` into its links; a client that reaches it by `https` uses `https`, and its port."""
        world.on(SELF, world.json(ORDER))
        links = {"self": f"{address}/order/{ID}"}
        assert make(auth=("user", "password")).result(world.ticket(document=world.document(links=links))) == ORDER
        assert world.seen[0].url == f"https://api.test/order/{ID}"

    @pytest.mark.parametrize(
        "path",
        [
            "/store/bucket/key",
            "/apis/order/1",
            "/api/../store/key",
            "/api/%2e%2E/store",
            "/api/x/..%2fstore",
            "/api/x/..%5cstore",
            "/api",
            "/",
            "?x",
            "/api/..;/x",
        ],
    )
    def test_a_store_on_the_same_host(self, make, world, path):
        """If API and store share a host, credentials stay below the API's path."""
        world.api = "https://host.test/api"
        ticket = world.ticket(document=world.document(links={"self": f"https://host.test{path}"}))
        with pytest.raises(ApiError, match=r"credentials are for https://host\.test/api"):
            make(auth=("user", "password")).result(ticket)
        assert world.seen == []

    def test_below_the_path_of_the_api(self, make, world):
        """Addresses below the API's path get the credentials, even with dots at the end."""
        world.api = "https://host.test/api"
        world.on(f"GET /api/order/{ID}..", world.json(ORDER))
        ticket = world.ticket(document=world.document(links={"self": f"https://host.test/api/order/{ID}.."}))
        assert make(auth=("user", "password")).result(ticket) == ORDER
        assert "Authorization" in world.seen[0].headers

    def test_never_downgraded(self, make, world):
        """If the API's address is `http`, its links are followed by `http`."""
        world.api = "http://api.test:8000"
        world.on(SELF, world.json(ORDER))
        make(auth=("user", "password")).result(world.ticket())
        assert world.seen[0].url == f"http://api.test:8000/order/{ID}"

    @pytest.mark.parametrize(
        "address", ["", "api.test", "https://user@api.test", "https://api.test?x", "https://api.test/#x", "ftp://api.test"]
    )
    def test_address(self, make, world, address):
        """A client refuses an address that cannot be an API's."""
        world.api = address
        with pytest.raises(ConfigurationError, match="address"):
            make()
