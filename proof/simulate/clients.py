"""Simulates clients: what they order, when they lose patience, what they ask twice. Each drives the product's client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from offpoll.client import AsyncClient
from offpoll.errors import ApiError, ApiUnavailable, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.ticket import Ticket
from proof.simulate.dice import Dice
from proof.simulate.fleet import Fleet
from proof.simulate.ledger import Ledger
from proof.simulate.shop import KINDS, TIMEOUT

__all__ = ["CLIENTS", "SimulatedClient"]

#: Clients at once.
CLIENTS = 500

#: Mean seconds: between two orders of one client, and of a handler's work.
THINK, WORK = 4.0, 1.0

#: Shares of operations: cancelled, submitted twice, submitted with another body under the same key, not waited for.
CANCELED, REPEATED, OTHER_BODY, LEFT = 0.03, 0.03, 0.02, 0.4

#: Shares of inputs whose handler runs longer than a lease, runs longer than its timeout, fails for good, or stops slowly.
SLOW, OVER_TIMEOUT, FAILS, STUBBORN = 0.01, 0.003, 0.03, 0.02

#: Shares of inputs, and how many attempts raise for them.
RAISES = ((0.01, 3), (0.02, 2), (0.05, 1))

#: Share of the newest kind. Workers give its messages back again and again until one knows the kind.
NEWEST = 0.1

#: Draws between `NEWEST` and this are orders, those above are parcels. A parcel's handler takes no virtual time, so when its worker dies,
#: that is between two of the other steps.
PARCELS = 0.5

#: How often a client submits an order before it gives up, and how many seconds it waits for an end once the disturbances have stopped.
SUBMITS, LAST_WAIT = 4, 360.0


@dataclass(kw_only=True)
class SimulatedClient:
    """One client, which orders until the numbers run out."""

    client: AsyncClient
    numbers: Iterator[int]
    dice: Dice
    ledger: Ledger
    fleet: Fleet

    async def run(self) -> None:
        """Order, wait, order again."""
        for number in self.numbers:
            await asyncio.sleep(self.dice.about(THINK))
            await self._order(number)

    async def _order(self, number: int) -> None:
        dice = self.dice
        kind, plan = self._kind(), self._plan(number)
        submits = [self._submit(kind, plan)]
        if dice.happens(REPEATED):
            self.ledger.fault("repeated_submit", "client", answer=number)
            submits.append(self._submit(kind, plan, after=dice.about(5)))
        if dice.happens(OTHER_BODY):
            self.ledger.fault("other_body", "client", answer=number)
            submits.append(self._submit(kind, {**plan, "body": 1}, after=dice.about(1)))
        tickets = [await submits[0]] if len(submits) == 1 else await asyncio.gather(*submits)
        ticket = next((each for each in tickets if each is not None), None)
        if ticket is None:
            return
        if dice.happens(CANCELED):
            await asyncio.sleep(dice.about(plan["seconds"] + 1))
            await self._cancel(ticket)
        if dice.happens(LEFT):
            return self.ledger.fault("client_left", "client", ticket.operation_id)
        await self._wait(ticket, number)

    def _kind(self) -> str:
        known = KINDS[max(slot.version for slot in self.fleet.apis)]
        roll = self.dice.random()
        return known[-1] if roll < NEWEST else known[roll > PARCELS]

    def _plan(self, number: int) -> dict[str, Any]:
        dice, lease = self.dice, self.fleet.settings.lease
        roll, seconds = dice.random(), dice.about(WORK)
        slow = roll < SLOW
        if roll < OVER_TIMEOUT:
            seconds = TIMEOUT + 20
        elif slow:
            seconds = dice.between(min(lease, TIMEOUT - 1), TIMEOUT)
        roll = dice.random()
        raises = next((attempts for share, attempts in RAISES if roll < share), 0)
        fails, stubborn = dice.random() < FAILS, dice.random() < STUBBORN
        return {"n": number, "body": 0, "seconds": seconds, "slow": slow, "raises": raises, "fails": fails, "stubborn": stubborn}

    async def _submit(self, kind: str, plan: dict[str, Any], *, after: float = 0.0) -> Ticket | None:
        """Submit, and again with the same key while the outcome is unknown. It may stay unknown in the end."""
        if after:
            await asyncio.sleep(after)
        for _ in range(SUBMITS):
            try:
                ticket = await self.client.submit(kind, plan, idempotency_key=f"key-{plan['n']}")
            except ApiUnavailable:
                await asyncio.sleep(self.dice.about(2))
            except ApiError as error:
                if error.status == 422:  # the other body was first
                    return None
                await asyncio.sleep(self.dice.about(2))
            else:
                self.ledger.accepted("client", ticket.operation_id, plan["body"])
                return ticket
        return None

    async def _cancel(self, ticket: Ticket) -> None:
        self.ledger.fault("cancel", "client", ticket.operation_id)
        try:
            await self.client.cancel(ticket)
        except (ApiError, ApiUnavailable):  # it has ended, or the response was lost: the ledger knows both
            pass

    async def _wait(self, ticket: Ticket, number: int) -> None:
        """Wait for the end, and report it to the ledger."""
        gone = 0.0
        while gone < LAST_WAIT:
            try:
                result = await self.client.wait(ticket, timeout=120)
                status = "succeeded" if result["n"] == number else f"another's: {result}"
            except WaitTimeout as error:
                ticket, gone = error.ticket, 0.0 if self.dice.on else gone + 120
                continue
            except OperationFailed:
                status = "failed"
            except OperationCanceled:
                status = "canceled"
            except (ApiError, ApiUnavailable) as error:
                return self.ledger.note("client", f"gives up: {error}", ticket.operation_id)
            return self.ledger.seen("client", ticket.operation_id, status)
