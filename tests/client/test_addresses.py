"""Every spelling of an API is the same API, and every spelling of an operation's address is the same operation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.client_world import ID, ORDER, SELF

from offpoll.client import Client
from offpoll.client.addresses import canonical, operation_at
from offpoll.errors import ConfigurationError

#: Addresses of APIs, each in its one spelling.
APIS = (
    "https://api.test",
    "http://api.test:8000",
    "https://api.test/v1",
    "https://api.test/a%20b/v1",
    "http://[::1]:8000",
    "https://xn--bcher-kva.test/api",
)


def spellings(url: str) -> st.SearchStrategy[str]:
    """Return other spellings of an address, by RFC 3986's rules of equivalence."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    default = ":443" if scheme == "https" else ":80"
    host, colon, port = authority.rpartition(":") if authority[-1:].isdigit() and "]" not in authority[-1:] else (authority, "", "")
    if authority.endswith("]"):
        host, colon, port = authority, "", ""
    hosts = [host, host.upper(), host.title()]
    if host == "xn--bcher-kva.test":
        hosts.append("bücher.test")
    if host == "[::1]":
        hosts += ["[0:0:0:0:0:0:0:1]", "[0000::0001]"]
    elif not colon:
        hosts.append(host + ".")
    segments = path.split("/") if path else []
    return st.builds(
        lambda scheme, host, port, parts, end, edge: edge[0] + f"{scheme}://{host}{port}{''.join(parts)}{end}" + edge[1],
        st.sampled_from([scheme, scheme.upper(), scheme.title()]),
        st.sampled_from(hosts),
        st.sampled_from([colon + port] if colon else ["", default, ":"]),
        st.tuples(*(st.builds("".join, st.tuples(st.sampled_from(["/", "/./", "/x/../"]), encoded(each))) for each in segments)),
        st.sampled_from(["", "/"]),
        st.sampled_from([("", ""), (" ", "\n")]),
    )


def encoded(segment: str) -> st.SearchStrategy[str]:
    """Return a path's segment with some of its unreserved characters percent-encoded, in either case."""
    if "%" in segment:
        return st.sampled_from([segment, segment.replace("%2F", "%2f")])
    one = lambda each: st.sampled_from([each, f"%{ord(each):02X}", f"%{ord(each):02x}"])  # noqa: E731 - used only here
    return st.tuples(*map(one, segment)).map("".join)


@given(st.data())
def test_one_spelling(data: Any) -> None:
    """However an address is spelled, it has one canonical spelling, which is its own."""
    api = data.draw(st.sampled_from(APIS))
    spelled = data.draw(spellings(api))
    assert canonical(spelled).rstrip("/") == api
    assert canonical(canonical(spelled)) == canonical(spelled)


@given(st.data())
def test_one_operation(data: Any) -> None:
    """However an operation's address is spelled, absolute or relative, with the API's path or without, it is that operation."""
    api = data.draw(st.sampled_from(APIS))
    path = api.split("/", 3)[3] if api.count("/") > 2 else ""
    address = f"{api}/order/{ID}"
    relative = [f"/order/{ID}", f"order/{ID}", f"./order/{ID}", f"/{path}/order/{ID}".replace("//", "/"), address.partition(":")[2]]
    spelled = data.draw(st.one_of(spellings(address), st.sampled_from(relative)))
    link = data.draw(st.sampled_from(["", "/status-link", "/cancel", "#x"]))
    found = operation_at(spelled.strip().rstrip("/") + link, base_url=api)
    assert found is not None
    assert found == (api, "order", ID)
    assert found.url == address


@pytest.mark.parametrize(
    "other",
    [
        "https://api.test",
        "https://evil.test/v1",
        "https://api.test:444/v1",
        "https://api.test/v2",
        "https://api.test/v1/x",
        "http://api.test:80/v1x",
    ],
)
def test_another_api(make: Any, world: Any, other: str) -> None:
    """Another host, port or path is another API. The error says for which one to make a client, and nothing is sent."""
    world.api = "https://api.test/v1"
    with pytest.raises(ConfigurationError, match="make a client for"):
        make().resume(f"{other}/order/{ID}")
    assert world.seen == []


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:pa55word@api.test/order/{ID}",
        "ftp://api.test/order/1",
        "/order/1",
        f"/Order/{ID}",
        "https://a b/",
        "/x",
        f"//u@api.test/order/{ID}",
    ],
)
def test_no_address(make: Any, world: Any, text: str) -> None:
    """What is no address of an operation is refused without a request, and without its password in the error."""
    with pytest.raises(ConfigurationError) as caught:
        make().resume(text)
    assert (world.seen, "pa55word" in str(caught.value)) == ([], False)


@pytest.mark.parametrize("spelled", ["HTTPS://API.test:443/", "https://api.test", " https://api.test//", "https://api.test/x/.."])
def test_the_clients_own(world: Any, spelled: str) -> None:
    """The client's own address may be spelled in any way, too: links of the API's own spelling get the credentials."""

    class Transport:
        def send(self, fetch: Any) -> Any:
            return world.answer(fetch)

        def close(self) -> None: ...

    world.on(SELF, world.json(ORDER))
    assert Client(spelled, auth="t", transport=Transport()).result(world.ticket()) == ORDER
    assert world.seen[0].headers["Authorization"] == "Bearer t"
