"""The simulated app: its kinds in two versions, and handlers that do as their input says.

Version 2 adds the kind `refund`. An input is {n: number, body: which of two bodies under one key, seconds: of work, slow: whether those are
longer than a lease, raises: how many attempts raise, fails: whether it then fails for good, stubborn: whether it stops slowly}.
"""

from __future__ import annotations

import asyncio
from typing import Any

from offpoll.app import Caller, Offpoll
from offpoll.errors import Fail
from offpoll.operation import Operation
from proof.simulate.ledger import Ledger
from proof.simulate.machine import MACHINE

__all__ = ["ATTEMPTS", "KINDS", "TIMEOUT", "shop"]

#: The kinds of each version.
KINDS = {1: ("order", "parcel"), 2: ("order", "parcel", "refund")}

ATTEMPTS = 3

#: Seconds that an attempt may take.
TIMEOUT = 45.0

#: Seconds for which a stubborn handler goes on after it was told to stop: longer than its worker waits.
STUBBORN = 3.0

#: A plain function takes a tenth of its input's seconds, at most this many, and blocks its process meanwhile. If it took none, its clients
#: would conclude that it always ends at once, and poll five times a second all through an outage.
QUICK = 0.5


class Trouble(Exception):  # noqa: N818 - it is no error of ours: handlers raise such things
    """A handler failed, and may succeed at the next attempt."""


def shop(ledger: Ledger, *, version: int) -> Offpoll:
    """Return a version of the app. Its handlers report to the ledger."""

    async def patient(input: dict[str, Any], operation: Operation) -> dict[str, Any]:
        machine = _begin(ledger, input, operation)
        try:
            for step in (0.0, 0.5):
                operation.progress(step, "packing")
                await asyncio.sleep(input["seconds"] / 2)
        except asyncio.CancelledError:
            if input["stubborn"]:
                ledger.fault("stubborn_handler", machine, operation.id)
                await asyncio.sleep(STUBBORN)
            raise
        return _end(ledger, input, operation)

    def quick(input: dict[str, Any], operation: Operation) -> dict[str, Any]:
        _begin(ledger, input, operation)
        MACHINE.get().computed += min(QUICK, input["seconds"] / 10)
        operation.progress(0.5)
        return _end(ledger, input, operation)

    app = Offpoll(authorize=_authorize)
    for kind in KINDS[version]:
        app.operation(kind, attempts=ATTEMPTS, timeout=TIMEOUT)(quick if kind == "parcel" else patient)
    return app


async def _authorize(caller: Caller) -> str:
    return caller.headers["x-owner"]


def _begin(ledger: Ledger, input: dict[str, Any], operation: Operation) -> str:
    name = MACHINE.get().name
    ledger.began(name, operation.id, attempt=operation.attempt, body=input["body"])
    if input["seconds"] > TIMEOUT:
        ledger.fault("handler_over_timeout", name, operation.id)
    elif input["slow"]:
        ledger.fault("slow_handler", name, operation.id)
    return name


def _end(ledger: Ledger, input: dict[str, Any], operation: Operation) -> dict[str, Any]:
    if operation.attempt <= input["raises"]:
        ledger.fault("handler_raises", MACHINE.get().name, operation.id)
        raise Trouble
    if input["fails"]:
        raise Fail("out_of_stock", "There is none left.")
    return {"n": input["n"], "attempt": operation.attempt}
