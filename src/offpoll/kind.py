"""A kind of operation: its handler, its types and its limits. Decides what is an input for it, and what its result is as JSON.

Does not know how handlers run.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from offpoll.arguments import is_number, shown
from offpoll.errors import ConfigurationError, InvalidInput, InvalidJSON
from offpoll.json_types import Adapter, Plain, faults, refuse_constant, refuse_json_text
from offpoll.lateness import Weight, read_weight
from offpoll.limits import encoder
from offpoll.object_json import NO_INPUT, input_form, to_json, why_unwritable
from offpoll.operation import Operation, is_kind
from offpoll.result_json import result_form
from offpoll.setting_ranges import MAX_ATTEMPTS, MAX_TIMEOUT
from offpoll.settings import Settings
from offpoll.signature import signature_of

__all__ = ["RESERVED", "Kind", "record_lifetime"]

#: Paths of the API's own, which no kind may take.
RESERVED = frozenset({"livez", "readyz", "docs", "redoc"})

#: How many faults of an input are listed.
MAX_ERRORS = 20

_DEFAULT_WEIGHT = read_weight(Settings.lateness_weight)


_decode = json.JSONDecoder(parse_constant=refuse_constant).raw_decode
_encode_text = encoder(ascii_only=False, sort_keys=True)


def _encode(value: Any) -> str:
    """Write JSON with sorted keys and no spaces, in a text that SQS takes: not all of Unicode is (SendMessage, MessageBody).

    Raises:
        ValueError: it has no JSON form, or a lone surrogate, which has no UTF-8.
    """
    text = _encode_text(value)
    if text.isascii():
        return text
    text.encode()
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _canonical(body: bytes) -> tuple[str, Any]:
    """Return JSON in the one form that messages carry and digests are over, and the value that it says.

    Raises:
        InvalidJSON: it is not JSON (RFC 8259), or nested too deeply to be read.
    """
    try:
        text = body.decode().strip(" \t\r\n")
        value, end = _decode(text)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
        return _encode(value), value
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
    except UnicodeEncodeError as error:
        raise InvalidJSON("The body has half of a surrogate pair, which is no character.") from error
    except RecursionError as error:
        raise InvalidJSON("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except ValueError as error:
        raise InvalidJSON(f"The body is not JSON: {error}.") from error


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of operation, as `@app.operation` registered it.

    Attributes:
        name: `order`; also its path in the API.
        handler: the user's function, unchanged.
        is_async: whether it is a coroutine function.
        input_type, output_type: adapters for what it takes and returns.
        input_parameter, operation_parameter: the names of its parameters, None for one that it does not have.
        timeout: seconds one attempt may take.
        attempts: how many there are.
        lateness_weight: how many polls it is worth to learn earlier that it is done.
        show_result: whether the result is published in the status document.
        said: limits set in the decorator.
        fetch: answers GET for a succeeded operation, or None: the recorded result does.
    """

    name: str
    handler: Callable[..., Any]
    is_async: bool
    input_type: Adapter
    output_type: Adapter
    input_parameter: str | None = None
    operation_parameter: str | None = None
    timeout: float = Settings.timeout
    attempts: int = Settings.attempts
    lateness_weight: Weight = _DEFAULT_WEIGHT
    show_result: bool = False
    fetch: Callable[[Operation], Any] | None = None
    said: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, name: str, handler: Callable[..., Any], **limits: Any) -> Kind:
        """Read a handler's signature. What `limits` leaves out is filled in from the settings, by `filled`.

        Raises:
            ConfigurationError: the name or a limit cannot be used, the handler takes more than one input, or a type has no JSON form.
        """
        _check_name(name)
        _check_limits(name, **limits)
        signature = signature_of(name, handler)
        return cls(
            name=name,
            handler=handler,
            is_async=inspect.iscoroutinefunction(handler),
            input_type=signature.input_type,
            output_type=signature.output_type,
            input_parameter=signature.input_parameter,
            operation_parameter=signature.operation_parameter,
            said=frozenset(limits),
            **_with_weight(name, limits),
        )

    def filled(self, settings: Settings) -> Kind:
        """Return the kind with the settings' value for each limit that the decorator did not say."""
        weight = read_weight(settings.lateness_weight)
        limits = {"timeout": settings.timeout, "attempts": settings.attempts, "lateness_weight": weight}
        return replace(self, **{name: value for name, value in limits.items() if name not in self.said})  # type: ignore[arg-type]

    def with_fetch(self, fetch: Callable[[Operation], Any] | None) -> Kind:
        """Return the kind with its fetch hook."""
        return replace(self, fetch=fetch)

    def accept(self, body: bytes) -> str:
        """Return a request's body as canonical JSON, once it is known that the handler takes it.

        Raises:
            InvalidJSON, InvalidInput: it does not.
        """
        if self.input_parameter is None:
            self._nothing(_canonical(body.strip() or NO_INPUT)[0])
            return NO_INPUT.decode()
        text, value = _canonical(body)
        if not (isinstance(self.input_type, Plain) and self.input_type.has(value, text)):
            self.parse(text)
        return text

    def parse(self, text: str) -> Any:
        """Make the handler's input from canonical JSON.

        Raises:
            InvalidInput: it is not what the handler takes; `errors` lists where and why, without repeating the values.
        """
        if self.input_parameter is None:
            return self._nothing(text)
        try:
            return self._validate_json(text)
        except ValueError as error:
            found = faults(error)
            if found is None:
                raise
            errors = [{"pointer": _pointer(each["loc"]), "detail": each["msg"], "type": each["type"]} for each in found[:MAX_ERRORS]]
            where = f"{errors[0]['pointer']}: " if errors[0]["pointer"] else ""
            more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
            message = f"The body is not a valid input for {self.name!r}: {where}{errors[0]['detail']}.{more}"
            raise InvalidInput(message, errors=errors) from error

    @cached_property
    def _validate_json(self) -> Callable[[str], Any]:
        """What makes an input from JSON text. A TypeAdapter's own method first puts seven options together that nobody gave."""
        found: Callable[[str], Any] = getattr(self.input_type, "validator", self.input_type).validate_json
        return found

    def _nothing(self, text: str) -> None:
        if text.strip() not in ("{}", "null"):
            message = f"{self.name!r} takes no input: send no body, {{}} or null."
            raise InvalidInput(message, errors=[{"pointer": "", "detail": message, "type": "no_input"}])

    def dump_input(self, value: Any) -> str:
        """Write an input given as an object of the input type, or as its JSON form, as canonical JSON. Bytes are JSON already.

        Raises:
            InvalidInput: it has no JSON form, would reach the handler changed, or is JSON text in a `str`.
            InvalidJSON: the bytes are not JSON.
        """
        if self.input_parameter is None:
            return self.accept(value if isinstance(value, bytes) else to_json(value).encode())
        if isinstance(value, bytes):
            return _canonical(value)[0]
        refuse_json_text(value)
        try:
            return _encode(input_form(self.input_type, value))
        except InvalidInput as error:
            raise InvalidInput(f"The input for {self.name!r} was not sent: {error.detail}") from error
        except Exception as error:  # your own serializer may raise anything
            raise InvalidInput(f"The input for {self.name!r} has no JSON form: {why_unwritable(value, error)}.") from error

    def dump_result(self, value: Any) -> str:
        """Write a result as canonical JSON, under the names that OpenAPI gives.

        Raises:
            LossError: its JSON would differ from the object.
            Exception: it is not what the handler says it returns, or has no JSON form. Your own validators and serializers may raise
                anything.
        """
        checked = self.output_type.validate_python(value)
        return _encode(result_form(self.output_type, checked))


def record_lifetime(settings: Settings, kinds: Mapping[str, Kind]) -> float:
    """Return the seconds after which a record counts as absent: the window plus the longest operation.

    Raises:
        ConfigurationError: the documents would be deleted before their records expire.
    """
    longest = settings.record_window + max(kind.timeout for kind in kinds.values())
    if longest >= settings.document_window:
        raise ConfigurationError(
            f"records would live {longest:g} s (the window plus the longest timeout), documents only {settings.document_window:g} s: raise "
            " OFFPOLL_DOCUMENT_WINDOW and the bucket's lifecycle rule"
        )
    return longest


def _check_name(name: str) -> None:
    if not is_kind(name) or name in RESERVED:
        raise ConfigurationError(
            f"{name!r} cannot name a kind: a lowercase letter, then letters, digits, - or _, at most 64, and none of "
            f"{', '.join(sorted(RESERVED))}"
        )


def _check_limits(name: str, *, timeout: Any = 1.0, attempts: Any = 1, show_result: Any = False, **_: Any) -> None:
    if not is_number(timeout, least=-math.inf, infinite=True) or not isinstance(attempts, int) or not isinstance(show_result, bool):
        given = f"{shown(timeout)}, {shown(attempts)}, {shown(show_result)}"
        raise ConfigurationError(f"{name!r} needs a timeout in seconds, a whole number of attempts, show_result True or False: {given}")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ConfigurationError(
            f"the timeout of {name!r} is {timeout:g} s; SQS hides a message for at most 12 h, so: more than 0, up to {MAX_TIMEOUT:g} s"
        )
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise ConfigurationError(f"{name!r} needs 1 to {MAX_ATTEMPTS} attempts, not {shown(attempts)}")


def _with_weight(name: str, limits: dict[str, Any]) -> dict[str, Any]:
    """Return the limits with the weight parsed, if there is one."""
    if "lateness_weight" not in limits:
        return limits
    try:
        return {**limits, "lateness_weight": read_weight(limits["lateness_weight"])}
    except ValueError as error:
        raise ConfigurationError(f"the lateness_weight of {name!r} is {limits['lateness_weight']!r}; needed is {error}") from None


def _pointer(location: tuple[int | str, ...]) -> str:
    """Return a JSON pointer (RFC 6901); the whole document's is empty."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
