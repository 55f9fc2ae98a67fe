"""A service in memory with faults on its stores, for tests of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.faults import Faults

from offpoll.app import Offpoll
from offpoll.document import Document
from offpoll.operation import PUBLIC, Record
from offpoll.settings import Settings
from offpoll.testing import System, system

__all__ = ["Lab", "lab", "settings", "single"]


def settings(**changes: Any) -> Settings:
    """Return settings for a lab: whole numbers that are easy to reckon with."""
    return Settings(**{"secret": "s" * 32, "lease": 30.0, "backoff": 4.0, "expected_service_time": 10.0, **changes})


def single(handler: Callable[..., Any], **limits: Any) -> Offpoll:
    """Return an app whose one kind, `order`, has this handler."""
    app = Offpoll()
    app.operation("order", **limits)(handler)
    return app


@dataclass
class Lab:
    """A system, and faults on what it talks to. Everything takes the id of an operation of kind `order`."""

    system: System
    on_store: Faults
    on_queue: Faults
    on_records: Faults

    @property
    def time(self) -> float:
        return self.system.loop.time()

    def submit(self, input: Any = 1, *, key: str | None = None, owner: str = PUBLIC) -> str:
        body = json.dumps(input).encode()
        return self.system.run(self.system.service.submit("order", body, idempotency_key=key, owner=owner)).operation_id

    def cancel(self, operation_id: str) -> Document:
        return self.system.run(self.system.service.cancel("order", operation_id))

    def document(self, operation_id: str) -> Document:
        """Return the stored document, past all faults."""
        return Document.from_bytes(self.system.store._objects[f"status/public/{operation_id}"])

    def record(self, operation_id: str) -> Record | None:
        """Return the stored record, past all faults."""
        return self.system.records._records.get(operation_id)

    def until_done(self, operation_id: str, *, within: float = 3600.0) -> Document:
        """Let time pass until the document is done."""
        deadline = self.time + within
        while not self.document(operation_id).done:
            assert self.time < deadline, f"not done after {within} s: {self.document(operation_id)}, {self.record(operation_id)}"
            self.system.advance(0.25)
        self.system.advance(0.25)
        return self.document(operation_id)

    @property
    def writes(self) -> int:
        """How many documents were written, or tried to be."""
        return self.on_store.count("create", "replace")

    @property
    def messages(self) -> int:
        """How many messages the queue holds, delivered or not."""
        return len(self.system.queue.peek())


@contextmanager
def lab(app: Offpoll, *, workers: int = 1, **changes: Any) -> Iterator[Lab]:
    """Run a lab; further arguments are settings."""
    with system(app, settings=settings(**changes), workers=0) as made:
        one = Lab(system=made, on_store=Faults(made.store), on_queue=Faults(made.queue), on_records=Faults(made.records))
        for _ in range(workers):
            made.start_worker()
        yield one
        for faults in (one.on_store, one.on_queue, one.on_records):
            faults.up()
