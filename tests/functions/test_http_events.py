"""HTTP events of every kind become the request that the client sent, at the address that it used."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from tests.support.lab import single
from tests.support.lambda_runtime import HOST, deployed, http_1, http_2

from offpoll import Unauthorized
from offpoll.app import Caller
from offpoll.errors import InputTooLarge, RequestError
from offpoll.exchange import Response
from offpoll.functions.http_events import request_of, response_of

KINDS = ("order", "report")
ID = "0" * 32
OWN = "api.example.com"


def rest(path: str, **context: Any) -> dict[str, Any]:
    """Return an event of a REST API on a custom domain, whose path has the base path but not the stage."""
    return http_1("POST", path, domainName=OWN, path=path, headers={"Host": OWN}, **context)


def elb(method: str, path: str, **headers: str) -> dict[str, Any]:
    """Return an event of an Application Load Balancer, which passes the path as it came."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/orders/6d0ecf831eec9f09"
    named = {"host": OWN, "x-forwarded-for": "72.12.164.125", "x-forwarded-port": "443", "x-forwarded-proto": "https", **headers}
    return {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {"query": "1234ABCD"},
        "headers": named,
        "body": "",
        "isBase64Encoded": False,
    }


ADDRESSES = [
    (elb("POST", "/order"), "/order", f"https://{OWN}"),
    (elb("POST", "/v1/order/"), "/order", f"https://{OWN}/v1"),
    (elb("POST", "/a%20b/order"), "/order", f"https://{OWN}/a%20b"),
    (elb("POST", "/order", host=f"{OWN}:8443"), "/order", f"https://{OWN}:8443"),
    (elb("POST", "/order", **{"x-forwarded-proto": "http"}), "/order", f"http://{OWN}"),
    (http_2("POST", "/order"), "/order", f"https://{HOST}"),
    (http_2("POST", "/prod/order", stage="prod"), "/order", f"https://{HOST}/prod"),
    (http_2("POST", f"/prod/order/{ID}/cancel", stage="prod"), f"/order/{ID}/cancel", f"https://{HOST}/prod"),
    (http_2("POST", f"/report/{ID}/status-link"), f"/report/{ID}/status-link", f"https://{HOST}"),
    (http_1("POST", "/order"), "/order", f"https://{HOST}/prod"),
    (rest("/v1/order"), "/order", f"https://{OWN}/v1"),
    (rest("/order/order"), "/order", f"https://{OWN}/order"),
    (rest(f"/order/order/{ID}/cancel"), f"/order/{ID}/cancel", f"https://{OWN}/order"),
    (rest("/a/b%20c/order"), "/order", f"https://{OWN}/a/b%20c"),
    (rest("/v1/%6Frder"), "/order", f"https://{OWN}/v1"),
    (rest("/v1/order/"), "/order", f"https://{OWN}/v1"),
    # payload 2.0 on a custom domain has the stage, which the client did not send, and lacks the mapping, which it did send
    (http_2("POST", "/prod/order", stage="prod", domainName=OWN), "/order", f"https://{OWN}"),
    (http_2("POST", "/production/order", stage="prod", domainName=OWN), "/order", f"https://{OWN}/production"),
    (http_2("POST", "/order", domainName="x.lambda-url.eu-west-1.on.aws"), "/order", "https://x.lambda-url.eu-west-1.on.aws"),
    # an HTTP API with payload 1.0
    (http_1("POST", "/prod/order", path="/prod/order"), "/order", f"https://{HOST}/prod"),
]


@pytest.mark.parametrize(("event", "path", "base_url"), ADDRESSES)
def test_addresses(event: dict[str, Any], path: str, base_url: str) -> None:
    """Stage and base path belong to the API's address, which links start with, and not to the request's path."""
    request = request_of(event, kinds=KINDS)
    assert request.path == path
    assert request.base_url(path) == base_url


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", f"/prod/order/{ID}", f"/order/{ID}"),
        ("GET", f"/order/order/{ID}", f"/order/{ID}"),
        ("GET", "/order/order", "/order/order"),
        ("GET", "/prod/order", "/order"),
        ("GET", "/prod/livez", "/livez"),
        ("GET", "/readyz", "/readyz"),
        ("GET", "/", "/"),
        ("GET", "", "/"),
        ("GET", "/prod/nothing/here", "/prod/nothing/here"),
        ("POST", "/nothing", "/nothing"),
        ("POST", "//order", "//order"),
        ("POST", "/v1//order/", "/v1//order"),
        ("GET", f"/order/{ID}/", f"/order/{ID}"),
    ],
)
def test_routes(method: str, path: str, route: str) -> None:
    """The route is the end of the path; if no route matches, the whole path stays, for a 404."""
    assert request_of(http_2(method, path), kinds=KINDS).path == route


def test_headers() -> None:
    """Header names are lowercase; of a header sent twice, payload 1.0 gives the first and 2.0 both; cookies become a header."""
    event = http_1("GET", "/livez", headers={"Authorization": " Bearer x "})
    event["multiValueHeaders"]["X-Twice"], event["headers"]["X-Twice"] = ["a", "b"], "b"
    headers = request_of(event, kinds=KINDS).headers
    assert (headers["authorization"], headers["x-twice"]) == ("Bearer x", "a")
    event = {**http_2("GET", "/livez", headers={"x-twice": "a,b"}), "cookies": ["a=1", "b=2"]}
    headers = request_of(event, kinds=KINDS).headers
    assert (headers["x-twice"], headers["cookie"]) == ("a,b", "a=1; b=2")
    assert request_of({**event, "headers": None, "cookies": None}, kinds=KINDS).headers == {"host": HOST}


def test_a_missing_host() -> None:
    """Without a Host the event's domain name counts; if that is missing too, the request is refused as everywhere."""
    event = http_2("POST", "/order")
    del event["headers"]["host"]
    assert request_of(event, kinds=KINDS).base_url("/order") == f"https://{HOST}"
    del event["requestContext"]["domainName"]
    with pytest.raises(RequestError, match="Host"):
        request_of(event, kinds=KINDS).base_url("/order")


def test_an_emulator_without_tls() -> None:
    """If X-Forwarded-Proto says that the client used http, links use http too."""
    request = request_of(http_2("POST", "/order", headers={"x-forwarded-proto": "http"}), kinds=KINDS)
    assert request.base_url("/order") == f"http://{HOST}"


@pytest.mark.parametrize(("value", "scheme"), [("https,http", "https"), ("http, https", "http"), ("HTTP", "http"), ("", "https")])
def test_several_proxies(value: str, scheme: str) -> None:
    """Of a list of schemes the first counts: the one that the client used."""
    request = request_of(http_2("POST", "/order", headers={"x-forwarded-proto": value}), kinds=KINDS)
    assert request.base_url("/order") == f"{scheme}://{HOST}"


def read(body: str, *, encoded: bool, limit: int = 100) -> bytes:
    event = {**http_2("POST", "/order"), "body": body, "isBase64Encoded": encoded}
    return asyncio.run(_read(event, limit))  # type: ignore[arg-type]


def _read(event: dict[str, Any], limit: int) -> Any:
    return request_of(event, kinds=KINDS).read(limit)


def test_bodies() -> None:
    """A body reads the same from text and from base64, and may be missing."""
    assert read('{"a":"ä"}', encoded=False) == '{"a":"ä"}'.encode()
    assert read(base64.b64encode(b"\x00\xff").decode(), encoded=True) == b"\x00\xff"
    assert asyncio.run(_read(http_2("POST", "/order"), 1)) == b""
    with pytest.raises(RequestError, match="decoded"):
        read("%%%", encoded=True)


@pytest.mark.parametrize("size", [97, 98, 99, 100])
def test_the_limit_of_a_body(size: int) -> None:
    """A body as long as the limit is read, but not one byte more, encoded or not."""
    assert len(read("x" * size, encoded=False, limit=size)) == size
    assert len(read(base64.b64encode(b"x" * size).decode(), encoded=True, limit=size)) == size
    for body, encoded in (("x" * size, False), (base64.b64encode(b"x" * size).decode(), True), ("ä" * size, False)):
        with pytest.raises(InputTooLarge):
            read(body, encoded=encoded, limit=size - 1)


def test_a_long_body_is_not_decoded() -> None:
    """A body that is too long is refused by its length, before it is decoded."""
    with pytest.raises(InputTooLarge):
        read("%" * 1000, encoded=True)


@pytest.mark.parametrize(
    ("event", "authorizer"),
    [
        (http_2("POST", "/order"), {"jwt": {"claims": {"sub": "ada"}, "scopes": []}}),
        (http_2("POST", "/order"), {"lambda": {"sub": "ada"}}),
        (http_2("POST", "/order"), {"iam": {"sub": "ada"}}),
        (http_1("POST", "/order"), {"claims": {"sub": "ada"}}),
        (http_1("POST", "/order"), {"sub": "ada"}),
    ],
)
def test_claims(event: dict[str, Any], authorizer: dict[str, Any]) -> None:
    """The claims that an authorizer of any kind verified reach `authorize`."""
    context = {**event["requestContext"], "authorizer": authorizer}
    assert request_of({**event, "requestContext": context}, kinds=KINDS).claims == {"sub": "ada"}
    assert request_of(event, kinds=KINDS).claims == {}


def test_no_claims_from_a_header() -> None:
    """Claims come only from the event's context, and a token without claims gives none."""
    event = http_2("POST", "/order", headers={"claims": "x"}, authorizer={"jwt": {"claims": {}}})
    assert request_of(event, kinds=KINDS).claims == {}


def test_authorize_is_given_headers_and_claims() -> None:
    """`authorize` gets headers and claims, and names the owner; if it refuses, nothing is accepted."""

    async def owner_of(caller: Caller) -> str:
        if "sub" not in caller.claims or caller.headers.get("authorization") != "Bearer x":
            raise Unauthorized("Who are you?")
        return str(caller.claims["sub"])

    async def handler(number: int) -> int:
        return number

    app = single(handler)
    app.authorize = owner_of
    with deployed(app) as service:
        assert service.request(http_2("POST", "/order", b"1"))[0] == 401
        event = http_2("POST", "/order", b"1", headers={"authorization": "Bearer x"}, authorizer={"jwt": {"claims": {"sub": "ada"}}})
        status, _, ticket = service.request(event)
        assert status == 202
        assert f"status/ada/{ticket['id']}" in service.lab.system.store._objects


def test_links_start_with_the_address_that_the_client_used() -> None:
    """The document's links and the `Location` header include the base path."""

    async def handler(number: int) -> int:
        return number

    with deployed(single(handler)) as service:
        _, headers, ticket = service.request(rest("/v1/order") | {"body": "1"})
        assert headers["location"] == f"/v1/order/{ticket['id']}"
        assert ticket["links"]["self"] == f"https://{OWN}/v1/order/{ticket['id']}"


def test_a_response() -> None:
    """A response becomes Lambda's form, with status, headers and the body as text."""
    response = Response(status=202, headers={"location": "/order/1"}, body='{"a":"ä"}'.encode())
    expected = {"statusCode": 202, "headers": {"location": "/order/1"}, "body": '{"a":"ä"}', "isBase64Encoded": False}
    assert response_of(response, http_2("POST", "/order")) == expected
    assert response_of(response, http_1("POST", "/order")) == expected
    assert response_of(response, elb("POST", "/order")) == expected


def test_a_response_to_a_load_balancer_with_lists() -> None:
    """A target group that sends headers as lists ignores any that do not come back as lists."""
    event = elb("POST", "/order")
    event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    assert request_of(event, kinds=KINDS).base_url("/order") == f"https://{OWN}"
    response = response_of(Response(status=202, headers={"location": "/order/1"}), event)
    assert response["multiValueHeaders"] == {"location": ["/order/1"]}
    assert "headers" not in response
