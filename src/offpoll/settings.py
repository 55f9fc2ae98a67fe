"""All settings in one frozen `Settings`. An argument beats an `OFFPOLL_*` variable, which beats the default.

AWS's own variables (credentials, region, endpoints) are not settings: they are read where every SDK reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypedDict, Unpack, get_type_hints

from offpoll.errors import ConfigurationError
from offpoll.lateness import DEFAULT_WEIGHT
from offpoll.service_links import is_service_link
from offpoll.setting_ranges import MAX_INPUT_LIMIT, MAX_LINK_LIFETIME, MAX_RESULT_LIMIT, MAX_TIMEOUT, PREFIX, check

__all__ = ["Described", "Settings", "SettingsArguments"]

_DAY = 86_400.0


def _setting(default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Described:
    """One setting for people: its name, its variable, its value (masked if secret), where that came from, and what it does."""

    name: str
    variable: str
    value: str
    source: str
    doc: str


class SettingsArguments(TypedDict, total=False):
    """The settings as keyword arguments; each beats its variable. `Settings` says what each does. `app` is for Lambda's environment."""

    bucket: str
    prefix: str
    queue_url: str
    dead_letter_queue_url: str
    parking_queue_url: str
    records_table: str
    secret: str
    public_url: str
    public_store_endpoint: str
    addressing_style: str
    server_side_encryption: str
    sse_kms_key_id: str
    sse_bucket_key: bool
    expected_bucket_owner: str
    signer_role_arn: str
    link_lifetime_floor: float
    link_lifetime_cap: float
    operation_location: bool
    lateness_weight: float | str
    expected_service_time: float
    timeout: float
    attempts: int
    backoff: float
    concurrency: int
    lease: float
    max_updates: int
    input_limit: int
    result_limit: int
    message_window: float
    record_window: float
    metrics: str
    log_format: str
    document_window: float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Durations are seconds, sizes bytes."""

    bucket: str = _setting("", "Bucket of the status documents.")
    prefix: str = _setting("status", "First part of every key in the bucket.")
    queue_url: str = _setting("", "URL of the SQS queue that carries the operations.")
    dead_letter_queue_url: str = _setting("", "URL of its dead-letter queue.")
    parking_queue_url: str = _setting("", "URL of the queue for messages that nobody can read.")
    records_table: str = _setting("", "DynamoDB table of the records. Partition key `id` (string), TTL attribute `expires_at`.")
    secret: str = _setting(
        "",
        "Keys operation ids and digests; at least 32 bytes, the same in every process that submits. Changing it unbinds idempotency keys.",
        secret=True,
    )
    app: str = _setting("", "The app of a Lambda function, such as `orders:app`. Elsewhere the command line names it.")
    public_url: str = _setting("", "The API's own address for links. Default: the address that each request came to.")
    public_store_endpoint: str = _setting(
        "",
        "The object store's address in status links, if clients use another address than the servers.",
    )
    addressing_style: str = _setting(
        "auto", "How a URL names the bucket: `path`, `virtual`, or `auto`: as the profile says, else virtual on AWS, path elsewhere."
    )
    server_side_encryption: str = _setting(
        "",
        "Encryption to request for each document: `AES256`, `aws:kms` or `aws:kms:dsse`. Default: no request, so that the bucket's "
        "own applies. Some buckets' policies refuse documents that request none.",
    )
    sse_kms_key_id: str = _setting("", "KMS key for it: an ARN, an id or `alias/…`. Default: the account's key for S3.")
    sse_bucket_key: bool = _setting(False, "Use an S3 bucket key, which needs fewer calls to KMS. Only with `aws:kms`.")
    expected_bucket_owner: str = _setting(
        "", "The account that must own the bucket, twelve digits. S3 refuses requests to a bucket of another account."
    )
    signer_role_arn: str = _setting(
        "", "Role that signs status links; it may only read documents. Default: the API's own credentials sign them."
    )
    link_lifetime_floor: float = _setting(
        600.0,
        "How long a status link works at least. A link covers three times what is left until the latest expected end. The floor leaves "
        "time for a second attempt after a crash, for clocks that differ, and for a late look at the end.",
    )
    link_lifetime_cap: float = _setting(
        21_600.0,
        f"How long a status link works at most, up to {MAX_LINK_LIFETIME:.0f}. Anyone who finds a link can use it that long; clients "
        "renew it when an operation takes longer.",
    )
    operation_location: bool = _setting(False, "Send `Operation-Location: <status link>` with a 202, which azure-core's LROPoller follows.")
    lateness_weight: float | str = _setting(
        DEFAULT_WEIGHT,
        "How many polls it is worth to learn of the end earlier: by one second (`4`), or by the operation's expected duration "
        "(`30/duration`: the same few polls for short and long operations).",
    )
    expected_service_time: float = _setting(5.0, "Guess of how long one operation takes, until workers have measured it.")
    timeout: float = _setting(
        900.0,
        f"How long one attempt of a handler may take, unless its kind says otherwise. At most {MAX_TIMEOUT:.0f} (SQS's 12 h less 5 min).",
    )
    attempts: int = _setting(3, "How many attempts an operation gets, unless its kind says otherwise.")
    backoff: float = _setting(
        2.0,
        "Pause after the first failed attempt. It doubles each time, up to 15 min, with full jitter over its upper half.",
    )
    concurrency: int = _setting(8, "How many operations one worker process runs at once, and how many the estimate assumes at least.")
    lease: float = _setting(
        60.0,
        "How long a claim counts as alive without a renewal. A killed worker's operation waits this long. Workers renew every third of it.",
    )
    max_updates: int = _setting(30, "How many times an operation publishes progress at most, over all its attempts. A PUT costs 12.5 GETs.")
    input_limit: int = _setting(128 * 1024, f"Largest request body, at most {MAX_INPUT_LIMIT}.")
    result_limit: int = _setting(MAX_RESULT_LIMIT, f"Largest result, at most {MAX_RESULT_LIMIT}.")
    message_window: float = _setting(
        10 * _DAY,
        "An operation that has not begun by this age becomes `failed` (`expired`). The queue keeps messages as long.",
    )
    record_window: float = _setting(
        14 * _DAY,
        "How long offpoll keeps a record and its idempotency key; the longest timeout is added. More than the message window, "
        "less than the document window.",
    )
    metrics: str = _setting(
        "log",
        "What feeds alarms: `log` (the log alone), or `emf` (also a JSON line for each count, which CloudWatch Logs reads).",
    )
    log_format: str = _setting(
        "text",
        "How log lines are written: `text`, or `json` (one object a line, with the operation's id, kind and attempt as fields). Lambda's "
        "default is `json`.",
    )
    document_window: float = _setting(16 * _DAY, "How long status documents are kept. The bucket's lifecycle rule must agree.")

    def __post_init__(self) -> None:
        _check_types(self)
        check({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, *, environ: Mapping[str, str], **arguments: Unpack[SettingsArguments]) -> Settings:
        """Make settings from the environment and arguments.

        Raises:
            ConfigurationError: an unknown argument or `OFFPOLL_*` variable, or a value that is wrong or out of range. The message names it.
        """
        known = {each.name: each.name for each in fields(cls)}
        for name in arguments.keys() - known:
            raise ConfigurationError(f"{name} is not a setting of offpoll{_nearest(name, known)}. `offpoll config` lists them all")
        return cls(**{**_from_environment(environ), **arguments})

    def describe(self, *, environ: Mapping[str, str]) -> list[Described]:
        """List every setting with its value and where it came from."""
        return [
            Described(
                name=each.name,
                variable=PREFIX + each.name.upper(),
                value=_masked(each, getattr(self, each.name)),
                source=_source(each, getattr(self, each.name), environ),
                doc=each.metadata["doc"],
            )
            for each in fields(self)
        ]

    def need(self, *names: str) -> None:
        """Refuse to go on without these settings.

        Raises:
            ConfigurationError: it lists the missing variables.
        """
        missing = [PREFIX + name.upper() for name in names if not getattr(self, name)]
        if missing:
            raise ConfigurationError(f"missing settings: {', '.join(missing)}. `offpoll config` shows what is set and what each is for")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    converters = _converters()
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or is_service_link(variable, environ):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in converters or variable != variable.upper():
            nearest = _nearest(name, {each: PREFIX + each.upper() for each in converters})
            raise ConfigurationError(f"{variable} is not a setting of offpoll{nearest}. `offpoll config` lists them all")
        convert, needed = converters[name]
        try:
            values[name] = convert(text.strip())
        except ValueError:
            shown = "(hidden)" if name == "secret" else repr(text)
            raise ConfigurationError(f"{variable}={shown} cannot be read: {needed}") from None
    return values


def _converters() -> dict[str, tuple[Callable[[str], Any], str]]:
    hints = get_type_hints(Settings)
    return {each.name: _CONVERTERS[hints[each.name]] for each in fields(Settings)}


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(text)
    return _FLAGS[text.lower()]


_FLAGS: Mapping[str, bool] = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

#: By a setting's type: what reads a variable, and what to say if it cannot.
_CONVERTERS: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text is needed"),
    float: (float, "a number is needed"),
    float | str: (_number_or_text, "a number or text is needed"),
    int: (int, "a whole number is needed"),
    bool: (_flag, "true or false is needed"),
}

#: Types that may stand for a float.
_ACCEPTED: Mapping[Any, Any] = {float: int | float, float | str: int | float | str}


def _nearest(name: str, known: Mapping[str, str]) -> str:
    import difflib  # noqa: PLC0415 - only if something is wrong already

    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {known[close[0]]}?)" if close else ""


def _masked(each: Field[Any], value: Any) -> str:
    if each.metadata["secret"]:
        return "(set)" if value else ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _source(each: Field[Any], value: Any, environ: Mapping[str, str]) -> str:
    variable = PREFIX + each.name.upper()
    if variable in environ and _from_environment({variable: environ[variable]}).get(each.name) == value:
        return "environment"
    return "default" if value == each.default else "argument"


def _check_types(settings: Settings) -> None:
    for name, type_ in get_type_hints(Settings).items():
        value = getattr(settings, name)
        if not isinstance(value, _ACCEPTED.get(type_, type_)) or (isinstance(value, bool) and type_ is not bool):
            shown = "(hidden)" if name == "secret" else repr(value)
            raise ConfigurationError(f"{PREFIX}{name.upper()}={shown} is of the wrong type: {_CONVERTERS[type_][1]}")
