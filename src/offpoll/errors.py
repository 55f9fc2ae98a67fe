"""Every exception that offpoll raises, named by whose fault it is.

OffpollError
├── ConfigurationError          the operator's: a setting, a bucket, a handler's signature
├── RequestError                the caller's: refused before anything was enqueued
│   ├── InvalidJSON             400
│   ├── InvalidIdempotencyKey   400
│   ├── Unauthorized            401
│   ├── Forbidden               403
│   ├── OperationNotFound       404
│   ├── MethodNotAllowed        405
│   ├── NotCancelable           409
│   ├── NotResubmittable        409
│   ├── InputTooLarge           413
│   ├── UnsupportedEncoding     415
│   ├── InvalidInput            422
│   └── KeyReused               422
├── DependencyError             a store, a queue or a table
│   ├── DependencyUnavailable   an outage: the call may or may not have taken effect
│   │   └── PartialOutage       some of the dependencies answer
│   └── DependencyRefused       it refused: a permission, a name, a key; retrying does not help
├── Conflict                    the protocol's own signals, handled inside offpoll
│   ├── DocumentExists          create found one
│   ├── DocumentChanged         replace met another etag
│   └── DigestMismatch          the document belongs to another input
├── MessageError                a message of the queue
│   ├── MalformedMessage        cannot be read, now or later: goes to the parking queue
│   └── UnsupportedMessage      from a newer version: given back for a newer worker
├── MalformedDocument           not a status document
├── Fail                        the handler's: the operation failed, and another attempt will not help
└── ClientError                 what the client raises
    ├── ApiError                the API refused, or its answer does not follow offpoll's protocol
    ├── ApiUnavailable          the API did not answer in time
    ├── OperationFailed         the operation ended `failed`
    ├── OperationCanceled       the operation ended `canceled`
    └── WaitTimeout             `wait` gave up; the operation goes on, the ticket is inside

HandlerStopped (BaseException)  raised inside a sync handler at its next `progress()`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ApiError", "ApiUnavailable", "ClientError", "ConfigurationError", "Conflict", "DependencyError", "DependencyRefused",
    "DependencyUnavailable", "DigestMismatch", "DocumentChanged", "DocumentExists", "Fail", "Forbidden", "HandlerStopped",
    "InputTooLarge", "InvalidIdempotencyKey", "InvalidInput", "InvalidJSON", "KeyReused", "MalformedDocument", "MalformedMessage",
    "MessageError", "MethodNotAllowed", "NotCancelable", "NotResubmittable", "OffpollError", "OperationCanceled", "OperationFailed",
    "OperationNotFound", "PartialOutage", "RequestError", "Unauthorized", "UnsupportedEncoding", "UnsupportedMessage", "WaitTimeout",
]  # fmt: skip


class OffpollError(Exception):
    """The base class of everything that offpoll raises on purpose."""


class ConfigurationError(OffpollError):
    """The operator has to fix something: a setting, a missing resource, or a handler that cannot be used."""


class RequestError(OffpollError):
    """A refused request. Nothing was created and nothing enqueued.

    Attributes:
        status: the HTTP status code of the answer.
        code: a stable, machine-readable word for the fault.
        title: the same for people, equal for all occurrences (RFC 9457 `title`).
        members: further members of the problem document, JSON values.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "The request cannot be accepted"

    def __init_subclass__(cls, *, status: int, code: str, title: str) -> None:
        cls.status, cls.code, cls.title = status, code, title

    def __init__(self, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class InvalidJSON(RequestError, status=400, code="invalid_json", title="The body is not JSON"):
    """The body is not JSON."""


class InvalidIdempotencyKey(RequestError, status=400, code="invalid_idempotency_key", title="The Idempotency-Key cannot be used"):
    """The `Idempotency-Key` header is not a valid key."""


class Unauthorized(RequestError, status=401, code="unauthorized", title="Authentication is needed"):
    """The caller did not say who it is. Raise it in `authorize`."""


class Forbidden(RequestError, status=403, code="forbidden", title="Not allowed"):
    """The caller may not do this. Raise it in `authorize`."""


class OperationNotFound(RequestError, status=404, code="operation_not_found", title="No such operation"):
    """This owner has no such operation of this kind, or offpoll no longer keeps it."""


class MethodNotAllowed(RequestError, status=405, code="method_not_allowed", title="Method not allowed"):
    """The path exists, but not with this method."""


class NotCancelable(RequestError, status=409, code="already_finished", title="The operation has already finished"):
    """The operation ended before it could be canceled."""


class NotResubmittable(RequestError, status=409, code="not_resubmittable", title="The operation cannot be submitted again"):
    """The operation has not failed, or its input was not kept: there is nothing to submit again."""


class InputTooLarge(RequestError, status=413, code="input_too_large", title="The input is too large"):
    """The body is over the limit."""


class UnsupportedEncoding(RequestError, status=415, code="unsupported_encoding", title="The body's encoding is not supported"):
    """The body is compressed."""


class InvalidInput(RequestError, status=422, code="invalid_input", title="The input is not valid"):
    """The body is JSON, but not what this kind of operation takes."""


class KeyReused(RequestError, status=422, code="idempotency_key_reused", title="The Idempotency-Key belongs to another body"):
    """The `Idempotency-Key` was used before with another body."""


class DependencyError(OffpollError):
    """An object store, a queue or a table did not do its job.

    Attributes:
        service: its name, for people: `S3`, `SQS`, `DynamoDB`.
    """

    def __init__(self, service: str, message: str) -> None:
        super().__init__(f"{service}: {message}")
        self.service = service


class DependencyUnavailable(DependencyError):
    """An outage: no answer, throttling, or a server error, after retries. The effect is unknown.

    Attributes:
        retry_after: seconds after which another try makes sense.
    """

    def __init__(self, service: str, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(service, message)
        self.retry_after = retry_after


class PartialOutage(DependencyUnavailable):
    """Some dependencies answer and others do not: the fault is probably theirs, and other processes see it too."""


class DependencyRefused(DependencyError):
    """It refused, and would refuse again: wrong credentials, a missing permission, a name that does not exist.

    Attributes:
        code: the vendor's error code, such as `AccessDenied` or `NoSuchBucket`.
    """

    def __init__(self, service: str, message: str, *, code: str = "") -> None:
        super().__init__(service, message)
        self.code = code


class Conflict(OffpollError):
    """A conditional write found another state than it expected."""


class DocumentExists(Conflict):
    """A create found an existing status document."""


class DocumentChanged(Conflict):
    """A replace found another etag, or no document."""


class DigestMismatch(Conflict):
    """The stored document has another digest than the record. It belongs to another input: leave it alone."""


class MessageError(OffpollError):
    """A message of the queue that this worker cannot use."""


class MalformedMessage(MessageError):
    """No worker can read this message, now or later.

    Attributes:
        operation_id, owner: the operation that the message names, if that much can be read; both or neither.
    """

    def __init__(self, message: str, *, operation_id: str | None = None, owner: str | None = None) -> None:
        super().__init__(message)
        self.operation_id, self.owner = operation_id, owner


class UnsupportedMessage(MessageError):
    """A newer version of offpoll wrote this message, or this worker does not know its kind."""


class MalformedDocument(OffpollError):
    """These bytes are not a status document that this version can read."""


class Fail(OffpollError):
    """Raise it in a handler: the operation has failed for good, and another attempt will not help.

    Args:
        code: a stable word for machines, such as `out_of_stock`. Clients branch on it.
        message: one sentence for people. It is published: put nothing sensitive in it.
        members: further members of the error (RFC 9457 extension members), JSON values.
    """

    def __init__(self, code: str, message: str, **members: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.members = members


class HandlerStopped(BaseException):
    """Ends a sync handler at its next `progress()`: the operation was canceled or timed out, or the lease was lost.

    It derives from BaseException, as `asyncio.CancelledError` does, so that no `except Exception` around a step swallows it.
    """


class ClientError(OffpollError):
    """The base class of what the polling client raises."""


class ApiError(ClientError):
    """The API refused the request, or its answer does not follow offpoll's protocol.

    Attributes:
        status: the HTTP status code; 0 if no answer is involved.
        problem: the RFC 9457 problem document; empty if there was none.
    """

    def __init__(self, message: str, *, status: int, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = dict(problem or {})


class ApiUnavailable(ClientError):
    """The API did not answer, after retries.

    Attributes:
        sent: whether the API may have received the request. Then a submit may have been accepted: repeat it with the same key.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class OperationFailed(ClientError):
    """The operation ended `failed`.

    Attributes:
        operation_id: which one.
        code: the error's code, as the handler's `Fail` gave it.
        error: the whole error object of the status document.
    """

    def __init__(self, operation_id: str, error: Mapping[str, Any] | None) -> None:
        self.operation_id = operation_id
        self.error = dict(error or {})
        self.code = str(self.error.get("code", "unknown"))
        super().__init__(f"operation {operation_id} failed: {self.code}: {self.error.get('message', '')}")


class OperationCanceled(ClientError):
    """The operation ended `canceled`."""

    def __init__(self, operation_id: str) -> None:
        self.operation_id = operation_id
        super().__init__(f"operation {operation_id} was canceled")


class WaitTimeout(ClientError, TimeoutError):
    """`wait` gave up after its timeout. The operation goes on: wait again with the ticket.

    Attributes:
        ticket: the ticket to wait with again.
    """

    def __init__(self, ticket: Any, timeout: float) -> None:
        self.ticket = ticket
        super().__init__(f"operation {ticket.operation_id} was not done after {timeout:g} s. It goes on: wait again with the ticket")
