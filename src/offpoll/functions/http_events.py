"""HTTP events and their answers: HTTP API with payload 2.0 and 1.0, REST API's proxy integration, function URLs.

Decides where method, path, headers and body are in each, and where the API begins in a path. Must not know what is answered.

    HTTP API, REST API    https://{id}.execute-api.{region}.amazonaws.com/{stage}/order
    a custom domain       https://api.example.com/{base path}/order
    a function URL        https://{id}.lambda-url.{region}.on.aws/order

What comes before the row of the interface is the API's own address and goes into the links. One thing no event tells: an HTTP API's mapping
on a custom domain, with payload 2.0. There OFFPOLL_PUBLIC_URL has to say it.

Sources: API Gateway Developer Guide, http-api-develop-integrations-lambda and set-up-lambda-proxy-integrations; Lambda Developer Guide,
urls-invocation.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from offpoll.errors import RequestError
from offpoll.exchange import Response
from offpoll.http.endpoint import Request, read_all, too_large

__all__ = ["request_of", "response_of"]

#: Addresses that AWS gives, where the stage is a part of the path. Emulators have the same names under a domain of their own.
_GIVEN = (".execute-api.", ".lambda-url.")

_PROBES = ("livez", "readyz")
_ACTIONS = ("status-link", "cancel")


def request_of(event: Mapping[str, Any], *, kinds: Collection[str]) -> Request:
    """Read an event.

    Args:
        event: as Lambda hands it on.
        kinds: the service's, by whose names a row of the interface is told from what comes before it.

    Raises:
        ValueError: it is none of the events above.
    """
    context = event.get("requestContext") or {}
    if "http" in context:
        method, sent, headers = context["http"]["method"], event.get("rawPath", "/"), _headers_2(event)
        if not any(each in context.get("domainName", "") for each in _GIVEN):
            sent = _without(sent, context.get("stage", ""))
    elif "httpMethod" in event:
        method, sent, headers = event["httpMethod"], context.get("path") or event.get("path", "/"), _headers_1(event)
    else:
        raise ValueError(
            "this is no event of an HTTP API, a REST API with proxy integration, or a function URL: check what invokes the function"
        )
    headers.setdefault("host", context.get("domainName") or "")
    before, row = _split(method, [part for part in sent.split("/") if part], kinds)
    return Request(
        method=method,
        path="/" + "/".join(row),
        raw_path="/" + "/".join([*before, *map(quote, row)]),
        headers=headers,
        claims=_claims(context.get("authorizer") or {}),
        scheme="http" if headers.get("x-forwarded-proto") == "http" else "https",
        read=_reader(event.get("body") or "", encoded=bool(event.get("isBase64Encoded"))),
    )


def response_of(answer: Response) -> dict[str, Any]:
    """Return what Lambda is to answer. Every body of ours is text."""
    return {"statusCode": answer.status, "headers": dict(answer.headers), "body": answer.body.decode(), "isBase64Encoded": False}


def _headers_2(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of payload 2.0, where one that came twice is joined by commas, and cookies are apart."""
    headers = {name.lower(): value.strip() for name, value in (event.get("headers") or {}).items()}
    if event.get("cookies"):
        headers.setdefault("cookie", "; ".join(event["cookies"]))
    return headers


def _headers_1(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of payload 1.0; of a name that came twice, the first, as our own server does it."""
    single = {name.lower(): value.strip() for name, value in (event.get("headers") or {}).items()}
    several = {name.lower(): values[0].strip() for name, values in (event.get("multiValueHeaders") or {}).items() if values}
    return {**single, **several}


def _without(path: str, stage: str) -> str:
    """Return a path without the stage: on a custom domain, payload 2.0 has it in the path, and the client has not."""
    start = f"/{stage}/"
    return path.removeprefix(start[:-1]) if path.startswith(start) else path


def _split(method: str, parts: Sequence[str], kinds: Collection[str]) -> tuple[Sequence[str], list[str]]:
    """Split a path into what comes before the row of the interface, as it was sent, and the row, decoded.

    The row is at the end: a base path may have the name of a kind. Where nothing at the end is one, all of it is; nothing is there then.
    """
    decoded = [unquote(part) for part in parts]

    def is_kind(place: int) -> bool:
        return len(parts) >= place and decoded[-place] in kinds

    length = len(parts)
    if is_kind(3) and decoded[-1] in _ACTIONS:
        length = 3
    elif is_kind(1) and (method == "POST" or not is_kind(2)):
        length = 1
    elif is_kind(2):
        length = 2
    elif parts and decoded[-1] in _PROBES:
        length = 1
    return parts[: len(parts) - length], decoded[len(parts) - length :]


def _claims(authorizer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an authorizer verified: a token's claims, or what a Lambda or IAM authorizer says."""
    jwt = authorizer.get("jwt") or {}
    return jwt.get("claims") or authorizer.get("claims") or authorizer.get("lambda") or authorizer.get("iam") or ({} if jwt else authorizer)


def _reader(body: str, *, encoded: bool) -> Callable[[int], Awaitable[bytes]]:
    """Return what reads the body. One that is too long is refused before it is decoded."""

    async def read(limit: int) -> bytes:
        if len(body) * (3 if encoded else 4) // 4 - 2 * encoded > limit:
            raise too_large(limit)
        try:
            content = base64.b64decode(body, validate=True) if encoded else body.encode()
        except (binascii.Error, ValueError) as error:
            raise RequestError(f"The body cannot be decoded: {error}.") from error
        return await read_all(content)(limit)

    return read
