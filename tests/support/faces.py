"""The faces of one API, in front of a service in memory, and one request sent to each of them as its server would."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.validate import validator

from fastapi import FastAPI
from tests.support.fast_apis import World, behind_middleware, by_serve, call

from offpoll import Service, application, router, wsgi_application
from offpoll.functions.http_events import request_of, response_of
from offpoll.http.endpoint import Endpoint

#: What a face answers: status, headers without Content-Length, body.
Answer: TypeAlias = tuple[int, dict[str, str], bytes]

HOST = "api.test"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request.

    Attributes:
        prefix: what the face is published under, percent-encoded, and the proxy in front of it passes on.
        path: percent-encoded, below the prefix.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    @property
    def target(self) -> str:
        return self.prefix + self.path

    def of(self, world: World) -> Sent:
        """Put ids for their names."""
        return Sent(method=self.method, path=world.path(self.path), body=self.body, headers=self.headers, prefix=self.prefix)


def _by_asgi(make: Callable[[World, str], Any]) -> Callable[[Sent], Answer]:
    def send(sent: Sent) -> Answer:
        async def exchange() -> Any:
            world = await World().fill()
            request = sent.of(world)
            headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
            path, raw_path = unquote(request.target), request.target.encode()
            # As a mount does: the path stays whole, and the root path says where the application begins.
            return await call(
                make(world, request.prefix),
                request.method,
                path,
                request.body,
                headers=headers,
                raw_path=raw_path,
                root_path=unquote(request.prefix),
            )

        status, headers, body = asyncio.run(exchange())
        return status, _plain({name.decode(): value.decode() for name, value in headers}), body

    return send


def _by_router(world: World, prefix: str) -> FastAPI:
    api = FastAPI()
    api.include_router(router(world.service))
    return api


def _by_function(make: Callable[[Sent], dict[str, Any]]) -> Callable[[Sent], Answer]:
    def send(sent: Sent) -> Answer:
        async def exchange() -> Any:
            world = await World().fill()
            event = make(sent.of(world))
            request = request_of(event, kinds=world.service.kinds)
            response = await Endpoint(world.service).answer(request)
            return response_of(response if request.method != "HEAD" else replace(response, body=b""), event)

        answer = asyncio.run(exchange())
        return answer["statusCode"], _plain(answer["headers"]), answer["body"].encode()

    return send


def _headers(sent: Sent) -> dict[str, str]:
    return {"host": HOST, "x-forwarded-proto": "http", **sent.headers}


def function_url(sent: Sent) -> dict[str, Any]:
    """Return the event of a function URL."""
    http = {"method": sent.method, "path": sent.target, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "curl/8"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": sent.target,
        "rawQueryString": "",
        "headers": _headers(sent),
        "requestContext": {"accountId": "anonymous", "domainName": "x.lambda-url.eu-west-1.on.aws", "http": http, "stage": "$default"},
        "body": base64.b64encode(sent.body).decode(),
        "isBase64Encoded": True,
    }


def load_balancer(sent: Sent) -> dict[str, Any]:
    """Return the event of an Application Load Balancer."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/orders/0"}},
        "httpMethod": sent.method,
        "path": sent.target,
        "queryStringParameters": {},
        "headers": _headers(sent),
        "body": base64.b64encode(sent.body).decode(),
        "isBase64Encoded": True,
    }


def _by_wsgi(sent: Sent, *, moved: bool) -> Answer:
    world = World()
    with Service(world.service) as service:
        service.run(lambda _: world.fill())
        request = sent.of(world)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": _latin(request.prefix) if moved else "",
            "PATH_INFO": _latin(request.path if moved else request.target),
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "HTTP_HOST": HOST,
        }
        for name, value in request.headers.items():
            upper = name.upper().replace("-", "_")
            environ[upper if upper in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{upper}"] = value
        started: list[Any] = []
        app = wsgi_application(service, prefix="" if moved else unquote(request.prefix))
        checked = validator(app) if request.method in ("GET", "POST", "PUT", "OPTIONS", "DELETE") else app
        chunks = checked(environ, lambda *given: started.append(given))
        body = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        status, headers = started[0][:2]
    return int(status.partition(" ")[0]), _plain(dict(headers)), body


def _latin(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1")


def _plain(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-length"}


#: The faces that are offpoll's own throughout.
FACES: dict[str, Callable[[Sent], Answer]] = {
    "serve": _by_asgi(lambda world, _: by_serve(world.service)),
    "application": _by_asgi(lambda world, _: application(world.service)),
    "application with middleware": _by_asgi(lambda world, _: behind_middleware(world.service)),
    "function URL": _by_function(function_url),
    "load balancer": _by_function(load_balancer),
    "WSGI, mounted": lambda sent: _by_wsgi(sent, moved=True),
    "WSGI, with a prefix": lambda sent: _by_wsgi(sent, moved=False),
}

#: In a user's own app, which answers 404 and 405 itself.
ROUTER = _by_asgi(_by_router)
