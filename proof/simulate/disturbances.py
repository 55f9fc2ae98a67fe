"""What happens to machines and services while clients order: outages, partitions, kills, clock steps, junk, a rolling deployment."""

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

#: Seconds between two events, about.
PACE = 2.0

#: The longest partition of one machine, and the longest outage for all, seconds.
PARTITION, OUTAGE = 60.0, 25.0

#: How far the clients are, when the APIs are deployed anew and when the workers are: orders of the new kind come before anybody knows it.
APIS_AT, WORKERS_AT = 0.2, 0.3

#: Events, each as often as it stands here. An outage for all comes every half minute, and takes half of that: with twice as many, nearly
#: half of all submits are repetitions.
EVENTS = ("partition",) * 8 + ("outage",) + ("kill",) * 2 + ("restart",) + ("clock_step",) * 3 + ("junk_message",) * 2


@dataclass(kw_only=True)
class Disturbances:
    """The weather of one world."""

    dice: Dice
    ledger: Ledger
    fleet: Fleet

    async def run(self) -> None:
        """Let things happen while the dice are on."""
        while self.dice.on:
            await asyncio.sleep(self.dice.about(PACE))
            machines = self.fleet.machines
            if self.dice.on and machines:
                machine = machines[int(self.dice.random() * len(machines))]
                await self._happen(self.dice.one_of(EVENTS), machine)

    def clear(self) -> None:
        """Let nothing go wrong from now on."""
        self.dice.on = False
        self.ledger.note("weather", "clears up: nothing goes wrong from now on")

    async def deploy(self, progress: Callable[[], float]) -> None:
        """Bring the second version: first to the APIs, later to the workers, one after the other."""
        for slots, at in ((self.fleet.apis, APIS_AT), (self.fleet.workers, WORKERS_AT)):
            while progress() < at:  # noqa: ASYNC110 - a look a second costs nothing here, an event for each number would
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
                self.ledger.fault("outage", "weather", answer=f"{service}, {seconds:.1f} s")
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
                self.ledger.fault("junk_message", "weather")
                await self.fleet.twins.queue.send(Envelope(body="junk", attributes={"from": "somebody else"}))

    def _cut(self, machine: Machine, service: str, seconds: float, *, refusing: bool) -> None:
        line = machine.lines[service]
        line.cut_until, line.refusing = self.fleet.loop.time() + seconds, refusing
        self.ledger.fault("refusal" if refusing else "partition", machine.name, answer=f"{service}, {seconds:.1f} s")
