"""Disturbs machines and services while clients order: outages, partitions, kills, clock steps, junk, a rolling deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from offpoll.queue import Envelope
from proof.simulate.dice import Dice
from proof.simulate.fleet import Fleet
from proof.simulate.ledger import Ledger
from proof.simulate.machine import SERVICES, SKEW, Machine

__all__ = ["Disturbances"]

#: Mean seconds between two events.
PACE = 2.0

#: The longest partition of one machine, and the longest outage for all, seconds.
PARTITION, OUTAGE = 60.0, 25.0

#: Share of the operations begun when the APIs get the new version, and when the workers do. Between the two, clients order the new kind
#: while no worker knows it.
APIS_AT, WORKERS_AT = 0.2, 0.3

#: Events, weighted by repetition. An outage comes every half minute and lasts half of that; with twice as many, nearly half of all submits
#: would be repetitions.
EVENTS = ("partition",) * 8 + ("outage",) + ("kill",) * 2 + ("restart",) + ("clock_step",) * 3 + ("junk_message",) * 2


@dataclass(kw_only=True)
class Disturbances:
    """The disturbances of one world."""

    dice: Dice
    ledger: Ledger
    fleet: Fleet

    async def run(self) -> None:
        """Disturb the world while the dice are on."""
        while self.dice.on:
            await asyncio.sleep(self.dice.about(PACE))
            machines = self.fleet.machines
            if self.dice.on and machines:
                machine = machines[int(self.dice.random() * len(machines))]
                await self._happen(self.dice.one_of(EVENTS), machine)

    def stop(self) -> None:
        """Stop: from now on nothing goes wrong."""
        self.dice.on = False
        self.ledger.note("world", "nothing goes wrong from now on")

    async def deploy(self, progress: Callable[[], float]) -> None:
        """Deploy the second version, one process after another: first the APIs, later the workers."""
        for slots, at in ((self.fleet.apis, APIS_AT), (self.fleet.workers, WORKERS_AT)):
            while progress() < at:  # noqa: ASYNC110 - one check a second costs nothing; an event for each number would
                await asyncio.sleep(1)
            for slot in slots:
                await self.fleet.replace(slot, version=2)
                await asyncio.sleep(self.dice.between(0, 5))

    async def _happen(self, event: str, machine: Machine) -> None:
        dice = self.dice
        match event:
            case "partition":
                self._cut(machine, dice.one_of(SERVICES), dice.about(PARTITION / 10), refusing=dice.random() < 0.1)
            case "outage":
                service, seconds = dice.one_of(SERVICES), dice.between(1, OUTAGE)
                self.ledger.fault("outage", "world", answer=f"{service}, {seconds:.1f} s")
                for each in self.fleet.machines:
                    each.lines[service].cut_until = self.fleet.loop.time() + seconds
            case "kill":
                self.ledger.fault("kill", machine.name)
                machine.die()
            case "restart":
                for slot in (*self.fleet.apis, *self.fleet.workers):
                    if slot.machine is machine:
                        await self.fleet.replace(slot, version=slot.version)
            case "clock_step":
                machine.skew = dice.between(-SKEW, SKEW)
                self.ledger.fault("clock_step", machine.name, answer=f"{machine.skew:+.1f} s")
            case _:
                self.ledger.fault("junk_message", "world")
                await self.fleet.twins.queue.send(Envelope(body="junk", attributes={"from": "a stranger"}))

    def _cut(self, machine: Machine, service: str, seconds: float, *, refusing: bool) -> None:
        line = machine.lines[service]
        line.cut_until, line.refusing = self.fleet.loop.time() + seconds, refusing
        self.ledger.fault("refusal" if refusing else "partition", machine.name, answer=f"{service}, {seconds:.1f} s")
