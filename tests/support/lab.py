"""A lab for tests of the protocol: a whole system in memory, on virtual time, whose stores can be made to fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.faults import Faults

from offpoll.app import Offpoll
from offpoll.document import Document
from offpoll.operation import PUBLIC, Outcome, Record
from offpoll.settings import Settings
from offpoll.testing import System, system

__all__ = ["Lab", "lab", "settings", "single"]


def settings(**changes: Any) -> Settings:
    """Return settings for a lab, with round numbers that are easy to calculate with."""
    return Settings(**{"secret": "s" * 32, "lease": 30.0, "backoff": 4.0, "expected_service_time": 10.0, **changes})


def single(handler: Callable[..., Any], **limits: Any) -> Offpoll:
    """Return an app with this handler for its only kind, `order`."""
    app = Offpoll()
    app.operation("order", **limits)(handler)
    return app


@dataclass
class Lab:
    """A system, and faults on its stores. All ids are those of operations of kind `order`, owned by `public`."""

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
        """Return the stored document, bypassing all faults."""
        return Document.from_bytes(self.system.store._objects[f"status/public/{operation_id}"])

    def record(self, operation_id: str) -> Record | None:
        """Return the stored record, bypassing all faults."""
        return self.system.records._records.get(operation_id)

    def outcome(self, operation_id: str) -> Outcome:
        """Return the recorded outcome."""
        record = self.record(operation_id)
        assert record is not None
        assert record.outcome is not None
        return record.outcome

    def assert_settled(self, operation_id: str) -> None:
        """Assert that document and record agree, and that no message is left."""
        record = self.record(operation_id)
        assert record is not None
        document = self.document(operation_id)
        assert (document.status, document.attempt) == (record.status, record.attempt)
        assert self.messages == 0
        assert not self.system.dead_letters.peek()

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
        """The number of writes of documents, failed ones included."""
        return self.on_store.count("create", "replace")

    @property
    def messages(self) -> int:
        """The number of messages in the queue, delivered or not."""
        return len(self.system.queue.peek())


@contextmanager
def lab(app: Offpoll, *, workers: int = 1, **changes: Any) -> Iterator[Lab]:
    """Run a lab. Further arguments are settings."""
    with system(app, settings=settings(**changes), workers=0) as made:
        one = Lab(system=made, on_store=Faults(made.store), on_queue=Faults(made.queue), on_records=Faults(made.records))
        for _ in range(workers):
            made.start_worker()
        yield one
        for faults in (one.on_store, one.on_queue, one.on_records):
            faults.up()
