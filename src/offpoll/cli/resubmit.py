"""`offpoll resubmit`: submits a failed operation's input again as a new operation."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from offpoll.cli.options import OperationId, Owner, Reference
from offpoll.operation import PUBLIC

if TYPE_CHECKING:
    from offpoll.document import Document

__all__ = ["resubmit"]


def resubmit(
    operation_id: OperationId,
    app: Reference,
    *,
    owner: Owner = PUBLIC,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON object: operation_id, resubmit_of, kind, owner, status, created_at.")
    ] = False,
) -> None:
    """Submit a failed operation again: a new operation with the same input, kind and owner.

    A failed operation keeps its input until its record expires (14 days plus the longest timeout). It stays `failed` itself; the new
    operation's document names it as `resubmit_of`. If you repeat the command, you get the same new operation. While that is `queued`, the
    command sends its message again, which is harmless. The failed operation's submitter does not learn of the new one: tell them its id.

    If an `offpoll dev` runs here, it uses that one, unless variables name another store.

    Prints the new id. Exit codes: 0 submitted, now or before; 1 refused (unknown, not failed, no input kept, or an input that the kind
    does not accept); 2 usage or configuration, also if MODULE:APP lacks the kind; 6 a dependency does not respond: repeat it.

    Example: `offpoll resubmit 5f2b0c8e9d3a47618c1f0e6b7a92d450 orders:app --owner ada`
    """
    from offpoll.cli.dev.environment import adopt
    from offpoll.cli.logs import configure
    from offpoll.instant import to_wire

    configure("warning")
    adopt(os.environ)
    document = asyncio.run(_resubmit(app, operation_id, owner))
    if json_:
        fields = {
            "operation_id": document.id,
            "resubmit_of": operation_id,
            "kind": document.kind,
            "owner": owner,
            "status": document.status,
            "created_at": to_wire(document.created_at),
        }
        print(json.dumps(fields, indent=2))
        return
    print(document.id)
    print(f"{document.status}; look at it with: offpoll inspect {document.id} --owner {owner}", file=sys.stderr)


async def _resubmit(reference: str, operation_id: str, owner: str) -> Document:
    """Submit it without entering the app's lifespan: no handler runs here."""
    from offpoll.wiring import async_connect, load_app

    service = async_connect(load_app(reference))
    try:
        return await service.resubmit(operation_id, owner=owner)
    finally:
        await service.dependencies.close()
