"""`offpoll inspect`: shows the state of one operation, what it waits for, and what an operator can do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offpoll.cli.exit_codes import FAILED, MISUSED, UNAVAILABLE
from offpoll.cli.options import OperationId, Owner
from offpoll.errors import DependencyRefused
from offpoll.operation import PUBLIC

if TYPE_CHECKING:
    from offpoll.operation import Record
    from offpoll.operators.inspection import Inspection

__all__ = ["inspect"]


def inspect(
    operation_id: OperationId,
    app: Annotated[
        str | None, typer.Argument(metavar="MODULE:APP", help="The app, which knows how many attempts the kind has.", show_default=False)
    ] = None,
    *,
    owner: Owner = PUBLIC,
    repair: Annotated[bool, typer.Option("--repair", help="Publish the recorded outcome if the document does not show it.")] = False,
    show_result: Annotated[bool, typer.Option("--show-result", help="Show the result too. The command never shows inputs.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON object, for scripts.")] = False,
) -> None:
    """Show one operation: its document, its record, where its message must be, what it waits for, and whether document and record agree.

    The record decides. Clients see the document, which may lag behind. Queues cannot be searched, so the command shows where the message
    must be according to the record, and how many messages of all operations the queue, the dead letters and the parking queue hold. Those
    numbers are up to a minute old.

    `--repair` does the same as the next delivery, or the next GET at the API: it publishes a recorded outcome that the document does not
    show. Without a recorded outcome it changes nothing. For a succeeded operation it needs MODULE:APP, because only the kind tells whether
    to publish the result.

    It needs a worker's settings (see `offpoll config`) and permissions, and no secret. If an `offpoll dev` runs here, it uses that one,
    unless variables name another store.

    Exit codes: 0 found, and document and record agree or were repaired; 1 they disagree, or there is neither; 2 usage or configuration,
    also if a dependency refuses; 6 a dependency does not respond.

    Example: `offpoll inspect 5f2b0c8e9d3a47618c1f0e6b7a92d450 --owner ada --json | jq .waits_for`
    """
    from offpoll.cli.dev.environment import adopt
    from offpoll.cli.logs import configure

    configure("warning")
    adopt(os.environ)
    found = asyncio.run(_inspect(operation_id, reference=app, owner=owner, repair=repair))
    if json_:
        print(json.dumps(_fields(found, show_result=show_result), indent=2))
    else:
        print("\n".join(_lines(found, show_result=show_result)))
    raise typer.Exit(_code(found))


async def _inspect(operation_id: str, *, reference: str | None, owner: str, repair: bool) -> Inspection:
    from offpoll.operators.inspection import Inspector
    from offpoll.settings import Settings
    from offpoll.wiring import dependencies, load_app

    settings = Settings.load(environ=os.environ)
    kinds = {} if reference is None else load_app(reference).kinds(settings)
    own = dependencies(settings, environ=os.environ)
    inspector = Inspector(dependencies=own, window=settings.message_window, kinds=kinds)
    try:
        look = inspector.repair if repair else inspector.inspect
        return await look(operation_id, owner=owner)
    finally:
        await own.close()


def _code(found: Inspection) -> int:
    if any(isinstance(each, DependencyRefused) for each in found.faults):
        return MISUSED
    if found.faults:
        return UNAVAILABLE
    return 0 if found.agreement is not None and found.agreement.agree else FAILED


def _fields(found: Inspection, *, show_result: bool) -> dict[str, Any]:
    document = None if found.document is None else found.document.to_dict()
    if document is not None and not show_result:
        del document["result"]
    waits, agreement = found.waits, found.agreement
    return {
        "operation_id": found.operation_id,
        "owner": found.owner,
        "kind": found.kind,
        "found": found.found,
        "at": _instant(found.at),
        "key": found.key,
        "document": document,
        "record": None if found.record is None else _record(found.record, show_result=show_result),
        "message": {
            "implied": None if waits is None else waits.message,
            "queue": found.queue and asdict(found.queue),
            "dead_letters": found.dead_letters and asdict(found.dead_letters),
            "parking": found.parking and asdict(found.parking),
        },
        "waits_for": None if waits is None else {"what": waits.what, "until": _instant(waits.until), "text": waits.text},
        "agree": None if agreement is None else agreement.agree,
        "agreement": None if agreement is None else agreement.text,
        "repairable": agreement is not None and agreement.repairable,
        "repaired": found.repaired,
        "advice": found.advice or None,
        "faults": [str(each) for each in found.faults],
    }


def _record(record: Record, *, show_result: bool) -> dict[str, Any]:
    """Return a record's fields without the token, which would let anybody act as the worker, and without the input. It names the worker."""
    outcome = record.outcome
    fields = {
        "status": record.status,
        "attempt": record.attempt,
        "held": record.token is not None,
        "holder": record.holder or None,
        "lease_until": _instant(record.lease_until),
        "created_at": _instant(record.submission.created_at),
        "started_at": _instant(record.started_at),
        "finished_at": _instant(record.finished_at),
        "expires_at": _instant(record.expires_at),
        "digest": record.submission.digest,
        "error": None if outcome is None or outcome.error is None else dict(outcome.error),
        "input_kept": record.input is not None,
    }
    if show_result:
        fields["result"] = None if outcome is None or outcome.result is None else json.loads(outcome.result)
    return fields


def _instant(instant: datetime | None) -> str | None:
    from offpoll.instant import to_wire

    return None if instant is None else to_wire(instant)


def _lines(found: Inspection, *, show_result: bool) -> Iterator[str]:
    fields = _fields(found, show_result=show_result)
    yield f"operation   {found.operation_id}"
    yield f"kind        {found.kind or '-'}, owner {found.owner}"
    yield f"document    {_document_text(fields['document'])}"
    yield f"record      {_record_text(fields['record'])}"
    yield f"message     {fields['message']['implied'] or '-'}"
    for name, label in (("queue", "queue"), ("dead_letters", "dead letters"), ("parking", "parking")):
        depth = fields["message"][name]
        counts = "not known" if depth is None else "{visible} visible, {in_flight} in flight, {delayed} delayed".format(**depth)
        yield f"            {label}: {counts}"
    waits = fields["waits_for"]
    if waits is not None:
        yield f"waits for   {waits['text']}" + (f", until {waits['until']}" if waits["until"] else "")
    agreement = fields["agreement"] or "not known: one of the two is unreadable"
    yield f"agree       {'' if fields['agree'] in (True, None) else 'no: '}{agreement}" + (" (repaired)" if found.repaired else "")
    for each in fields["faults"]:
        yield f"fault       {each}"
    if found.advice:
        yield f"to do       {found.advice}"
    if show_result and fields["record"] is not None:
        yield f"result      {json.dumps(fields['record']['result'])}"


def _document_text(document: dict[str, Any] | None) -> str:
    if document is None:
        return "-"
    text = f"{document['status']}, revision {document['revision']}, attempt {document['attempt']}, written {document['updated_at']}"
    again = f", submitted again from {document['resubmit_of']}" if "resubmit_of" in document else ""
    return text + _error_text(document["error"]) + again


def _record_text(record: dict[str, Any] | None) -> str:
    if record is None:
        return "-"
    text = f"{record['status']}, attempt {record['attempt']}"
    if record["lease_until"]:
        text += f", held by {(record['holder'] or 'a worker') if record['held'] else 'nobody'}, lease until {record['lease_until']}"
    if record["finished_at"]:
        text += f", ended {record['finished_at']}"
    return text + _error_text(record["error"]) + (", input kept" if record["input_kept"] else "")


def _error_text(error: dict[str, Any] | None) -> str:
    return "" if error is None else f", {error.get('code')}: {error.get('message')}"
