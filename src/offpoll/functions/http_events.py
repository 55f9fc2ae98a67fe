"""Turns Lambda's HTTP events into requests, and responses into Lambda's form.

Reads events of HTTP APIs with payload 2.0 and 1.0, of REST APIs with proxy integration, of function URLs, and of Application Load
Balancers.

    HTTP API, REST API    https://{id}.execute-api.{region}.amazonaws.com/{stage}/order
    a custom domain       https://api.example.com/{base path}/order
    a function URL        https://{id}.lambda-url.{region}.on.aws/order
    a load balancer       https://api.example.com/order

The route (`/order`) is at the end of the path. What comes before it belongs to the API's address, and goes into the links. With payload
2.0, events do not tell an HTTP API's base path on a custom domain: there OFFPOLL_PUBLIC_URL must state it.

Sources: API Gateway Developer Guide, http-api-develop-integrations-lambda and set-up-lambda-proxy-integrations; Lambda Developer Guide,
urls-invocation; Elastic Load Balancing, Application Load Balancers, lambda-functions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote

from offpoll.errors import RequestError
from offpoll.exchange import Response
from offpoll.http.endpoint import Request, read_all, too_large

__all__ = ["request_of", "response_of"]

#: Parts of the host names that AWS assigns; their URLs have the stage in the path. Emulators use the same names under another domain.
_ASSIGNED = (".execute-api.", ".lambda-url.")

#: What a path may have as it was sent. The rest is percent-encoded.
_SENT = "/%:@!$&'()*+,;=~"

_PROBES = ("livez", "readyz")
_ACTIONS = ("status-link", "cancel")


def request_of(event: Mapping[str, Any], *, kinds: Collection[str]) -> Request:
    """Read the request in an event.

    Args:
        event: as Lambda passes it.
        kinds: the names of the app's kinds, which tell where the route begins in a path.

    Raises:
        ValueError: the event is not of a kind listed above.
    """
    context = event.get("requestContext") or {}
    if "http" in context:
        method, path, headers = context["http"]["method"], event.get("rawPath", "/"), _headers_2(event)
        if not any(each in context.get("domainName", "") for each in _ASSIGNED):
            path = _without_stage(path, context.get("stage", ""))
    elif "httpMethod" in event:
        method, path, headers = event["httpMethod"], context.get("path") or event.get("path", "/"), _headers_1(event)
    else:
        raise ValueError(
            "this is not an event of an HTTP API, a REST API with proxy integration, a function URL or a load balancer: "
            "check what invokes the function"
        )
    headers.setdefault("host", context.get("domainName") or "")
    before, route = _split(method, path, kinds)
    return Request(
        method=method,
        path="/" + "/".join(route),
        raw_path="/" + "/".join(map(quote, route)),
        root_path=quote(before, safe=_SENT),
        headers=headers,
        claims=_claims(context.get("authorizer") or {}),
        scheme="http" if headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "http" else "https",
        read=_reader(event.get("body") or "", encoded=bool(event.get("isBase64Encoded"))),
    )


def response_of(response: Response, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response to an event in Lambda's form. All of offpoll's bodies are text."""
    headers: dict[str, Any] = {"headers": dict(response.headers)}
    if "elb" in (event.get("requestContext") or {}) and "multiValueHeaders" in event:  # a target group that wants them takes no others
        headers = {"multiValueHeaders": {name: [value] for name, value in response.headers.items()}}
    return {"statusCode": response.status, **headers, "body": response.body.decode(), "isBase64Encoded": False}


def _headers_2(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of payload 2.0, which joins repeated headers by commas and has cookies in a separate field."""
    headers = {name.lower(): value.strip() for name, value in (event.get("headers") or {}).items()}
    if event.get("cookies"):
        headers.setdefault("cookie", "; ".join(event["cookies"]))
    return headers


def _headers_1(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of payload 1.0; of a repeated header the first one, as offpoll's own server does."""
    single = {name.lower(): value.strip() for name, value in (event.get("headers") or {}).items()}
    several = {name.lower(): values[0].strip() for name, values in (event.get("multiValueHeaders") or {}).items() if values}
    return {**single, **several}


def _without_stage(path: str, stage: str) -> str:
    """Return a path without the stage: on a custom domain, payload 2.0 adds it to the client's path."""
    start = f"/{stage}/"
    return path.removeprefix(start[:-1]) if path.startswith(start) else path


def _split(method: str, path: str, kinds: Collection[str]) -> tuple[str, list[str]]:
    """Split a path into what comes before the route, as sent, and the parts of the route, decoded.

    Looks at the end of the path, because a base path may contain the name of a kind. If no route is there, takes the whole path for one
    that does not exist.
    """
    parts = path.rstrip("/").split("/")[1:]
    decoded = [unquote(part) for part in parts]

    def is_kind(place: int) -> bool:
        return len(parts) >= place and decoded[-place] in kinds

    length = len(parts)
    if "" in parts:  # two slashes in a row: no route, as everywhere
        pass
    elif is_kind(3) and decoded[-1] in _ACTIONS:
        length = 3
    elif is_kind(1) and (method == "POST" or not is_kind(2)):
        length = 1
    elif is_kind(2):
        length = 2
    elif parts and decoded[-1] in _PROBES:
        length = 1
    place = len(parts) - length
    return "".join(f"/{part}" for part in parts[:place]), decoded[place:]


def _claims(authorizer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an authorizer verified: a token's claims, or the fields of a Lambda or IAM authorizer."""
    jwt = authorizer.get("jwt") or {}
    return jwt.get("claims") or authorizer.get("claims") or authorizer.get("lambda") or authorizer.get("iam") or ({} if jwt else authorizer)


def _reader(body: str, *, encoded: bool) -> Callable[[int], Awaitable[bytes]]:
    """Return the function that reads the body. It refuses a body that is too long before decoding it."""

    async def read(limit: int) -> bytes:
        if len(body) * (3 if encoded else 4) // 4 - 2 * encoded > limit:
            raise too_large(limit)
        try:
            content = base64.b64decode(body, validate=True) if encoded else body.encode()
        except (binascii.Error, ValueError) as error:
            raise RequestError(f"The body cannot be decoded: {error}.") from error
        return await read_all(content)(limit)

    return read
