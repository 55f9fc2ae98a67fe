"""Which proxy the environment names for a URL: the same as urllib's, and networks as in requests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from unittest import mock
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offpoll.proxies import names_a_proxy, proxy_for

PROXY = "http://proxy.example:3128"

HOSTS = [
    "minio",
    "minio.svc",
    "a.minio.svc",
    "127.0.0.1",
    "169.254.169.254",
    "10.1.2.3",
    "[::1]",
    "[fd00:ec2::254]",
    "s3.eu-west-1.amazonaws.com",
]
ENTRIES = [
    "minio",
    "MINIO:9000",
    "minio:80",
    ".svc",
    "svc",
    "..svc",
    "*",
    "*.svc",
    "169.254.169.254",
    "[::1]",
    "[::1]:9000",
    " minio ",
    "",
    "amazonaws.com",
]
URLS = st.builds("{}://{}:{}".format, st.sampled_from(["http", "https"]), st.sampled_from(HOSTS), st.sampled_from(["80", "443", "9000"]))
LISTS = st.lists(st.sampled_from(ENTRIES), max_size=4).map(",".join)
NAMES = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "Http_Proxy", "REQUEST_METHOD"]
ENVIRONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", PROXY, "minio:9000", "other:1"]), max_size=4)


@settings(max_examples=500)
@given(url=URLS, listed=LISTS)
@example(url="http://minio:9000", listed="minio:9000")
@example(url="http://minio:9000", listed="minio:9001")
def test_exemptions_equal_urllibs(url: str, listed: str) -> None:
    """A request goes directly exactly if urllib and botocore would send it so."""
    environ = {"http_proxy": PROXY, "https_proxy": PROXY, "no_proxy": listed}
    with mock.patch.dict(os.environ, environ, clear=True):
        exempt = bool(proxy_bypass(urlsplit(url).netloc))
    assert (proxy_for(url, environ) is None) == exempt


@settings(max_examples=300)
@given(environ=ENVIRONS, scheme=st.sampled_from(["http", "https"]))
def test_the_proxy_equals_urllibs(environ: Mapping[str, str], scheme: str) -> None:
    """Lower case beats upper case, even if it is empty; a CGI program does not trust HTTP_PROXY."""
    with mock.patch.dict(os.environ, environ, clear=True):
        proxies = getproxies_environment()
    want = None if proxies.get("no") == "*" else proxies.get(scheme)
    want = want if not want or "://" in want else f"http://{want}"
    assert proxy_for(f"{scheme}://host.example", environ) == want


@pytest.mark.parametrize(
    ("url", "listed", "direct"),
    [
        ("http://10.1.2.3:9000", "10.0.0.0/8", True),
        ("http://11.1.2.3:9000", "10.0.0.0/8", False),
        ("http://169.254.169.254", "169.254.0.0/16,x", True),
        ("http://[fd00:ec2::254]/", "fd00::/8", True),
        ("http://[::1]:9000", "::1", True),
        ("https://minio", "minio:443", True),
        ("https://minio", "minio:80", False),
        ("https://minio", "10.0.0.0/999,minio/8", False),
        ("https://notminio", "minio", False),
        ("https://minio", " * ", True),
    ],
)
def test_networks_and_default_ports(url: str, listed: str, direct: bool) -> None:
    """Beyond urllib: networks as in requests, a scheme's own port, and IPv6 without brackets."""
    assert (proxy_for(url, {"ALL_PROXY": PROXY, "NO_PROXY": listed}) is None) == direct


def test_all_proxy() -> None:
    """ALL_PROXY serves schemes without a proxy of their own; an address without a scheme is http."""
    assert proxy_for("https://a", {"ALL_PROXY": "proxy:3128", "HTTP_PROXY": PROXY}) == "http://proxy:3128"
    assert proxy_for("http://a", {"ALL_PROXY": "proxy:3128", "HTTP_PROXY": PROXY}) == PROXY
    assert proxy_for("https://a", {"HTTP_PROXY": PROXY}) is None


def test_names_a_proxy() -> None:
    """Any of the three variables names a proxy, in either case, unless it is empty."""
    assert names_a_proxy({"https_proxy": "http://p"})
    assert names_a_proxy({"ALL_PROXY": "http://p"})
    assert not names_a_proxy({"HTTP_PROXY": "", "NO_PROXY": "x"})
