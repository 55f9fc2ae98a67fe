"""An endpoint in a lab, which tests of the HTTP interface call as a server would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pydantic
from tests.support.lab import Lab, lab

from offpoll.app import Offpoll
from offpoll.errors import Fail
from offpoll.exchange import Response
from offpoll.http.endpoint import Endpoint, Request, read_all
from offpoll.operation import Operation

API = "https://api.example.com"
GOOD = {"sku": "A1", "quantity": 2}
NOBODYS = "0" * 32


class Order(pydantic.BaseModel):
    sku: str
    quantity: int = pydantic.Field(ge=1)


def shop() -> Offpoll:
    app = Offpoll()

    @app.operation("order")
    async def order(order: Order, operation: Operation) -> dict[str, Any]:
        await asyncio.sleep(order.quantity)
        if order.sku == "none":
            raise Fail("out_of_stock", "There is none left.", sku=order.sku)
        return {"number": 7, "sku": order.sku}

    @app.operation("report")
    async def report(rows: int) -> int:
        return rows

    return app


@dataclass
class Api:
    """A lab and its endpoint. Checks in each response what must hold in all of them."""

    lab: Lab
    endpoint: Endpoint

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {"host": "api.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = Request(method=method, path=path, headers=named, scheme="https", read=read_all(data))
        return self.send(request)

    def send(self, request: Request) -> tuple[int, dict[str, str], Any]:
        response: Response = self.lab.system.run(self.endpoint.answer(request))
        named = {name.lower(): value for name, value in response.headers.items()}
        if response.status == 304:
            return 304, named, None
        fields = json.loads(response.body)
        if response.status >= 400:
            assert named["content-type"] == "application/problem+json"
            assert named["cache-control"] == "no-store"
            assert fields["status"] == response.status
            assert {"type", "title", "detail", "code"} <= fields.keys()
        else:
            assert named["content-type"] == "application/json"
        return response.status, named, fields

    def submit(self, body: Any = GOOD, **headers: str) -> str:
        status, _, fields = self("POST", "/order", body, **headers)
        assert status == 202
        return str(fields["id"])


@contextmanager
def api(app: Offpoll | None = None, *, authorize: Any = None, **options: Any) -> Iterator[Api]:
    with lab(app or shop(), **options) as one:
        endpoint = one.system.endpoint if authorize is None else Endpoint(one.system.service, authorize=authorize)
        yield Api(lab=one, endpoint=endpoint)
