"""The range or the form of each setting, and which settings must fit each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from offpoll.errors import ConfigurationError
from offpoll.lateness import read_weight
from offpoll.limits import MAX_BASE_URL, shown_url
from offpoll.setting_names import NAMES

__all__ = ["MAX_ATTEMPTS", "MAX_INPUT_LIMIT", "MAX_LINK_LIFETIME", "MAX_RESULT_LIMIT", "MAX_TIMEOUT", "PREFIX", "check"]

#: Every setting's variable begins with it.
PREFIX = "OFFPOLL_"

_DAY = 86_400.0

#: SQS keeps a message for at most 14 days (SetQueueAttributes, MessageRetentionPeriod); a dead letter keeps its age.
LONGEST_RETENTION = 14 * _DAY

#: The output size of the HMAC-SHA-256 that the secret keys (RFC 2104, 3): a shorter secret would be easier to guess.
MIN_SECRET_BYTES = 32

#: SQS's largest message is 1 MiB. DynamoDB's largest item is 400 KiB, and keeps the input of a failed operation beside its error.
MAX_INPUT_LIMIT = 256 * 1024

#: DynamoDB's largest item is 400 KiB.
MAX_RESULT_LIMIT = 350 * 1024

#: SigV4 presigned URLs live at most seven days (S3 User Guide, using-presigned-url).
MAX_LINK_LIFETIME = 604_800.0

#: The longest timeout: SQS hides a message for at most 12 h, and a delivery needs a few minutes around the handler.
MAX_TIMEOUT = 42_900.0

#: SQS's maxReceiveCount is at most 1,000, and give-backs consume receives too.
MAX_ATTEMPTS = 100

#: The smallest and the largest value of each number.
_RANGES: Mapping[str, tuple[float, float]] = {
    "link_lifetime_floor": (1, MAX_LINK_LIFETIME),
    "link_lifetime_cap": (1, MAX_LINK_LIFETIME),
    "expected_service_time": (0.001, 1e7),
    "timeout": (0.001, MAX_TIMEOUT),
    "attempts": (1, MAX_ATTEMPTS),
    "backoff": (0, 900),
    "concurrency": (1, 10_000),
    "lease": (1, 43_000),
    "max_updates": (0, 1_000_000),
    "input_limit": (1, MAX_INPUT_LIMIT),
    "result_limit": (1, MAX_RESULT_LIMIT),
    "message_window": (60, LONGEST_RETENTION),
    "record_window": (60, 400 * _DAY),
    "document_window": (60, 400 * _DAY),
}

#: The form of each text, as a pattern and for people. A prefix has only characters that every store and URL accepts. It takes at most 512
#: of the 1,024 bytes of an S3 key; owner and id need 98.
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "addressing_style": (re.compile("auto|path|virtual"), "one of auto, path, virtual"),
    "log_format": (re.compile("json|text"), "one of json, text"),
    "metrics": (re.compile("emf|log"), "one of emf, log"),
    "server_side_encryption": (re.compile("|AES256|aws:kms|aws:kms:dsse"), "one of AES256, aws:kms, aws:kms:dsse"),
    "sse_kms_key_id": (
        re.compile(r"|(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/|alias/)?[A-Za-z0-9:/_-]{1,256}"),
        "such as arn:aws:kms:eu-west-1:123456789012:key/…, a key's id or alias/name",
    ),
    "expected_bucket_owner": (re.compile("|[0-9]{12}"), "an account's id, twelve digits"),
    "prefix": (
        re.compile(r"(?=.{1,512}$)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*"),
        "letters, digits, . _ -, in parts with a / between, at most 512",
    ),
    "public_url": (
        re.compile(rf"|(?=.{{1,{MAX_BASE_URL}}}$)https?://[!-~]+"),
        f"such as https://api.example.com, at most {MAX_BASE_URL} long",
    ),
}


def _brief(value: float) -> str:
    try:
        return f"{value:g}"
    except OverflowError:
        return "(a number beyond all limits)"


def check(values: Mapping[str, Any]) -> None:
    """Refuse values that are out of range, malformed, or contradict each other.

    Args:
        values: every setting by name, of the right type.

    Raises:
        ConfigurationError: it names the variable and says what is allowed.
    """
    for name, (low, high) in _RANGES.items():
        if not low <= values[name] <= high:
            raise ConfigurationError(f"{PREFIX}{name.upper()}={_brief(values[name])} is out of range: {low:g} to {high:g}")
    _check_names(values)
    for name, (form, words) in _FORMS.items():
        if not form.fullmatch(values[name]):
            raise ConfigurationError(f"{PREFIX}{name.upper()}={shown_url(values[name])!r}: {words}")
    try:
        _ = urlsplit(values["public_url"]).port
    except ValueError as error:
        raise ConfigurationError(f"{PREFIX}PUBLIC_URL={shown_url(values['public_url'])!r} is not a URL: {error}") from None
    try:
        read_weight(values["lateness_weight"])
    except ValueError as error:
        raise ConfigurationError(f"{PREFIX}LATENESS_WEIGHT={values['lateness_weight']!r}; needed is {error}") from None
    message, record, document = (values[f"{name}_window"] for name in ("message", "record", "document"))
    if not message < record < document:
        raise ConfigurationError(
            f"the windows must grow: message ({message:g} s) < record ({record:g} s) < document ({document:g} s). "
            "A worker would handle a message again if it outlived its record"
        )
    encryption, key = values["server_side_encryption"], values["sse_kms_key_id"]
    if key and not encryption.startswith("aws:kms"):
        raise ConfigurationError(f"{PREFIX}SSE_KMS_KEY_ID={key} needs {PREFIX}SERVER_SIDE_ENCRYPTION=aws:kms or aws:kms:dsse")
    if values["sse_bucket_key"] and encryption != "aws:kms":
        raise ConfigurationError(f"{PREFIX}SSE_BUCKET_KEY needs {PREFIX}SERVER_SIDE_ENCRYPTION=aws:kms")
    floor, cap = values["link_lifetime_floor"], values["link_lifetime_cap"]
    if floor > cap:
        raise ConfigurationError(f"{PREFIX}LINK_LIFETIME_FLOOR={floor:g} is over {PREFIX}LINK_LIFETIME_CAP={cap:g}")
    try:
        size = len(values["secret"].encode())
    except UnicodeEncodeError:
        raise ConfigurationError(f"{PREFIX}SECRET has characters that UTF-8 cannot encode") from None
    if values["secret"] and size < MIN_SECRET_BYTES:
        raise ConfigurationError(f"{PREFIX}SECRET is too short: at least {MIN_SECRET_BYTES} bytes, for example from `openssl rand -hex 32`")


def _check_names(values: Mapping[str, Any]) -> None:
    for name, wrong in NAMES.items():
        problem = wrong(values[name]) if values[name] else ""
        if problem:
            shown = "" if name == "secret" else f"={shown_url(values[name])}"
            raise ConfigurationError(f"{PREFIX}{name.upper()}{shown} cannot be used: {problem}")
    queues = [values[f"{name}_url"] for name in ("queue", "dead_letter_queue", "parking_queue") if values[f"{name}_url"]]
    if len(set(queues)) < len(queues):
        raise ConfigurationError(
            f"{PREFIX}QUEUE_URL, {PREFIX}DEAD_LETTER_QUEUE_URL and {PREFIX}PARKING_QUEUE_URL need three different queues: "
            "a dead letter would come back as an operation, again and again"
        )
