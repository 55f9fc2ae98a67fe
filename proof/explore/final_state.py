"""Checks a world at rest: nothing waits, document and record agree, and what was accepted is done."""

from __future__ import annotations

from offpoll.document import Document
from proof.explore.world import World

__all__ = ["check_final_state"]


def check_final_state(world: World, *, waiting: bool, accepted: bool, deleted: bool) -> None:
    """Add the broken rules to `world.broken`.

    Args:
        waiting: whether a call still waits at a gate.
        accepted: whether the API answered a submit with 202.
        deleted: whether the bucket's lifecycle may have deleted the document.
    """
    broken = world.broken.append
    if waiting or world.queue.peek() or world.dead.peek():
        broken("a message, or a step, waits for ever")
    if world.parking.peek():
        broken("a message that can be read was parked")
    document = next((Document.from_bytes(body) for body in world.store._objects.values()), None)
    record = next(iter(world.records._records.values()), None)
    if accepted and (document is None or not document.done) and not deleted:
        broken(f"202 was answered, and the operation is {document.status if document else 'nowhere'} for ever")
    if record is not None and record.done and (document is not None or not deleted):
        said = (document.status, document.attempt) if document else None
        if said != (record.status, record.attempt):
            broken(f"the record says {record.status} of attempt {record.attempt}, the document {said}")
    if document is not None and document.done and (record is None or not record.done):
        broken(f"the document says {document.status}, and no outcome is recorded")
