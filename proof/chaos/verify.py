"""Finds the violations in the evidence. Pure: no process, no store, no clock.

It counts them in four groups, which the last line shows:

    lost        an accepted order whose end is missing or unexplained, or that succeeded without its effect
    doubled     two operations, outcomes or effects instead of one; a handler that began when none was allowed to
    regressed   a document that went back, changed after its end, or contradicts the record
    stuck       an order or a message that still waits once nothing happens any more
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from offpoll.document import Document
from offpoll.operation import Record, Status
from proof.chaos.app import ATTEMPTS, REFUSAL
from proof.chaos.evidence import Evidence, Violation
from proof.chaos.stores import GARBAGE
from proof.chaos.swarm import Customer

__all__ = ["COUNTS", "counts", "verify"]

COUNTS = ("lost", "doubled", "regressed", "stuck")

#: Violations that one check finds: the count, and words.
Findings = Iterator[tuple[str, str]]


def verify(evidence: Evidence) -> list[Violation]:
    """Return all violations, each with its order."""
    found = []
    for customer, operation_id in evidence.accepted():
        for check in (_ended, _explained, _once, _handled, _seen, _agrees):
            for count, what in check(evidence, customer, operation_id):
                found.append(Violation(count=count, number=customer.plan.number, operation_id=operation_id, what=what))
    for customer in evidence.customers:
        for count, what in _served(evidence, customer):
            found.append(Violation(count=count, number=customer.plan.number, operation_id="", what=what))
    return [*found, *_left_visible(evidence), *_left_hidden(evidence), *_parked(evidence)]


def counts(violations: Sequence[Violation]) -> dict[str, int]:
    """Return the number of violations in each of the four groups."""
    counted = Counter(violation.count for violation in violations)
    return {name: counted[name] for name in COUNTS}


# --- one operation -------------------------------------------------------------------------------


def _ended(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that every accepted operation has ended, in the record and in the document."""
    record, document = evidence.records.get(operation_id), evidence.documents.get(operation_id)
    if document is None:
        yield "lost", "it was accepted, and it has no document"
    elif not document.done:
        known = "no record" if record is None else f"record {record.status}, attempt {record.attempt}"
        yield "stuck", f"its document says {document.status} for ever ({known})"
    elif record is None or not record.done:
        yield "doubled", f"its document says {document.status}, and no outcome was recorded"


def _explained(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that the order's plan allows this end."""
    record, plan = evidence.records.get(operation_id), customer.plan
    if record is None or record.outcome is None:
        return
    status, error = record.outcome.status, record.outcome.error or {}
    if status is Status.SUCCEEDED and (plan.kind == "lottery" or plan.conduct == "refuses"):
        yield "doubled", "it succeeded, and its handler never does"
    if status is Status.CANCELED and not customer.asked_to_cancel:
        yield "lost", "it was canceled, and its customer did not ask for that"
    if status is not Status.CANCELED and customer.canceled:
        yield "doubled", f"its customer was told that it is canceled, and it is {status}"
    if status is Status.FAILED and not (
        (error.get("code") == REFUSAL and plan.conduct == "refuses")
        or (error.get("code") == "attempts_exhausted" and record.attempt == ATTEMPTS[plan.kind])
    ):
        yield "lost", f"it failed after attempt {record.attempt} with {error}"
    kept = None if record.input is None else json.loads(record.input)
    if kept != (plan.body() if status is Status.FAILED else None):
        yield "lost", f"it is {status}, and the input kept with it is {kept}"


def _once(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that one run of the recorded attempt decided a success, that clients agree on its result, and that its effect exists."""
    record = evidence.records.get(operation_id)
    if record is None or record.outcome is None or record.outcome.status is not Status.SUCCEEDED:
        if customer.results:
            yield "doubled", f"its customer was given {sorted(customer.results)}, and no success is recorded"
        return
    result = json.loads(record.outcome.result or "null")
    for told in customer.results - {json.dumps(result, sort_keys=True)}:
        yield "doubled", f"its customer was given {told}, and {record.outcome.result} is recorded"
    if result["attempt"] != record.attempt:
        yield "doubled", f"attempt {result['attempt']} decided it, and attempt {record.attempt} held it"
    if result["run"] not in {run.run for run in evidence.runs_of.get(operation_id, ()) if run.attempt == record.attempt}:
        yield "doubled", f"the run {result['run']} that decided it did not begin as attempt {record.attempt}"
    effect = evidence.effect_of.get(operation_id)
    if effect is None or effect.number != customer.plan.number:
        yield "lost", f"it succeeded, and its effect is {effect}"


def _handled(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that no handler begins after the outcome, and that no attempt begins in two workers.

    Claims come before the outcome, so a run of a later attempt than the record's was claimed after it. A handler claimed before a cancel
    may begin a moment after it, but only within its lease: by then its worker has asked and been told.
    """
    record, runs = evidence.records.get(operation_id), evidence.runs_of.get(operation_id, ())
    workers = defaultdict(set)
    for run in runs:
        workers[run.attempt].add(run.worker)
        if record is not None and run.attempt > record.attempt:
            yield "doubled", f"{run.worker} began attempt {run.attempt}, and the record has {record.attempt}"
    for attempt, names in workers.items():
        if len(names) > 1:
            yield "doubled", f"attempt {attempt} began in {' and in '.join(sorted(names))}"
    seen_done = min((each.received for each in evidence.sightings.get(operation_id, ()) if each.document.done), default=None)
    for run in runs:
        if seen_done is not None and run.at > seen_done + evidence.lease:
            yield "doubled", f"{run.worker} began attempt {run.attempt} {run.at - seen_done:.1f} s after a reader saw its end"


def _seen(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that a request sent after a response never sees an older document, nor a different one after the end."""
    sightings = sorted(evidence.sightings.get(operation_id, ()), key=lambda each: each.sent)
    for index, later in enumerate(sightings):
        for earlier in sightings[:index]:
            if earlier.received <= later.sent:
                yield from _followed(earlier.document, later.document, "a reader saw {} and then {}")
    final = evidence.documents.get(operation_id)
    for each in sightings if final is not None else ():
        yield from _followed(each.document, final, "a reader saw {}, and in the end there is {}")


def _followed(earlier: Document, later: Document | None, words: str) -> Findings:
    if later is None or (earlier.rank <= later.rank and not (earlier.done and earlier != later)):
        return
    yield "regressed", words.format(*(f"{each.status} (attempt {each.attempt}, revision {each.revision})" for each in (earlier, later)))


def _agrees(evidence: Evidence, customer: Customer, operation_id: str) -> Findings:
    """Check that document and record agree."""
    record, document = evidence.records.get(operation_id), evidence.documents.get(operation_id)
    if record is None or document is None or not document.done:
        return
    for name, shown, recorded in _compared(document, record):
        if shown != recorded:
            yield "regressed", f"{name} is {shown!r} in the document and {recorded!r} in the record"


def _compared(document: Document, record: Record) -> Iterator[tuple[str, object, object]]:
    outcome, submission = record.outcome, record.submission
    yield "status", document.status, record.status
    yield "attempt", document.attempt, record.attempt
    yield "error", document.error, None if outcome is None else outcome.error
    yield "digest", document.digest, submission.digest
    yield "kind", document.kind, submission.kind
    yield "created_at", document.created_at, submission.created_at
    yield "expires_at", document.expires_at, record.expires_at


# --- one customer, and leftovers -----------------------------------------------------------------


def _served(evidence: Evidence, customer: Customer) -> Findings:
    """Check that an order is one operation with at most one effect, and that no other body was accepted under its key."""
    if len(customer.accepted) > 1:
        yield "doubled", f"one key, and the operations {sorted(customer.accepted)}"
    for operation_id in sorted(customer.other_accepted):
        yield "doubled", f"another body was accepted under its key, as {operation_id}"
    for refusal in customer.refused:
        yield "lost", f"the API refused a request that it must accept: {refusal}"
    numbers = {customer.plan.number, customer.plan.body(other=True)["number"]}
    done = [effect for effect in evidence.effects if effect.number in numbers]
    if len(done) > 1 or any(effect.number != customer.plan.number for effect in done):
        yield "doubled", f"its effects are {done}"


def _left_visible(evidence: Evidence) -> Iterator[Violation]:
    """Check that no message is left, except parked garbage, and dead letters of finished operations, which need only be deleted."""
    for message in evidence.messages:
        record = evidence.records.get(message.operation_id)
        settled = message.queue == "dead letters" and record is not None and record.done
        if not settled and not (message.queue == "parking" and message.body == GARBAGE):
            what = f"a message is left in {message.queue}, received {message.receives} times: {message.body}"
            yield Violation(count="stuck", number=_number(evidence, message.operation_id), operation_id=message.operation_id, what=what)


def _left_hidden(evidence: Evidence) -> Iterator[Violation]:
    """Check that no hidden message is left, except dead letters once every operation has ended: they only wait to be checked again."""
    everything_ended = all(document.done for document in evidence.documents.values())
    for queue, number in evidence.hidden.items():
        if number > 0 and not (queue == "dead letters" and everything_ended):
            yield Violation(
                count="stuck", number=None, operation_id="", what=f"{number} messages of {queue} are still in flight or delayed"
            )


def _parked(evidence: Evidence) -> Iterator[Violation]:
    """Check that garbage is parked, perhaps twice: a worker may be killed after sending it to the parking and before deleting it."""
    parked = sum(message.queue == "parking" and message.body == GARBAGE for message in evidence.messages)
    if parked < evidence.garbage:
        what = f"{evidence.garbage} unreadable messages were sent, and {parked} are parked"
        yield Violation(count="lost", number=None, operation_id="", what=what)


def _number(evidence: Evidence, operation_id: str) -> int | None:
    numbers: Mapping[str, int] = {accepted: customer.plan.number for customer, accepted in evidence.accepted()}
    return numbers.get(operation_id)
