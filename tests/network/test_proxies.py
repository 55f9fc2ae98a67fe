"""Which proxy serves which address."""

from __future__ import annotations

import pytest

from offpoll.errors import ConfigurationError
from offpoll.network.address import address
from offpoll.network.proxies import Proxies

PROXY = "http://proxy.test:3128"


def chosen(url: str, **environ: str) -> str | None:
    found = Proxies(None, environ=environ).of(address(url))
    return None if found is None else f"{found.host}:{found.port}"


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": PROXY}, "proxy.test:3128", None),
        ({"https_proxy": PROXY}, None, "proxy.test:3128"),
        ({"ALL_PROXY": PROXY}, "proxy.test:3128", "proxy.test:3128"),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": "http://other.test"}, "proxy.test:3128", "other.test:80"),
        ({"HTTP_PROXY": PROXY, "http_proxy": "http://lower.test:1"}, "lower.test:1", None),
        ({"HTTPS_PROXY": "proxy.test:3128"}, None, "proxy.test:3128"),
        ({"HTTPS_PROXY": ""}, None, None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),  # a CGI program
    ],
)
def test_of_the_environment(environ: dict[str, str], http: str | None, https: str | None) -> None:
    """Each scheme has its variable, ALL_PROXY stands in for both, and lowercase counts first."""
    assert (chosen("http://a.test/", **environ), chosen("https://a.test/", **environ)) == (http, https)


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("*", ["http://a.test", "http://10.0.0.1"], []),
        ("a.test", ["http://a.test", "http://x.a.test", "http://A.TEST:8080"], ["http://ba.test", "http://a.test.b"]),
        (".a.test", ["http://x.a.test", "http://a.test"], ["http://xa.test"]),
        ("a.test:8080", ["http://a.test:8080"], ["http://a.test", "http://a.test:81"]),
        ("10.0.0.0/8, 192.168.1.1", ["http://10.1.2.3", "http://192.168.1.1"], ["http://11.0.0.1", "http://192.168.1.10"]),
        ("[::1]:80 fd00::/8", ["http://[::1]", "http://[fd00::1]:9"], ["http://[::1]:81", "http://[fe00::1]"]),
        ("b.test c.test", ["http://b.test", "http://c.test"], ["http://a.test"]),
        ("", [], ["http://a.test"]),
    ],
)
def test_no_proxy(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    """NO_PROXY lists hosts, domains and networks, each with or without a port."""
    assert [chosen(url, HTTP_PROXY=PROXY, NO_PROXY=no_proxy) for url in direct] == [None] * len(direct)
    assert [chosen(url, HTTP_PROXY=PROXY, NO_PROXY=no_proxy) for url in proxied] == ["proxy.test:3128"] * len(proxied)


@pytest.mark.parametrize("value", ["socks5://u:pa55word@proxy.test", "http://", "ftp://proxy.test"])
def test_an_unusable_variable(value: str) -> None:
    """A variable that cannot be used is an error that names it where it would be used, and does not repeat a password."""
    proxies = Proxies(None, environ={"ALL_PROXY": value, "NO_PROXY": "a.test"})
    assert proxies.of(address("http://a.test")) is None
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        proxies.of(address("http://b.test"))
    assert "pa55word" not in str(caught.value)


def test_credentials() -> None:
    """User and password may be percent-encoded; an argument beats the environment."""
    found = Proxies("http://us%40er:p%C3%A4ss@proxy.test", environ={"NO_PROXY": "*", "ALL_PROXY": "http://other.test"}).of(
        address("http://a.test")
    )
    assert found is not None
    assert (found.host, found.authorization) == ("proxy.test", "Basic dXNAZXI6cMOkc3M=")
