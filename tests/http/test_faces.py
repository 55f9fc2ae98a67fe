"""Every face of the API answers the same request with the same bytes: `offpoll serve`, ASGI, Lambda, WSGI."""

from __future__ import annotations

import gzip
import json

import pytest
from tests.http.test_direct import serve as on_a_connection
from tests.support.faces import FACES, HOST, ROUTER, Answer, Sent
from tests.support.fast_apis import GOOD, LIMIT

from offpoll.http.direct import DirectProtocol

GZIP, LATIN = {"content-encoding": "gzip"}, {"content-type": "application/json; charset=latin-1"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

#: A request, the status of its answer, and a part of its headers.
TABLE: list[tuple[Sent, int, dict[str, str]]] = [
    # the routes
    (Sent(method="POST", path="/order", body=GOOD), 202, {}),
    (Sent(method="POST", path="/order", body=GOOD, headers={"idempotency-key": "queued"}), 422, {}),
    (Sent(method="GET", path="/order/<queued>"), 202, {}),
    (Sent(method="GET", path="/order/<succeeded>"), 200, {}),
    (Sent(method="GET", path="/order/<succeeded>", headers={"if-none-match": "*"}), 304, {}),
    (Sent(method="GET", path="/order/<failed>"), 404, {}),
    (Sent(method="POST", path="/order/<queued>/status-link"), 200, {}),
    (Sent(method="POST", path="/order/<queued>/cancel"), 202, {}),
    (Sent(method="POST", path="/order/<succeeded>/cancel"), 409, {}),
    (Sent(method="GET", path="/livez"), 200, {}),
    (Sent(method="GET", path="/readyz"), 200, {}),
    # slashes
    (Sent(method="POST", path="/order/", body=GOOD), 202, {}),
    (Sent(method="POST", path="/order//", body=GOOD), 202, {}),
    (Sent(method="GET", path="/order/<queued>/"), 202, {}),
    (Sent(method="POST", path="/order/<queued>/cancel/"), 202, {}),
    (Sent(method="GET", path="/livez/"), 200, {}),
    (Sent(method="GET", path="/order/"), 405, {"allow": "POST"}),
    (Sent(method="POST", path="//order", body=GOOD), 404, {}),
    (Sent(method="GET", path="/order//<queued>"), 404, {}),
    (Sent(method="POST", path="/order//cancel"), 404, {}),
    (Sent(method="POST", path="/order/<queued>//cancel"), 404, {}),
    (Sent(method="GET", path="/"), 404, {}),
    # encodings of the path
    (Sent(method="POST", path="/%6frder", body=GOOD), 202, {}),
    (Sent(method="GET", path="/order/a%2Fb"), 404, {}),
    (Sent(method="GET", path="/order/a%252Fb"), 404, {}),
    (Sent(method="GET", path="/order/%C3%A9"), 404, {}),
    (Sent(method="GET", path="/order/%FF"), 404, {}),
    (Sent(method="POST", path="/order%0A", body=GOOD), 404, {}),
    (Sent(method="POST", path="/order%20", body=GOOD), 404, {}),
    (Sent(method="POST", path="/ORDER", body=GOOD), 404, {}),
    (Sent(method="GET", path="/order/..%2F..%2Flivez"), 404, {}),
    # methods
    (Sent(method="GET", path="/order"), 405, {"allow": "POST"}),
    (Sent(method="PUT", path="/order", body=GOOD), 405, {"allow": "POST"}),
    (Sent(method="OPTIONS", path="/order"), 405, {"allow": "POST"}),
    (Sent(method="DELETE", path="/order/<queued>"), 405, {"allow": "GET"}),
    (Sent(method="POST", path="/order/<queued>"), 405, {"allow": "GET"}),
    (Sent(method="GET", path="/order/<queued>/cancel"), 405, {"allow": "POST"}),
    (Sent(method="PROPFIND", path="/livez"), 405, {"allow": "GET"}),
    (Sent(method="POST", path="/readyz"), 405, {"allow": "GET"}),
    # nothing there
    (Sent(method="POST", path="/invoice", body=GOOD), 404, {}),
    (Sent(method="GET", path="/invoice"), 404, {}),
    (Sent(method="GET", path="/invoice/<queued>"), 404, {}),
    (Sent(method="GET", path="/order/<queued>/nothing"), 404, {}),
    (Sent(method="GET", path="/livez/x"), 404, {}),
    (Sent(method="GET", path="/order/x", headers={"x-nobody": "1"}), 401, {"www-authenticate": "Bearer"}),
    (Sent(method="POST", path="/order", body=GOOD, headers={"x-broken": "1"}), 500, {}),
    # bodies
    (Sent(method="POST", path="/order"), 400, {}),
    (Sent(method="POST", path="/order", body=b"{"), 400, {}),
    (Sent(method="POST", path="/order", body=b"{}"), 422, {}),
    (Sent(method="POST", path="/order", body=b"x" * (LIMIT + 1)), 413, {}),
    (Sent(method="POST", path="/order", body=b"x", headers={"content-length": "99999999999999999999999"}), 413, {}),
    (Sent(method="POST", path="/order", body=b"\xef\xbb\xbf" + GOOD), 400, {}),
    (Sent(method="POST", path="/order", body='{"sku":"ä"}'.encode("utf-16")), 400, {}),
    (Sent(method="POST", path="/order", body='{"sku":"ä"}'.encode("latin-1"), headers=LATIN), 400, {}),
    (Sent(method="POST", path="/order", body='{"sku":"ä"}'.encode(), headers={"content-type": "application/json; charset=utf-8"}), 202, {}),
    (Sent(method="POST", path="/order", body=GOOD, headers=FORM), 202, {}),
    (Sent(method="POST", path="/order", body=gzip.compress(GOOD, mtime=0), headers=GZIP), 415, {"accept-encoding": "identity"}),
    (Sent(method="POST", path="/order", body=GOOD, headers={"content-encoding": "br"}), 415, {"accept-encoding": "identity"}),
    (Sent(method="POST", path="/order", body=GOOD, headers={"content-encoding": "Identity"}), 202, {}),
    # hosts
    (Sent(method="POST", path="/order", body=GOOD, headers={"host": "[2001:db8::1]:8443"}), 202, {}),
    (Sent(method="POST", path="/order", body=GOOD, headers={"host": "a b"}), 400, {}),
    # below a prefix
    (Sent(method="POST", path="/order", body=GOOD, prefix="/v1"), 202, {}),
    (Sent(method="POST", path="/order/", body=GOOD, prefix="/a%20b/v1"), 202, {}),
    (Sent(method="GET", path="/order/<queued>", prefix="/v1"), 202, {}),
    (Sent(method="POST", path="/order/<queued>/cancel/", prefix="/v1"), 202, {}),
    (Sent(method="GET", path="/livez", prefix="/v1"), 200, {}),
    (Sent(method="POST", path="/order", body=GOOD, prefix="/order"), 202, {}),
]  # fmt: skip


def named(sent: Sent) -> str:
    return f"{sent.method} {sent.target} {dict(sent.headers) or ''}{len(sent.body) or ''}"


@pytest.mark.parametrize(("sent", "status", "headers"), TABLE, ids=[named(sent) for sent, _, _ in TABLE])
def test_every_face_answers_the_same(sent: Sent, status: int, headers: dict[str, str]) -> None:
    """Status, headers and body are the same, whichever way a request comes."""
    answers = {name: face(sent) for name, face in FACES.items()}
    expected = answers["serve"]
    assert expected[0] == status
    assert headers.items() <= expected[1].items()
    for name, answer in answers.items():
        assert answer == expected, name
    assert_the_router_agrees(ROUTER(sent), expected)


def assert_the_router_agrees(answer: Answer, expected: Answer) -> None:
    """A user's own app answers by itself where no route is, or none with this method; everything else is offpoll's."""
    if expected[0] == 405 or b"There is nothing at" in expected[2]:
        assert answer[0] == expected[0]
        assert answer[1].get("allow") == expected[1].get("allow")
    else:
        assert answer == expected


def test_links_below_a_prefix() -> None:
    """The ticket's links and its `Location` begin with the prefix, as it was sent."""
    for name, face in {**FACES, "router": ROUTER}.items():
        _, headers, body = face(Sent(method="POST", path="/order", body=GOOD, prefix="/a%20b/v1"))
        ticket = json.loads(body)
        assert ticket["links"]["self"] == f"http://api.test/a%20b/v1/order/{ticket['id']}", name
        assert headers["location"] == f"/a%20b/v1/order/{ticket['id']}", name


@pytest.mark.parametrize(
    "path", ["/order/<queued>", "/order/<succeeded>/", "/livez", "/readyz", "/order", "/order/x", "/order/<queued>/cancel"]
)
def test_head(path: str) -> None:
    """HEAD is answered as GET, without the body, whose length the headers say; where there is no GET, it is refused."""
    for name, face in {**FACES, "router": ROUTER}.items():
        status, headers, body = face(Sent(method="HEAD", path=path))
        expected = face(Sent(method="GET", path=path))
        assert (status, headers, body if status != 405 else b"") == (*expected[:2], b""), name


#: As a server reads them: without a prefix, which a proxy's configuration says, and with lengths and hosts that HTTP allows.
ON_THE_WIRE = [(sent, status) for sent, status, _ in TABLE if not sent.prefix and "content-length" not in sent.headers]


@pytest.mark.parametrize(("sent", "status"), ON_THE_WIRE, ids=[named(sent) for sent, _ in ON_THE_WIRE])
def test_the_wire(sent: Sent, status: int) -> None:
    """`offpoll serve` answers the same, straight from its parser, on a connection that it keeps."""
    headers = {"host": HOST, **sent.headers, **({"content-length": str(len(sent.body))} if sent.body else {})}
    head = "".join([f"{sent.method} {sent.path}?q=1 HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"])
    served = on_a_connection(DirectProtocol, [head.encode("latin-1") + sent.body])
    first, _, body = served.text.partition(b"\r\n\r\n")
    line, *fields = first.decode("latin-1").split("\r\n")
    expected = FACES["function URL"](sent)
    assert int(line.split()[1]) == status == expected[0]
    assert body == expected[2]
    assert expected[1].items() <= {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}.items()
    assert not served.closed or status == 413
