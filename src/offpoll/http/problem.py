"""Problem documents (RFC 9457): the HTTP answer to each error.

Says whose fault it is and what to do; never what only operators may know.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from offpoll.document import Document
from offpoll.errors import (
    ConfigurationError,
    DependencyRefused,
    DependencyUnavailable,
    MethodNotAllowed,
    RequestError,
    Unauthorized,
    UnsupportedEncoding,
)
from offpoll.exchange import Response
from offpoll.instant import to_wire
from offpoll.operation import Status

__all__ = ["ended", "problem", "problem_of"]

log = logging.getLogger(__name__)

#: After a refusal, which an operator has to mend, a retry within seconds cannot help.
REFUSED_RETRY_AFTER = 30


def problem(status: int, *, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """Return a problem document. `code` is the stable word for machines; `type` says the same as a URI."""
    fields = {
        "type": f"urn:problem-type:offpoll:{code.replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
    return Response(
        status=status,
        headers={"content-type": "application/problem+json", "cache-control": "no-store", **(headers or {})},
        body=json.dumps(fields, separators=(",", ":"), default=str).encode(),
    )


def problem_of(error: Exception) -> Response:
    """Return the answer to an error."""
    match error:
        case RequestError():
            headers = _headers(error)
            return problem(error.status, code=error.code, title=error.title, detail=error.detail, headers=headers, **error.members)
        case DependencyUnavailable():
            log.warning("answered 503: %s", error)
            return problem(
                503,
                code="dependency_unavailable",
                title="A part of the service does not answer",
                detail="It is not known whether the request took effect. Repeat it: with the same Idempotency-Key, a submit is finished.",
                headers={"retry-after": str(max(1, math.ceil(error.retry_after)))},
            )
        case DependencyRefused() | ConfigurationError():
            log.error("answered 503; an operator has to mend this: %s", error)
            return problem(
                503,
                code="dependency_refused",
                title="The service is not set up right",
                detail="This is the service's fault, not yours. Its operators find the reason in its log. Repeat the request later.",
                headers={"retry-after": str(REFUSED_RETRY_AFTER)},
            )
        case _:
            log.error("answered 500", exc_info=error)
            detail = "This is the service's fault, not yours. The reason is in its log."
            return problem(500, code="internal_error", title="The service failed", detail=detail)


def ended(document: Document) -> Response:
    """Return the answer to GET for an operation that ended without a result: a 404 that says so, with the operation's own error."""
    failed = document.status == Status.FAILED
    error = dict(document.error or {})
    return problem(
        404,
        code="operation_failed" if failed else "operation_canceled",
        title="The operation failed" if failed else "The operation was canceled",
        detail=str(error.get("message") or f"The operation {document.status}."),
        operation_status=document.status,
        error=error,
        finished_at=None if document.finished_at is None else to_wire(document.finished_at),
    )


def _headers(error: RequestError) -> dict[str, str]:
    """A 401 says how to authenticate (RFC 9110, 11.6.1), a 405 what is possible (15.5.6), a 415 which encoding is (12.5.3)."""
    match error:
        case UnsupportedEncoding():
            return {"accept-encoding": "identity"}
        case Unauthorized():
            return {"www-authenticate": "Bearer"}
        case MethodNotAllowed(members={"allow": str(allow)}):
            return {"allow": allow}
        case _:
            return {}
