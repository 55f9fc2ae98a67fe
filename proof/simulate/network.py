"""Carries clients' requests to an API process or to the store, and loses some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from offpoll.document_store import MemoryDocumentStore
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.http.endpoint import Request, read_all
from offpoll.testing.system import API
from proof.simulate.dice import REQUESTS, Dice, Shares
from proof.simulate.fleet import Fleet
from proof.simulate.ledger import Ledger

__all__ = ["ClientNetwork"]

_REQUESTS = Shares(REQUESTS)
_HOST = API.removeprefix("https://")


@dataclass(kw_only=True)
class ClientNetwork:
    """The transport of all clients.

    Args:
        dice, ledger, fleet: the world's.
        store: where the links lead.
    """

    dice: Dice
    ledger: Ledger
    fleet: Fleet
    store: MemoryDocumentStore

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send one request."""
        roll = self.dice.random() if self.dice.on else 1.0
        what = _REQUESTS.pick(roll) if roll < _REQUESTS.any else ""
        if what == "latency":
            await asyncio.sleep(self.dice.about(0.05))
        elif what:
            self.ledger.fault(what, "network", answer=f"{fetch.method} to the {fetch.to}")
        status = what[7:10] if what.startswith("status") else ""
        if what == "request_lost" or what.endswith("without_effect"):
            return await self._failed(status)
        response = self._from_store(fetch) if fetch.to == "store" else await self._from_api(fetch)
        if what == "answer_lost" or what.endswith("with_effect"):
            return await self._failed(status)
        return response

    async def close(self) -> None:
        """Close nothing."""

    async def _failed(self, status: str) -> Response | NoAnswer:
        if status:
            return Response(status=int(status), headers={"retry-after": "1"} if self.dice.random() < 0.5 else {})
        await asyncio.sleep(self.dice.between(0, 10))
        return NoAnswer(reason="lost")

    def _from_store(self, fetch: Fetch) -> Response:
        status, answered, body = self.store.answer(fetch.method, fetch.url, _lower(fetch.headers))
        return Response(status=status, headers=answered, body=body)

    async def _from_api(self, fetch: Fetch) -> Response | NoAnswer:
        api = self.fleet.any_api()
        if api is None:
            return NoAnswer(reason="connection refused")
        request = Request(
            method=fetch.method,
            path=fetch.url.removeprefix(API),
            headers={**_lower(fetch.headers), "host": _HOST},
            scheme="https",
            read=read_all(fetch.body or b""),
        )
        begun = self.fleet.loop.time()
        try:
            response = await api.endpoint.answer(request)
        except asyncio.CancelledError:
            if not api.machine.dead:
                raise
            return NoAnswer(reason="the connection broke")  # the process died while it answered
        if self.fleet.loop.time() - begun > fetch.timeout:
            return NoAnswer(reason="no answer in time")  # the client learns this late, which saves a timer for each request
        date = _http_date(api.machine.clock().replace(microsecond=0))
        return Response(status=response.status, headers={"date": date, **_lower(response.headers)}, body=response.body)


@lru_cache(maxsize=16)  # few machines send many responses within one virtual second
def _http_date(second: datetime) -> str:
    return f"{second:%a, %d %b %Y %H:%M:%S GMT}"


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
