"""The clients: they place orders at a steady rate, under idempotency keys, and follow each order to its end.

Some place an order twice, some reuse its key for another body, some cancel. The swarm keeps what each was told, for `verify` to judge.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from offpoll import AsyncClient
from offpoll.errors import ApiError, ApiUnavailable, ClientError
from offpoll.ticket import Ticket
from proof.chaos.chronicle import Chronicle

__all__ = ["Customer", "Plan", "Swarm", "draw"]

#: Seconds until a customer who failed to follow an order tries again.
RETRY = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one customer will do.

    Attributes:
        number: of the order.
        kind, conduct, pause: of the order; see `app`.
        twice, other, cancel: seconds from the first submit until the customer submits the same again, submits another body under the same
            key, or cancels; None if never.
    """

    number: int
    kind: str
    conduct: str
    pause: float
    twice: float | None
    other: float | None
    cancel: float | None

    @property
    def key(self) -> str:
        """The order's idempotency key."""
        return f"order-{self.number}"

    def body(self, *, other: bool = False) -> dict[str, object]:
        """Return the input of this order, or of another one."""
        return {"number": -self.number - 1 if other else self.number, "conduct": self.conduct, "pause": self.pause}


@dataclass(kw_only=True)
class Customer:
    """A customer, and what the API told it.

    Attributes:
        plan: what it does.
        accepted: ids under which its order was accepted (202).
        other_accepted: ids under which the other body was accepted.
        asked_to_cancel, canceled: whether it asked, and whether the API agreed.
        results: the results that it was given, JSON.
        refused: errors in response to requests that the API should have accepted.
    """

    plan: Plan
    accepted: set[str] = field(default_factory=set)
    other_accepted: set[str] = field(default_factory=set)
    asked_to_cancel: bool = False
    canceled: bool = False
    results: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def draw(random: Random, *, lease: float) -> Iterator[Plan]:
    """Draw plans without end. The steps of every seventh order are so long that its lease must be renewed."""
    number = 0
    while True:
        kind = random.choices(("order", "parcel", "lottery"), (70, 22, 8))[0]
        conduct = "plain" if kind == "lottery" else random.choices(("plain", "raises", "refuses"), (75, 15, 10))[0]
        pause = lease * random.uniform(0.4, 0.7) if random.random() < 1 / 7 else random.uniform(0.01, 0.2)

        def maybe(chance: float, within: float) -> float | None:
            seconds = random.uniform(0.0, within)
            return seconds if random.random() < chance else None

        yield Plan(
            number=number, kind=kind, conduct=conduct, pause=pause,
            twice=maybe(0.15, 2 * lease), other=maybe(0.05, lease), cancel=maybe(0.12, lease),
        )  # fmt: skip
        number += 1


@dataclass(kw_only=True)
class Swarm:
    """All customers.

    Args:
        client: the product's client, which they all use.
        plans: what they do.
        rate: orders a second.
        at_once: most customers at a time.
        chronicle: records what they do.
    """

    client: AsyncClient
    plans: Iterator[Plan]
    rate: float
    at_once: int
    chronicle: Chronicle
    customers: list[Customer] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def open(self) -> int:
        """The number of customers whose order is not done."""
        return sum(not task.done() for task in self._tasks)

    async def run(self, *, seconds: float) -> None:
        """Let customers come for this long. Those whose orders are not done go on afterwards."""
        room = asyncio.Semaphore(self.at_once)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await room.acquire()
                    task = asyncio.create_task(self._serve(next(self.plans)))
                    self._tasks.add(task)
                    task.add_done_callback(lambda _: room.release())
                    await asyncio.sleep(1 / self.rate)
        except TimeoutError:
            pass  # no more customers

    async def done(self, *, within: float) -> None:
        """Wait this long until all customers are done, and cancel the rest.

        Raises:
            Exception: a fault in this proof.
        """
        _, pending = await asyncio.wait(self._tasks, timeout=within) if self._tasks else (set(), set())
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in self._tasks - pending:
            task.result()

    async def _serve(self, plan: Plan) -> None:
        customer = Customer(plan=plan)
        self.customers.append(customer)
        ticket = await self._submit(customer)
        if ticket is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(customer, ticket))
            for seconds, act in ((plan.twice, self._repeat), (plan.other, self._reuse), (plan.cancel, self._cancel)):
                if seconds is not None:
                    tasks.create_task(_after(seconds, act, customer, ticket))

    async def _submit(self, customer: Customer, *, other: bool = False) -> Ticket | None:
        plan = customer.plan
        self._note(customer, "submit" + (" another body" if other else ""))
        try:
            ticket = await self.client.submit(plan.kind, plan.body(other=other), idempotency_key=plan.key)
        except ClientError as error:
            self._note(customer, f"not accepted: {error}")
            reused = other and isinstance(error, ApiError) and error.problem.get("code") == "idempotency_key_reused"
            if not reused and not isinstance(error, ApiUnavailable):
                customer.refused.append(str(error))
            return None
        (customer.other_accepted if other else customer.accepted).add(ticket.operation_id)
        self._note(customer, f"202, operation {ticket.operation_id}, {ticket.document.status}")
        return ticket

    async def _follow(self, customer: Customer, ticket: Ticket) -> None:
        """Poll until the order is done, and read its result if it succeeded."""
        while True:
            try:
                async for document in self.client.poll(ticket, timeout=None):
                    self._note(customer, f"reads {document.status}, attempt {document.attempt}, revision {document.revision}")
                if document.status == "succeeded":
                    customer.results.add(json.dumps(await self.client.result(ticket), sort_keys=True))
            except ClientError as error:
                self._note(customer, f"cannot follow its order: {error}")
                await asyncio.sleep(RETRY)
                continue
            return

    async def _repeat(self, customer: Customer, _: Ticket) -> None:
        """Submit the same again, as if the first response had been lost."""
        again = await self._submit(customer)
        if again is not None:
            await self._follow(customer, again)

    async def _reuse(self, customer: Customer, _: Ticket) -> None:
        """Submit another body under the same key, which the API must refuse."""
        await self._submit(customer, other=True)

    async def _cancel(self, customer: Customer, ticket: Ticket) -> None:
        customer.asked_to_cancel = True
        self._note(customer, "cancel")
        try:
            document = await self.client.cancel(ticket)
        except ClientError as error:
            self._note(customer, f"not canceled: {error}")
            return
        customer.canceled = True
        self._note(customer, f"told that it is {document.status}")

    def _note(self, customer: Customer, what: str) -> None:
        self.chronicle.note(what, number=customer.plan.number)


async def _after(seconds: float, act: Callable[[Customer, Ticket], Awaitable[None]], customer: Customer, ticket: Ticket) -> None:
    await asyncio.sleep(seconds)
    await act(customer, ticket)
